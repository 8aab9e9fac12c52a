"""Does the order of what to look at next save a person's time? mAP against seconds of work.

    python examples/simulated_annotator.py ../shared/data/esc10-scenes crop=128 --out runs/annotator

A simulated annotator knows the true segments, and begins with a run on the video labels. Round
after round the annotator works for some minutes on what is next, and a run goes on from the first
with all that is known by then. What is next is a stretch to look through for a class: the annotator
draws each action of the class that reaches into it. The order is that of `duetal review` by the
last run ("next"), the same stretches at random ("random"), or whole videos at random, for all of
their classes ("videos"). The time is a model: seconds for a label, and for each segment that is
drawn; what is looked through plays at a multiple of its speed.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from duetal.datasets import Dataset, open_dataset
from duetal.evaluation import MeanStd, evaluate
from duetal.localization.proposals import assemble, localize_video
from duetal.results.folder import RunFolder
from duetal.review.exchange import write_table
from duetal.review.next_up import ClassScores, NextUp
from duetal.review.statements import Statement, StatementKind, Verdict
from duetal.runs.continuing import continued_config
from duetal.runs.processes import processes
from duetal.runs.resolving import resolve_config
from duetal.runs.run import Run, open_run
from duetal.runs.run_evaluation import ground_truth
from duetal.runs.stage_scoring import Scorer, stage_scorer
from duetal.runs.training import open_for_training, train
from label_strength import LABELS, write_dataset
from order_of_methods import AVERAGE, PROTOCOL, durations

ORDERS = ("next", "random", "videos")
#: What is looked through: a video, from and to (seconds), and for which class; "" for all.
Look = tuple[str, float, float, str]


@dataclass
class Annotator:
    """Who knows the true segments, and what was said of them so far."""

    dataset: Dataset
    label_seconds: float
    segment_seconds: float
    speed: float
    seconds: float = 0.0  #: Worked so far.
    said: dict[str, list[Statement]] = field(default_factory=dict)  #: By video.

    def __post_init__(self) -> None:
        for name, labels in self.dataset.train_labels.items():
            self.seconds += self.label_seconds * len(labels)
            self.said[name] = [
                Statement(
                    StatementKind.LABEL,
                    label,
                    verdict=Verdict.ACCEPTED if label in labels else Verdict.REJECTED,
                )
                for label in self.dataset.classes
            ]

    def look(self, video: str, start: float, end: float, label: str) -> None:
        """Look through a stretch, and draw what reaches into it."""
        self.seconds += (end - start) / self.speed
        said = self.said[video]
        for one in self.dataset.annotations.videos[video].segments or ():
            drawn = Statement(StatementKind.ACTION, one.label, one.start, one.end)
            touches = one.start < end and one.end > start
            if touches and label in ("", one.label) and drawn not in said:
                said.append(drawn)
                self.seconds += self.segment_seconds
        said.append(Statement(StatementKind.LOOKED, label, start, end))

    def write(self, path: Path) -> None:
        """Write what was said as the table of a review."""
        write_table(path, {name: dict(enumerate(said)) for name, said in self.said.items()})

    @property
    def has_looked(self) -> bool:
        """Whether anything but labels is known."""
        return any(s.kind is StatementKind.LOOKED for said in self.said.values() for s in said)


@dataclass(frozen=True)
class Work:
    """How the annotator works and what is trained."""

    data: Path
    out: Path
    options: argparse.Namespace

    def rounds(self, order: str, seed: int) -> Iterator[tuple[float, float]]:
        """The seconds worked and the mAP, before and after each round."""
        options, dataset = self.options, open_dataset(self.data)
        label, _, segment = map(float, options.seconds.split(","))
        annotator = Annotator(dataset, label, segment, options.speed)
        run = self.run(self.out / f"seed-{seed}" / "labels", annotator, seed)
        yield annotator.seconds, mean_ap(run)
        for number, minutes in enumerate(map(float, options.minutes.split(",")), 1):
            until = annotator.seconds + 60 * minutes
            for look in looks(order, run, annotator, np.random.default_rng((seed, number))):
                if annotator.seconds >= until:
                    break
                annotator.look(*look)
            run = self.run(self.out / f"seed-{seed}" / f"{order}-{number}", annotator, seed)
            yield annotator.seconds, mean_ap(run)

    def run(self, folder: Path, annotator: Annotator, seed: int) -> Run:
        """A run on what is known: that of a folder, or trained into it."""
        own = RunFolder(folder / "run")
        if own.model_file.is_file():
            return open_run(own.path)
        write_dataset(folder / "dataset", self.data, annotator.dataset.classes)
        annotator.write(folder / "dataset" / LABELS)
        words = [f"dataset={folder / 'dataset'}", f"seed={seed}", f"protocol={PROTOCOL}"]
        words += ["threads=1", *self.options.overrides]
        if annotator.has_looked:
            start = folder.parent / "labels" / "run"
            words += ["labels.use=segments", *self.options.again.split()]
            config = continued_config(start, words, own)
        else:
            config = resolve_config(self.options.recipe, words)
        with processes(config.machine) as fabric:
            train(fabric, config, open_for_training(config), own)
        return open_run(own.path)


def scorer_of(run: Run) -> tuple[Dataset, Scorer]:
    """The data set of a run, and what scores its videos with all branches."""
    assert run.config.data.dataset is not None
    dataset = open_dataset(Path(run.config.data.dataset))
    return dataset, stage_scorer(run, list(run.model.finals()), dataset, torch.device("cpu"))


@torch.inference_mode()
def mean_ap(run: Run) -> float:
    """The mAP of a run's branches together, on the test videos."""
    dataset, score = scorer_of(run)
    found = [
        localize_video(
            (scores := score(name)).snippets, scores.video, dataset.grid, run.config.localization,
            offset=dataset.offset(name), duration=seconds, name=name,
        )
        for name, seconds in durations(dataset).items()
    ]  # fmt: skip
    detections = assemble(found, dataset.evaluation, dataset.classes)
    return evaluate(detections, ground_truth(dataset), PROTOCOL).averages[AVERAGE]


