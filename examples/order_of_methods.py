"""Which method stands above which, on data or on a simulation, beside chance and a ceiling.

    python examples/order_of_methods.py ../shared/data/esc10-scenes crop=128 --out runs/order

of a data set, or, given an annotation, of features simulated over it at several difficulties:

    python examples/order_of_methods.py ../shared/data/thumos14/gt.json --out runs/order

prints mAP in %, mean ± standard deviation over the seeds, for label-only chance, a linear
classifier of snippets, every stage of a run of the recipe, the same run untaught (as many updates,
from labels alone), and a small convolution trained on the true segments. All go through the same
localization and evaluation. A simulation is worth measuring in where this order is that of real
data.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.baselines import guess_by_labels, train_linear, train_supervised
from duetal.cli.main import cli
from duetal.datasets import Dataset, open_dataset
from duetal.evaluation import Evaluation, evaluate
from duetal.formats import read_annotations
from duetal.formats.activitynet import write_annotations
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import assemble, localize_video
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation
from duetal.runs.run_evaluation import ground_truth

#: (T, K) probabilities of snippets and (K,) of the video, from (T, C) features.
Score = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
SHOWN = (0.3, 0.5, 0.7)
AVERAGE = "0.1:0.7"


def main() -> None:
    """Print one table of a data set, or one for each difficulty."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a data set, or an annotation to simulate over")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--difficulties", default="0.5,0.7,0.9")
    parser.add_argument("--world", default="0", help="seed of the simulation")
    parser.add_argument("--linear", action="store_true", help="simulate the linear world")
    parser.add_argument("--every", type=int, default=1, help="take every n-th video alone")
    parser.add_argument("--seeds", default="0,1,2", help="of everything trained")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    if options.data.is_dir():
        print_table(str(options.data), options.data, options.out, options)
        return
    annotations = read_annotations(options.data)
    names = (annotations.training_names(), annotations.evaluation_names())
    chosen = annotations.select([name for some in names for name in some[:: options.every]])
    write_annotations(options.out / "annotations.json", chosen)
    for difficulty in options.difficulties.split(","):
        folder = options.out / f"difficulty-{difficulty}"
        words = [options.out / "annotations.json", "--out", folder / "dataset", "--force"]
        words += ["--difficulty", difficulty, "--seed", options.world]
        words += ["--linear"] * options.linear
        cli.main(["simulate", *map(str, words)], standalone_mode=False)
        print_table(f"SIMULATED, difficulty {difficulty}", folder / "dataset", folder, options)


def print_table(title: str, data: Path, out: Path, options: argparse.Namespace) -> None:
    """One row a method."""
    dataset = open_dataset(data)
    rows = list(methods(dataset, data, out, options))
    print(f"\n{title}: mAP (%), {len(dataset.training)} training videos, "
          f"{len(dataset.evaluation)} test videos, seeds {options.seeds}")  # fmt: skip
    print(f"{'':<32}" + "".join(f"{head:>14}" for head in (*SHOWN, AVERAGE)))
    for method, found in rows:
        table = 100 * np.array([numbers(evaluation) for evaluation in found])
        spread = table.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(table.shape[1])
        cells = zip(table.mean(axis=0), spread, strict=True)
        print(f"{method:<32}" + "".join(f"{f'{mean:.1f} ± {std:.1f}':>14}" for mean, std in cells))


def numbers(evaluation: Evaluation) -> list[float]:
    """What a row shows of one evaluation."""
    by_tiou = dict(zip(evaluation.tiou, evaluation.mean_ap, strict=True))
    return [*(by_tiou[tiou] for tiou in SHOWN), evaluation.averages[AVERAGE]]


def methods(
    dataset: Dataset, data: Path, out: Path, options: argparse.Namespace
) -> Iterator[tuple[str, list[Evaluation]]]:
    """The title of each method, and its evaluation for each seed."""
    seeds = [int(seed) for seed in options.seeds.split(",")]
    weak = dataset.weak()
    segments = {
        name: dataset.on_grid(dataset.annotations.videos[name]).segments or ()
        for name in dataset.training
    }
    guessed = guess_by_labels(weak, durations(dataset))
    yield "label-only chance", [evaluate(guessed, ground_truth(dataset), "seconds")]
    yield (
        "linear per-snippet MIL",
        [localized(train_linear(weak, seed=seed).score, dataset) for seed in seeds],
    )
    words = ["train", options.recipe, f"dataset={data}", "protocol=seconds", "threads=1"]
    words += [*options.overrides, "--seeds", options.seeds, "--resume"]
    for run, extra, prefix in (
        ("taught", [], ""),
        ("untaught", ["distillation_weight=0"], "untaught: "),
    ):
        cli.main([*words, *extra, "--out", str(out / run)], standalone_mode=False)
        folders = [RunFolder(out / run).of_seed(seed) for seed in seeds]
        found = [RunEvaluation.read(folder.evaluation_file).stages for folder in folders]
        for stages in zip(*found, strict=True):
            yield prefix + stages[0].title, list(stages)
        if len(found[0]) == 1:  # One stream: nobody teaches.
            break
    yield (
        "convolution, true segments",
        [localized(train_supervised(weak, segments, seed=seed).score, dataset) for seed in seeds],
    )


def localized(score: Score, dataset: Dataset) -> Evaluation:
    """The evaluation of what a classifier of CBP features finds."""
    lasting, settings = durations(dataset), LocalizationSettings()
    found = [
        localize_video(
            *score(dataset.streams["cbp"].read(name)), dataset.grid, settings,
            offset=dataset.offset(name), duration=lasting[name], name=name,
        )
        for name in dataset.evaluation
    ]  # fmt: skip
    detections = assemble(found, dataset.evaluation, dataset.classes)
    return evaluate(detections, ground_truth(dataset), "seconds")


def durations(dataset: Dataset) -> dict[str, float]:
    """Seconds of each test video, as annotated or else as the features have it."""
    return {
        name: dataset.duration(name) or dataset.length(name) * dataset.grid.seconds_per_snippet
        for name in dataset.evaluation
    }


if __name__ == "__main__":
    main()
