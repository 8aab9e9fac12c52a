"""How many labelled videos are enough? mAP against training videos per class, on real sequences.

    python examples/videos_per_class.py ../shared/data/hapt --out runs/videos-per-class

trains the recipe `hapt` on as many windows as give every class 5, 10, 20, … of them (labels
alone, drawn anew for each seed), evaluates every run on the same test persons, and prints a table.
What `duetal train --videos` says of a number of videos rests on this table (`runs/expectation.py`,
docs/own-videos.md). It is one data set of sensor sequences: expect its shape of others, not its
numbers.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from duetal.cli.main import cli
from duetal.core.annotations import Annotations
from duetal.core.files import write_text
from duetal.datasets import open_dataset
from duetal.evaluation import MeanStd
from duetal.formats.desed import write_weak
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation

AVERAGE = "0.1:0.7"


@dataclass(frozen=True)
class Result:
    """One run: the videos it was trained on, how many of its rarest class, and its mAP."""

    videos: int
    rarest: int
    mean_ap: float


def main() -> None:
    """Train on more and more videos, and print one row for each number of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder of HAPT features and annotations")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--counts", default="5,10,20,40", help="training videos per class")
    parser.add_argument("--seeds", default="0,1,2", help="seeds to average over")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    known = open_dataset(options.data).annotations
    known = known.select(known.training_names())
    seeds = [int(seed) for seed in options.seeds.split(",")]
    rows: dict[str, list[Result]] = {}
    for count in [*map(int, options.counts.split(",")), len(known)]:
        title = "all" if count == len(known) else f"{count} a class"
        folder = options.out / title.replace(" ", "-")
        rows[title] = [
            measure(
                options.data,
                draw(known, count, seed),
                folder / f"seed-{seed}",
                seed,
                options.overrides,
            )
            for seed in seeds
        ]
    print_table(rows, seeds)


def draw(known: Annotations, count: int, seed: int) -> Annotations:
    """Videos at random, until every class has `count` of them or all there are."""
    so_far: Counter[str] = Counter()
    chosen = []
    for row in np.random.default_rng(seed).permutation(len(known)):
        video = list(known)[row]
        if any(so_far[label] < count for label in video.labels):
            so_far.update(video.labels)
            chosen.append(video.name)
    return known.select(sorted(chosen))


def measure(
    data: Path, chosen: Annotations, folder: Path, seed: int, overrides: Sequence[str]
) -> Result:
    """`duetal train hapt` on the labels of some videos; a second call finds it done."""
    write_weak(folder / "dataset" / "weak_train.tsv", chosen)
    place = data.resolve()
    described = f"cbp: {place / 'features'}\nannotations: {place / 'annotations.json'}\n"
    write_text(folder / "dataset" / "dataset.yaml", described)
    words = ["train", "hapt", f"dataset={folder / 'dataset'}", f"seed={seed}", "threads=1"]
    words += [*overrides, "--out", str(folder / "run"), "--resume"]
    cli.main(words, standalone_mode=False)
    run = RunFolder(folder / "run")
    evaluation = RunEvaluation.read(run.evaluation_file).stages[-1]
    counts = Counter(label for video in chosen for label in video.labels)
    return Result(len(chosen), min(counts.values()), evaluation.averages[AVERAGE])


def print_table(rows: Mapping[str, Sequence[Result]], seeds: Sequence[int]) -> None:
    """One row for each number of videos: mAP (%), and its share of what all videos give."""
    whole = MeanStd.of([result.mean_ap for result in list(rows.values())[-1]]).mean
    print(
        f"\n{'training videos':<18}{'in all':>8}{'of the rarest class':>21}{'mAP':>13}{'share':>8}"
    )
    for title, results in rows.items():
        videos = MeanStd.of([result.videos for result in results]).mean
        rarest = min(result.rarest for result in results)
        mean_ap = MeanStd.of([result.mean_ap for result in results])
        spread = "" if mean_ap.std is None else f" ± {100 * mean_ap.std:.1f}"
        cell = f"{100 * mean_ap.mean:.1f}{spread}"
        share = mean_ap.mean / whole
        print(f"{title:<18}{videos:>8.0f}{rarest:>21}{cell:>13}{share:>8.0%}")
    said = f"mean ± standard deviation over the seeds {', '.join(map(str, seeds))}"
    print(f"\nmAP (%) averaged over tIoU {AVERAGE}, on the same test videos in every row; {said};")
    print("last checkpoint")


if __name__ == "__main__":
    main()
