"""A trained run in Python: load it, find actions, score them, look at why the score is what it is.

A notebook as a script: Jupyter (with Jupytext), VS Code and PyCharm run it cell by cell, and
`python examples/notebook.py` all at once. Everything lies in the folder `notebook`. The features
are simulated: the numbers say nothing of real videos.
"""

# %% A dataset and a run, made once by duetal's own commands
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

import duetal
from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

HERE = Path("notebook")
TRUTH = HERE / "annotations.json"
COMMAND = Path(sys.executable).with_name("duetal")

if not (HERE / "run" / "model.json").is_file():
    write_annotations(TRUTH, made_up_annotations(training=20, test=10))
    simulate = ["simulate", TRUTH, "--out", HERE / "dataset", "--difficulty", "0.7"]
    train = ["train", "demo", f"dataset={HERE / 'dataset'}", "--out", HERE / "run", "--resume"]
    # Tiny, to be there in seconds; leave these out for a run worth looking at.
    train += ["warmup_epochs=6", "b_epochs=2", "f_epochs=2", "alternations=1"]
    for words in (simulate, train):
        subprocess.run([COMMAND, *map(str, words)], check=True)

# %% Load the run and find the actions in the dataset's test videos
run = duetal.load(HERE / "run")
found = run.localize(HERE / "dataset", branch="both")
print(f"{len(found):,} detections in {len(found.videos)} videos, of {', '.join(run.classes)}")
print(f"checkpoint: {found.external_data['selection']}")

# %% Score them, under a protocol that has a name
result = duetal.evaluate(found, TRUTH, "seconds")
print(f"mAP 0.1:0.7 {100 * result.averages['0.1:0.7']:.1f} % (simulated features)")
for label, values in result.per_class.items():
    print(f"  {label:<14}{100 * values[result.tiou.index(0.5)]:5.1f} % at tIoU 0.5")

# %% What is wrong with them, and what would fixing each kind of error give?
diagnosis = duetal.diagnose(found, TRUTH, "seconds")
for kind, count in diagnosis.profile.whole.items():
    fixed = diagnosis.fixed.get(kind)
    gain = "" if fixed is None else f"without them {100 * fixed:.1f} %"
    print(f"  {kind:<18}{count:6,}  {gain}")

# %% Is the ensemble better than the CBP branch, or were these videos kind to it?
comparison = duetal.compare(
    {"CBP": run.localize(HERE / "dataset", branch="cbp"), "both": found}, TRUTH, "seconds"
)
more = comparison.versus[0].averages[comparison.headline]
print(f"both less CBP: {100 * more.value:+.1f} [{100 * more.low:+.1f}, {100 * more.high:+.1f}]")

# %% Look at one video: what is in it, and what was found
video = duetal.read_annotations(TRUTH).videos[found.videos[0]]
rows = found.take((found.video == 0) & (found.score >= 0.1))
figure, axes = plt.subplots(figsize=(9, 2), layout="constrained")
for segment in video.segments or ():
    axes.broken_barh([(segment.start, segment.end - segment.start)], (1.1, 0.8), color="tab:green")
for start, end, score in zip(rows.start, rows.end, rows.score, strict=True):
    opacity = min(1.0, float(score))
    axes.broken_barh([(start, end - start)], (0.1, 0.8), color="tab:blue", alpha=opacity)
axes.set_yticks([0.5, 1.5], ["found", "is there"])
axes.set_xlabel(f"seconds of {video.name}: {', '.join(video.labels)}")
figure.savefig(HERE / "timeline.png")
print(f"drawn: {HERE / 'timeline.png'}")

# %% Hand them on: every command reads this file
duetal.write_detections(HERE / "detections.json", found)
