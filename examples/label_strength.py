"""What are points and segments worth, and what do they cost? mAP against a person's time.

    python examples/label_strength.py ../shared/data/esc10-scenes crop=128 --out runs/label-strength

trains a recipe on the video labels of a data set, and with a point or a segment for every action of
5, 20, 50 and 100 % of the training videos (drawn anew for each seed, as the moments are), and
evaluates every run on the same test videos. An annotation in place of a data set is one to simulate
features over. Beside the rows are label-only chance, a linear classifier of snippets, and a
convolution trained on all true segments. A person's time is a model: seconds for each video label,
for each point and for each segment (`--seconds`).
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml

from duetal.baselines import guess_by_labels, train_linear, train_supervised
from duetal.cli.main import cli
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.files import write_text
from duetal.datasets import Dataset, open_dataset
from duetal.datasets.layouts import find_pieces
from duetal.evaluation import MeanStd, evaluate
from duetal.formats.csv_table import write_annotations
from duetal.localization.localization_settings import LocalizationSettings
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation
from duetal.runs.resolving import resolve_config
from duetal.runs.run_evaluation import ground_truth
from order_of_methods import AVERAGE, PROTOCOL, durations, localized

KINDS = ("points", "segments")
LABELS = "labels.csv"


@dataclass(frozen=True)
class StrengthRow:
    """A row of the table: by seed, what a person did, in seconds, and the mAP."""

    title: str
    seconds: Sequence[float]
    mean_ap: Sequence[float]


def main() -> None:
    """Train with more and stronger labels, and print one row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a data set, or an annotation to simulate over")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--difficulty", default="0.5", help="of a simulation")
    parser.add_argument("--shares", default="5,20,50,100", help="percent of the training videos")
    parser.add_argument("--seconds", default="3,6,20", help="for a label, a point and a segment")
    parser.add_argument("--seeds", default="0,1,2", help="of everything trained and drawn")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    data = options.data
    if not data.is_dir():
        data = options.out / "dataset"
        words = ["simulate", options.data, "--out", data, "--difficulty", options.difficulty]
        cli.main([*map(str, words), "--force"], standalone_mode=False)
    dataset = open_dataset(data)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    cost = dict(zip(("labels", *KINDS), map(float, options.seconds.split(",")), strict=True))
    words = [*options.overrides, f"dataset={data}"]
    settings = resolve_config(options.recipe, words).localization
    print_table(
        [*baselines(dataset, seeds, settings), *trained(data, dataset, options, seeds, cost)], seeds
    )


def baselines(
    dataset: Dataset, seeds: Sequence[int], settings: LocalizationSettings
) -> Iterator[StrengthRow]:
    """What knows labels alone, what knows no time, and what knows all segments."""
    weak = dataset.weak()
    guessed = evaluate(guess_by_labels(weak, durations(dataset)), ground_truth(dataset), PROTOCOL)
    yield StrengthRow("label-only chance", [], [guessed.averages[AVERAGE]])
    linear = [localized(train_linear(weak, seed=s).score, dataset, settings) for s in seeds]
    yield StrengthRow("linear per-snippet MIL", [], [e.averages[AVERAGE] for e in linear])
    segments = {
        name: dataset.on_grid(dataset.annotations.videos[name]).segments or ()
        for name in dataset.training
    }
    scores = (train_supervised(weak, segments, seed=seed).score for seed in seeds)
    strong = [localized(score, dataset, settings) for score in scores]
    title = "convolution, true segments"
    yield StrengthRow(title, [], [e.averages[AVERAGE] for e in strong])