def looks(
    order: str, run: Run, annotator: Annotator, random: np.random.Generator
) -> Iterator[Look]:
    """What is next, the first first."""
    dataset = annotator.dataset
    if order == "videos":
        looked = {n for n, said in annotator.said.items() if said[-1].kind is StatementKind.LOOKED}
        for name in random.permutation([n for n in dataset.training if n not in looked]):
            yield str(name), 0.0, dataset.annotations.videos[name].duration or 0.0, ""
        return
    scores = list(training_scores(run, dataset))
    next_up = NextUp(scores, draw=int(random.integers(2**32)))
    known = {}
    for one in scores:
        known[one.video, one.label] = np.zeros(len(one.centres), dtype=np.bool_)
        for said in annotator.said[one.video]:
            if said.kind is StatementKind.LOOKED and said.label == one.label:
                span = slice(*np.searchsorted(one.centres, (said.start, said.end)))
                known[one.video, one.label][span] = True
    found = next_up.order(known, most=10**9)
    if order == "random":
        found.sort(key=lambda each: (each.video, each.label, each.start))
        found = [found[row] for row in random.permutation(len(found))]
    for each in found:
        yield each.video, each.start, each.end, each.label


@torch.inference_mode()
def training_scores(run: Run, dataset: Dataset) -> Iterator[ClassScores]:
    """The branches' scores of the training videos, of the classes that they have."""
    _, score = scorer_of(run)
    for name, labels in dataset.train_labels.items():
        branches = score(name).branches
        length = min(map(len, branches.values()))
        centres = dataset.offset(name) + dataset.grid.centre(np.arange(length))
        for label in labels:
            column = run.model.classes.index(label)
            titles = {run.model.branch(b).title: s[:length, column] for b, s in branches.items()}
            yield ClassScores(name, label, centres, titles)


def main() -> None:
    """Work in each order with each seed, and print the mAP for the time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a data set whose training segments are known")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--again", default="", help="settings of the runs that go on")
    parser.add_argument("--orders", default=",".join(ORDERS))
    parser.add_argument("--minutes", default="3,3,6,12", help="of work in each round")
    parser.add_argument("--seconds", default="3,6,20", help="for a label, a point and a segment")
    parser.add_argument("--speed", type=float, default=2, help="at which videos are looked through")
    parser.add_argument("--seeds", default="0,1,2", help="of everything trained and drawn")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    work, seeds = Work(options.data, options.out, options), options.seeds.split(",")
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for seed in seeds:
        for order in options.orders.split(","):
            curve = list(work.rounds(order, int(seed)))
            print(order, seed, *(f"{s / 60:.1f} min: {100 * m:.1f}" for s, m in curve), flush=True)
            found.setdefault(order, []).append(curve)
    print_table({order: np.array(curves) for order, curves in found.items()}, seeds)


def print_table(found: dict[str, np.ndarray], seeds: Sequence[str]) -> None:
    """One row a round: minutes of work beyond the labels, the mAP (%), and what "next" needs.

    `found` is (S, R + 1, 2) for each order: seconds and mAP by seed and round.
    """
    own = found[ORDERS[0]].mean(axis=0) if ORDERS[0] in found else None
    print(f"\n{'order':<10}{'minutes':>9}{'mAP':>14}{'the same by next':>24}")
    for order, curves in found.items():
        begun = curves[:, :1, 0]
        for seconds, scores in zip((curves[..., 0] - begun).T, curves[..., 1].T, strict=True):
            spread = MeanStd.of([float(score) for score in scores])
            deviation = "" if spread.std is None else f" ± {100 * spread.std:.1f}"
            minutes, same = float(seconds.mean()) / 60, ""
            if own is not None and order != ORDERS[0] and minutes:
                needed = reached(own[:, 0] - own[0, 0], own[:, 1], spread.mean) / 60
                same = f"{needed:.1f} min, {needed / minutes:.0%}" if needed < np.inf else "not yet"
            mean_and_std = f"{100 * spread.mean:.1f}{deviation}"
            print(f"{order:<10}{minutes:>9.1f}{mean_and_std:>14}{same:>24}")
    labels = float(next(iter(found.values()))[:, 0, 0].mean()) / 60
    print(f"\nmAP (%) averaged over tIoU {AVERAGE} of all branches together; mean ± standard")
    print(f"deviation over the seeds {', '.join(seeds)}; last checkpoint; minutes: a model of a")
    print(
        f"person's time beyond the labels, which took {labels:.1f}; between rounds: a straight line"
    )


def reached(seconds: np.ndarray, scores: np.ndarray, wanted: float) -> float:
    """The seconds at which a line through scores first reaches one; infinite if it does not."""
    if scores[0] >= wanted:
        return 0.0
    for (t, low), (u, high) in pairwise(zip(seconds, scores, strict=True)):
        if high >= wanted:
            return float(t + (u - t) * (wanted - low) / (high - low))
    return np.inf


if __name__ == "__main__":
    main()
