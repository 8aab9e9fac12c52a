"""What training the backbone gains: frozen, its last block, adapters, or all of it.

    python examples/end_to_end.py --out end-to-end

renders videos of moving textures in which actions of one class happen among others that are none,
extracts their features by a small image encoder of RANDOM weights, and trains CBP on the videos'
labels: with the encoder as it is, and trained together with the branch. Every row has as many
updates, on the same videos. The table is mAP on test videos, mean ± standard deviation over the
seeds of training, with label-only chance beside. A quarter of an hour of one core; a second call
goes on where the first was stopped.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from duetal.baselines import guess_by_labels
from duetal.cli.main import cli
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.datasets import Dataset, open_dataset
from duetal.evaluation import MeanStd, evaluate
from duetal.formats.activitynet import write_annotations
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation
from duetal.runs.run_evaluation import ground_truth
from duetal.simulation.clips import render_clip
from duetal.simulation.tiny_clip import make_tiny_clip

CLASSES = ("Diving", "Hopping", "Sparring", "Sprinting")
SIZE, FPS, SECONDS = (48, 36), 8, 16.0
#: Of a video: actions that are of no class, of how many kinds; and how many backgrounds there are.
DISTRACTORS, KINDS, BACKGROUNDS = 4, 12, 4
#: By row, the settings of the backbone; the fewer weights, the larger the steps.
ROWS: Mapping[str, Sequence[str]] = {
    "frozen": (),
    "last block": ("backbone.train=last:1", "backbone.lr=0.001"),
    "adapters": ("backbone.train=adapters", "backbone.lr=0.001"),
    "all": ("backbone.train=all", "backbone.lr=0.0003"),
}
#: A video is a micro-batch, and passes through the backbone at once.
SETTINGS = (
    "branches=[cbp]", "batch_size=8", "crop=32", "micro_batch_snippets=32",
    "backbone.micro_batch=32", "cbp.embed_dim=64", "cbp.levels=1", "cbp.attention_radius=1",
    "warmup_epochs=98", "f_epochs=1", "alternations=2", "accelerator=cpu", "threads=1",
)  # fmt: skip
EXTRACTION = (
    "--without=rgb", "--without=flow", f"--fps={FPS}", "--stride=4", "--window=4", "--batch=32",
    "--device=cpu",
)  # fmt: skip
PROTOCOL, AVERAGE = "seconds", "0.1:0.7"


def main() -> None:
    """Render, extract, train every row with every seed, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--per-class", type=int, default=18, help="videos of each class")
    parser.add_argument("--seeds", default="0,1,2", help="of training")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    began = time.monotonic()
    store = options.out / "store"
    if not (store / "annotations.json").is_file():
        known = render_videos(options.out / "videos", options.per_class)
        make_tiny_clip(options.out / "encoder")
        words = ["extract", options.out / "videos", "--out", store, *EXTRACTION]
        cli.main([*map(str, words), "--clip", str(options.out / "encoder")], standalone_mode=False)
        write_annotations(store / "annotations.json", known)
    dataset = open_dataset(store)
    results = {"label-only chance": [chance(dataset)]}
    for title, row in ROWS.items():
        folder = options.out / title.replace(" ", "-")
        for seed in options.seeds.split(","):
            words = ["train", "demo", f"dataset={store}", *SETTINGS, *row, *options.overrides]
            words += [f"seed={seed}", "--out", str(folder / f"seed-{seed}"), "--resume"]
            cli.main(words, standalone_mode=False)
            found = RunEvaluation.read(RunFolder(folder / f"seed-{seed}").evaluation_file)
            results.setdefault(title, []).append(found.stages[-1].averages[AVERAGE])
    print_table(results, dataset, options.seeds)
    print(f"all of it took {time.monotonic() - began:,.0f} s")


def render_videos(folder: Path, per_class: int) -> Annotations:
    """Videos of one class each, the last third of them to be tested on; when their actions are."""
    rng = np.random.default_rng(0)
    made = {}
    for number in range(per_class * len(CLASSES)):
        label = CLASSES[number % len(CLASSES)]
        actions = list(place_actions(label, rng))
        name = f"{label.lower()}-{number:03}"
        render_clip(
            folder / f"{name}.mp4",
            duration=SECONDS,
            fps=FPS,
            size=SIZE,
            actions=actions,
            velocity=(rng.uniform(-1, 1), rng.uniform(-1, 1)),
            # Backgrounds are few: none of them tells a class.
            seed=int(rng.integers(BACKGROUNDS)),
        )
        subset = "train" if number < per_class * len(CLASSES) * 2 // 3 else "test"
        own = tuple(action for action in actions if action.label == label)
        made[name] = VideoAnnotation(name, subset, SECONDS, (label,), own)
    return Annotations(made, CLASSES)


def place_actions(label: str, rng: np.random.Generator) -> Iterator[Segment]:
    """One to three actions of a class among others, one after the other."""
    kinds = [label] * int(rng.integers(1, 4))
    kinds += [f"other {kind}" for kind in rng.integers(KINDS, size=DISTRACTORS)]
    slot = SECONDS / len(kinds)
    for place, kind in enumerate(rng.permutation(kinds)):
        length = min(0.9 * slot, rng.uniform(1.2, 2.5))
        start = place * slot + rng.uniform(0, slot - length)
        yield Segment(start, start + length, str(kind))


def chance(dataset: Dataset) -> float:
    """The mAP of every class everywhere, as often as it occurs in training."""
    durations = {name: dataset.duration(name) or SECONDS for name in dataset.evaluation}
    guessed = guess_by_labels(dataset.weak(), durations)
    return evaluate(guessed, ground_truth(dataset), PROTOCOL).averages[AVERAGE]


def print_table(results: Mapping[str, Sequence[float]], dataset: Dataset, seeds: str) -> None:
    """Print mAP (%) of each row, and what it gains on the frozen backbone with the same seed."""
    print(f"\n{'backbone':<20}{'mAP':>14}{'gain':>14}")
    for title, values in results.items():
        gains = [one - frozen for one, frozen in zip(values, results["frozen"], strict=False)]
        gain = "" if title in ("label-only chance", "frozen") else spread(gains)
        print(f"{title:<20}{spread(values):>14}{gain:>14}")
    counts = f"{len(dataset.train_labels)} training and {len(dataset.evaluation)} test videos"
    print(f"\nmAP (%) averaged over tIoU {AVERAGE}, {counts}, RENDERED; random weights; mean ±")
    print(f"standard deviation over the seeds {seeds}; last checkpoint, evaluated once")


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation, in percent."""
    found = MeanStd.of(list(values))
    std = "" if found.std is None else f" ± {100 * found.std:.1f}"
    return f"{100 * found.mean:.1f}{std}"


if __name__ == "__main__":
    main()