def trained(
    data: Path,
    dataset: Dataset,
    options: argparse.Namespace,
    seeds: Sequence[int],
    cost: dict[str, float],
) -> Iterator[StrengthRow]:
    """Labels alone, and each kind for each share of the videos."""
    shares = [int(share) for share in options.shares.split(",")]
    for kind, share in [("labels", 0), *((kind, share) for kind in KINDS for share in shares)]:
        seconds, found = [], []
        for seed in seeds:
            videos = label(dataset, kind, share / 100, seed)
            folder = options.out / f"{kind}-{share}" / f"seed-{seed}"
            write_dataset(folder / "dataset", data, dataset.classes)
            write_annotations(folder / "dataset" / LABELS, videos)
            use = "video" if kind == "labels" else kind
            words = ["train", options.recipe, f"dataset={folder / 'dataset'}", f"seed={seed}"]
            words += [f"labels.use={use}", f"protocol={PROTOCOL}", "threads=1", *options.overrides]
            cli.main([*words, "--out", str(folder / "run"), "--resume"], standalone_mode=False)
            stages = RunEvaluation.read(RunFolder(folder / "run").evaluation_file).stages
            found.append(stages[-1].averages[AVERAGE])
            marks = sum(len(video.segments or ()) for video in videos)
            labels = sum(len(video.labels) for video in videos if video.segments is None)
            seconds.append(cost["labels"] * labels + cost[kind] * marks)
        title = "video labels alone" if kind == "labels" else f"{kind} in {share} % of the videos"
        yield StrengthRow(title, seconds, found)


def label(dataset: Dataset, kind: str, share: float, seed: int) -> Annotations:
    """The training videos, a share of them with a point or a segment for each action."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(dataset.training))
    chosen = {dataset.training[row] for row in order[: round(share * len(order))]}
    videos = {}
    for name in dataset.training:
        known = dataset.annotations.videos[name]
        segments = known.segments if name in chosen else None
        if segments is not None and kind == "points":
            segments = tuple(_point(segment, random) for segment in segments)
        labels = dataset.train_labels[name]
        videos[name] = VideoAnnotation(name, None, known.duration, labels, segments)
    return Annotations(videos, dataset.classes)


def _point(segment: Segment, random: np.random.Generator) -> Segment:
    """A moment anywhere inside of an action."""
    at = float(random.uniform(segment.start, segment.end))
    return replace(segment, start=at, end=at)


def write_dataset(folder: Path, data: Path, classes: Sequence[str]) -> None:
    """The data set with other labels to train on, to be written to `LABELS` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = find_pieces(data)
    for entry in data.resolve().iterdir():
        link = folder / entry.name
        if entry.name != "dataset.yaml" and entry.suffix not in (".tsv", ".csv"):
            link.unlink(missing_ok=True)
            link.symlink_to(entry)
    described = data / "dataset.yaml"
    values = yaml.safe_load(described.read_text()) if described.is_file() else {}
    values |= {"train_labels": LABELS, "classes": list(classes)}
    if pieces.annotations is not None:
        values["annotations"] = pieces.annotations.name
    write_text(folder / "dataset.yaml", yaml.safe_dump(values))


def print_table(rows: Sequence[StrengthRow], seeds: Sequence[int]) -> None:
    """One row each: a person's hours, the mAP (%), and how far it is on the way up.

    The way is from video labels alone to the best of what knows all segments.
    """
    means = {row.title: MeanStd.of(row.mean_ap).mean for row in rows}
    low = means["video labels alone"]
    high = max(means["convolution, true segments"], means[rows[-1].title])
    print(f"\n{'learnt from':<34}{'hours':>8}{'mAP':>14}{'of the way':>12}")
    for row in rows:
        spread = MeanStd.of(row.mean_ap)
        deviation = "" if spread.std is None else f" ± {100 * spread.std:.1f}"
        hours = f"{np.mean(row.seconds) / 3600:.2f}" if row.seconds else ""
        way = f"{(spread.mean - low) / (high - low):.0%}" if row.seconds and high > low else ""
        print(f"{row.title:<34}{hours:>8}{f'{100 * spread.mean:.1f}{deviation}':>14}{way:>12}")
    said = f"mean ± standard deviation over the seeds {', '.join(map(str, seeds))}"
    print(f"\nmAP (%) averaged over tIoU {AVERAGE} of the last stage; {said}; last checkpoint;")
    print("hours: a model of a person's time; the way: from video labels alone to all segments")


if __name__ == "__main__":
    main()
