"""Which method stands above which: chance, linear, zero-shot VLP, the CBP network, true segments.

    python examples/order_of_methods.py ../shared/data/esc10-scenes crop=128 --out runs/order

of a data set, or, given an annotation, of features simulated over it at several difficulties:

    python examples/order_of_methods.py ../shared/data/thumos14/gt.json --out runs/order

A simulation is worth measuring in where this order is that of real data. The network is the recipe
`demo` without alternations. mAP in %, averaged over tIoU 0.1:0.1:0.7, one column for each way to
score a proposal.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.baselines import guess_by_labels, train_linear, train_supervised
from duetal.cli.main import cli
from duetal.datasets import Dataset, open_dataset
from duetal.evaluation import evaluate
from duetal.formats import read_annotations
from duetal.formats.activitynet import write_annotations
from duetal.localization.localization_settings import LocalizationSettings, Scoring
from duetal.localization.proposals import assemble, localize_video
from duetal.runs.run import open_run
from duetal.runs.run_evaluation import ground_truth
from duetal.runs.stage_scoring import stage_scorer

#: (T, K) probabilities of snippets and (K,) of the video, by its name.
Scorer = Callable[[str], tuple[NDArray[np.floating], NDArray[np.floating]]]
AVERAGE = "0.1:0.7"


def main() -> None:
    """Print one table of a data set, or one for each difficulty."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a data set, or an annotation to simulate over")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--recipe", default="demo", help="of the network")
    parser.add_argument("--difficulties", default="0.5,0.7,0.9")
    parser.add_argument("--world", default="0", help="seed of the simulation")
    parser.add_argument("--linear", action="store_true", help="simulate the linear world")
    parser.add_argument("--every", type=int, default=1, help="take every n-th video alone")
    parser.add_argument("--seed", type=int, default=0, help="of everything trained")
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
        words = [options.out / "annotations.json", "--out", folder / "dataset"]
        words += ["--difficulty", difficulty, "--seed", options.world]
        words += ["--linear"] * options.linear
        cli.main(["simulate", *map(str, words)], standalone_mode=False)
        print_table(f"SIMULATED, difficulty {difficulty}", folder / "dataset", folder, options)


def print_table(title: str, data: Path, out: Path, options: argparse.Namespace) -> None:
    """One row a method, as soon as it is measured."""
    dataset = open_dataset(data)
    print(f"\n{title}: mAP (%), {len(dataset.training)} training videos, "
          f"{len(dataset.evaluation)} test videos, seed {options.seed}")  # fmt: skip
    print(f"{'':<28}" + "".join(f"{scoring:>20}" for scoring in Scoring) + f"{'seconds':>9}")
    guessed = guess_by_labels(dataset.weak(), durations(dataset))
    truth = ground_truth(dataset)
    chance = evaluate(guessed, truth, "seconds").averages[AVERAGE]
    print(f"{'label-only chance':<28}" + f"{100 * chance:>20.1f}" * len(Scoring))
    for method, make in methods(dataset, data, out, options).items():
        began = time.monotonic()
        scorer = make()
        cells = [mean_ap(scorer, dataset, scoring) for scoring in Scoring]
        row = "".join(f"{100 * cell:>20.1f}" for cell in cells)
        print(f"{method:<28}{row}{time.monotonic() - began:>9.0f}", flush=True)


def methods(
    dataset: Dataset, data: Path, out: Path, options: argparse.Namespace
) -> dict[str, Callable[[], Scorer]]:
    """What trains each method, by its title; an earlier one may have done so."""
    cbp = dataset.streams["cbp"]

    def linear() -> Scorer:
        classifier = train_linear(dataset.weak(), seed=options.seed)
        return lambda name: classifier.score(cbp.read(name))

    def network(stage: str) -> Scorer:
        words = [options.recipe, f"dataset={data}", "alternations=0", "threads=1"]
        words += [*options.overrides, f"seed={options.seed}", "--out", str(out / "run"), "--resume"]
        cli.main(["train", *words], standalone_mode=False)
        score = stage_scorer(open_run(out / "run"), [stage], dataset, torch.device("cpu"))

        def scorer(name: str) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
            found = score(name)
            return found.snippets, found.video

        return scorer

    def supervised() -> Scorer:
        known = {name: dataset.on_grid(dataset.annotations.videos[name]).segments or ()
                 for name in dataset.training}  # fmt: skip
        classifier = train_supervised(dataset.weak(), known, seed=options.seed)
        return lambda name: classifier.score(cbp.read(name))

    two = {"zero-shot VLP": lambda: network("vlp-zeroshot")} if "vlp" in dataset.streams else {}
    return {
        "linear per-snippet MIL": linear,
        **two,
        "CBP on labels alone": lambda: network("cbp-warmup"),
        "convolution, true segments": supervised,
    }


def mean_ap(scorer: Scorer, dataset: Dataset, scoring: Scoring) -> float:
    """Average mAP of a method's detections in the test videos."""
    settings = LocalizationSettings(scoring=scoring)
    lasting = durations(dataset)
    found = [
        localize_video(
            *scorer(name), dataset.grid, settings, offset=dataset.offset(name),
            duration=lasting[name], name=name,
        )
        for name in dataset.evaluation
    ]  # fmt: skip
    detections = assemble(found, dataset.evaluation, dataset.classes)
    return evaluate(detections, ground_truth(dataset), "seconds").averages[AVERAGE]


def durations(dataset: Dataset) -> dict[str, float]:
    """Seconds of each test video, as annotated or else as the features have it."""
    return {
        name: dataset.duration(name) or dataset.length(name) * dataset.grid.seconds_per_snippet
        for name in dataset.evaluation
    }


if __name__ == "__main__":
    main()
