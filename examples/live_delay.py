"""What waiting is worth: mAP of live detections by their delay, beside those of whole videos.

    python examples/live_delay.py ../shared/data/hapt runs/auto-hapt --out runs/delay

plays the features of every test video as if live to a trained run, of one seed or several, and
prints mAP in % (tIoU 0.1:0.1:0.7), mean ± standard deviation over the seeds, and its share of what
the same run finds when it has the whole video. OUT/delay.svg is the plot.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from duetal.core.detections import Detections
from duetal.datasets import Dataset, open_dataset
from duetal.evaluation import evaluate
from duetal.live.live_localizer import LiveLocalizer
from duetal.results.folder import RunFolder
from duetal.runs.localizing import localize
from duetal.runs.run import Run, open_run
from duetal.runs.run_evaluation import ground_truth

AVERAGE = "0.1:0.7"


def main() -> None:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a data set with test videos")
    parser.add_argument("run", type=Path, help="a run trained on it")
    parser.add_argument("--delays", default="2,4,8,16", help="seconds")
    parser.add_argument("--stages", help="of the run, separated by commas; default: its final one")
    parser.add_argument("--every", type=int, default=1, help="take every n-th test video alone")
    parser.add_argument("--out", type=Path, required=True, help="folder of the plot")
    options = parser.parse_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    dataset = open_dataset(options.data)
    seeds = RunFolder(options.run).seeds()
    runs = [open_run(RunFolder(options.run).of_seed(s).path) for s in seeds] or [
        open_run(options.run)
    ]
    names = dataset.evaluation[:: options.every]
    delays = [float(word) for word in options.delays.split(",")]
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="delay in seconds", ylabel="mAP, % of that of whole videos", ylim=(0, 105))
    print(f"{'':<28}{'whole':>14}" + "".join(f"{f'{delay:g} s':>22}" for delay in delays))
    for stage in (options.stages or "").split(","):
        values = np.array([measure(run, dataset, names, stage or None, delays) for run in runs])
        shares = 100 * values[:, 1:] / values[:, :1]
        cells = [f"{spread(values[:, 0]):>14}"]
        for column in range(len(delays)):
            share = f"({shares[:, column].mean():.0f} %)"
            cells.append(f"{spread(values[:, 1 + column]) + ' ' + share:>22}")
        title = " and ".join(runs[0].model.stages_named(stage or None))
        print(f"{title:<28}" + "".join(cells), flush=True)
        axes.errorbar(delays, shares.mean(axis=0), shares.std(axis=0), marker="o", label=title)
    axes.legend(loc="lower right")
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "delay.svg")
    print(f"plot: {options.out / 'delay.svg'}")


def spread(values: np.ndarray) -> str:
    """Mean ± standard deviation."""
    text = f"{values.mean():.1f}"
    return text if len(values) == 1 else f"{text} ± {values.std(ddof=1):.1f}"


def measure(
    run: Run, dataset: Dataset, names: tuple[str, ...], stage: str | None, delays: list[float]
) -> list[float]:
    """The average mAP in % of whole videos, and of each delay."""
    stages = run.model.stages_named(stage)
    found = [localize(run, dataset, names, stages=stages)]
    found += [played(run, dataset, names, stages, delay) for delay in delays]
    truth = ground_truth(dataset).select(names)
    return [100 * evaluate(one, truth, "seconds").averages[AVERAGE] for one in found]


def played(
    run: Run, dataset: Dataset, names: tuple[str, ...], stages: list[str], delay: float
) -> Detections:
    """What is found in each video as it plays."""
    rows = []
    for number, name in enumerate(names):
        live = LiveLocalizer(run, stages, delay=delay)
        features = {b.name: dataset.streams[b.name].read(name) for b in run.model.branches}
        for row in range(dataset.length(name)):
            rows += [(number, one) for one in live.add({b: f[row] for b, f in features.items()})]
        rows += [(number, one) for one in live.finish()]
    classes = tuple(run.model.classes)
    return Detections(
        names,
        classes,
        np.array([number for number, _ in rows], dtype=np.int64),
        np.array([classes.index(one.label) for _, one in rows], dtype=np.int64),
        np.array([one.start for _, one in rows]),
        np.array([one.end for _, one in rows]),
        np.array([one.score for _, one in rows]),
    )


if __name__ == "__main__":
    main()
