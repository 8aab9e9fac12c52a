"""Which method stands above which, on data or on a simulation, beside chance and a ceiling.

    python examples/order_of_methods.py ../shared/data/esc10-scenes crop=128 --out runs/order

of a data set, or, given an annotation, of features simulated over it at several difficulties:

    python examples/order_of_methods.py ../shared/data/thumos14/gt.json --out runs/order

prints mAP in %, mean ± standard deviation over the seeds, for label-only chance, a linear
classifier of snippets, every stage of a run of the recipe, the same run untaught (as many updates,
from labels alone), and a small convolution trained on the true segments. All go through the same
evaluation, and but for chance the same localization. A second table has what teaching, the ensemble
and the detector add, with intervals over the test videos and the seeds. A data set of one stream
has no untaught run: nobody teaches. A simulation is worth measuring in where this order is that of
real data.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.baselines import guess_by_labels, train_linear, train_supervised
from duetal.cli.main import cli
from duetal.config import SETTINGS
from duetal.datasets import Dataset, open_dataset
from duetal.evaluation import Evaluation, evaluate, protocol_named, summarize
from duetal.evaluation.comparison import Contender, compare
from duetal.formats import read_annotations, read_detections
from duetal.formats.activitynet import write_annotations
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import assemble, localize_video
from duetal.results.folder import RunFolder
from duetal.results.schema import ENSEMBLE, ModelRecord, RunEvaluation
from duetal.runs.resolving import resolve_config
from duetal.runs.run_evaluation import ground_truth

#: (T, K) probabilities of snippets and (K,) of the video, from (T, C) features.
Score = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
PROTOCOL = "seconds"
AVERAGE = "0.1:0.7"
#: The weight of what a teacher says: of each kind of step, or of all.
WEIGHTS = [s.name for s in SETTINGS if s.name in ("b_weight", "f_weight")] or [
    "distillation_weight"
]
TAUGHT, UNTAUGHT = "taught", "untaught"
#: A stage of the taught or the untaught run: the run's name, the stage.
Stage = tuple[str, str]


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
    choose_videos(options.data, options.out / "annotations.json", options.every)
    for difficulty in options.difficulties.split(","):
        folder = options.out / f"difficulty-{difficulty}"
        words = [options.out / "annotations.json", "--out", folder / "dataset", "--force"]
        words += ["--difficulty", difficulty, "--seed", options.world]
        words += ["--linear"] * options.linear
        cli.main(["simulate", *map(str, words)], standalone_mode=False)
        print_table(f"SIMULATED, difficulty {difficulty}", folder / "dataset", folder, options)


def choose_videos(annotation: Path, chosen: Path, every: int) -> None:
    """Write an annotation with every n-th video of each subset alone."""
    annotations = read_annotations(annotation)
    names = (annotations.training_names(), annotations.evaluation_names())
    kept = [name for some in names for name in some[::every]]
    write_annotations(chosen, annotations.select(kept))


def print_table(title: str, data: Path, out: Path, options: argparse.Namespace) -> None:
    """One row a method, and one a difference."""
    dataset = open_dataset(data)
    rows = list(methods(dataset, data, out, options))
    print(f"\n{title}: mAP (%), {len(dataset.training)} training videos, "
          f"{len(dataset.evaluation)} test videos, seeds {options.seeds}")  # fmt: skip
    print(f"{'':<32}" + "".join(f"{head:>12g}" for head in rows[0][1][0].tiou) + f"{AVERAGE:>12}")
    for method, found in rows:
        summary = summarize(found)
        cells = [
            f"{100 * each.mean:.1f}" + ("" if each.std is None else f" ± {100 * each.std:.1f}")
            for each in (*summary.spreads, summary.averages[AVERAGE])
        ]
        print(f"{method:<32}" + "".join(f"{cell:>12}" for cell in cells))
    print_differences(dataset, out, [int(seed) for seed in options.seeds.split(",")])


def print_differences(dataset: Dataset, out: Path, seeds: Sequence[int]) -> None:
    """One row a difference that is claimed."""
    is_several, truth = len(seeds) > 1, ground_truth(dataset)
    over = "videos and seeds" if is_several else "videos; one seed"
    print(f"\n{f'differences (95 % interval over {over})':<56}{AVERAGE:>8}")
    for name, *sides in claims(ModelRecord.read(run_of(out, TAUGHT, seeds[0]).model_file)):
        files = [[run_of(out, run, s).detections(stage) for s in seeds] for run, stage in sides]
        contenders = [
            Contender(str(side), tuple(map(read_detections, own)))
            for side, own in zip(sides, files, strict=True)
        ]
        protocol = protocol_named(PROTOCOL)
        result = compare(contenders, truth, protocol, over_seeds=is_several)
        found = result.versus[0].averages[AVERAGE]
        interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        print(f"{name:<56}{100 * found.value:>+8.1f}{interval:>18}")


def claims(model: ModelRecord) -> Iterator[tuple[str, Stage, Stage]]:
    """The name of each difference, the stage that is to be worse, and the one to be better."""
    stages = model.evaluated_stages()
    taught = {phase.stage for phase in model.phases if phase.teacher} | {ENSEMBLE}
    basis = model.branches[0].final
    if ENSEMBLE in stages:
        for stage in filter(taught.__contains__, stages):
            name = f"{model.title_of(stage)}: taught - untaught"
            yield name, (UNTAUGHT, stage), (TAUGHT, stage)
        yield f"Ensemble - {model.title_of(basis)}", (TAUGHT, basis), (TAUGHT, ENSEMBLE)
        basis = ENSEMBLE
    for stage in (each.name for each in model.rounds()):
        name = f"{model.title_of(stage)} - {model.title_of(basis)}"
        yield name, (TAUGHT, basis), (TAUGHT, stage)


def run_of(out: Path, run: str, seed: int) -> RunFolder:
    """The folder of one training."""
    return RunFolder(out / run).of_seed(seed)


def methods(
    dataset: Dataset, data: Path, out: Path, options: argparse.Namespace
) -> Iterator[tuple[str, Sequence[Evaluation]]]:
    """The title of each method, and its evaluation for each seed."""
    seeds = [int(seed) for seed in options.seeds.split(",")]
    weak = dataset.weak()
    settings = resolve_config(options.recipe, [*options.overrides, f"dataset={data}"]).localization
    segments = {
        name: dataset.on_grid(dataset.annotations.videos[name]).segments or ()
        for name in dataset.training
    }
    guessed = guess_by_labels(weak, durations(dataset))
    yield "label-only chance", [evaluate(guessed, ground_truth(dataset), PROTOCOL)]
    yield (
        "linear per-snippet MIL",
        [localized(train_linear(weak, seed=seed).score, dataset, settings) for seed in seeds],
    )
    words = ["train", options.recipe, f"dataset={data}", f"protocol={PROTOCOL}", "threads=1"]
    words += [*options.overrides, "--seeds", options.seeds, "--resume"]
    runs: dict[str, tuple[list[str], str]] = {TAUGHT: ([], "")}
    if len(dataset.streams) > 1:
        runs[UNTAUGHT] = ([f"{name}=0" for name in WEIGHTS], "untaught: ")
    for run, (extra, prefix) in runs.items():
        cli.main([*words, *extra, "--out", str(out / run)], standalone_mode=False)
        files = [run_of(out, run, seed).evaluation_file for seed in seeds]
        found = [RunEvaluation.read(file).stages for file in files]
        for stages in zip(*found, strict=True):
            yield prefix + stages[0].title, stages
    strong = (train_supervised(weak, segments, seed=seed).score for seed in seeds)
    yield "convolution, true segments", [localized(s, dataset, settings) for s in strong]


def localized(
    score: Score, dataset: Dataset, settings: LocalizationSettings | None = None
) -> Evaluation:
    """The evaluation of what a classifier of CBP features finds."""
    lasting, settings = durations(dataset), settings or LocalizationSettings()
    found = [
        localize_video(
            *score(dataset.streams["cbp"].read(name)), dataset.grid, settings,
            offset=dataset.offset(name), duration=lasting[name], name=name,
        )
        for name in dataset.evaluation
    ]  # fmt: skip
    detections = assemble(found, dataset.evaluation, dataset.classes)
    return evaluate(detections, ground_truth(dataset), PROTOCOL)


def durations(dataset: Dataset) -> dict[str, float]:
    """Seconds of each test video, as annotated or else as the features have it."""
    return {
        name: dataset.duration(name) or dataset.length(name) * dataset.grid.seconds_per_snippet
        for name in dataset.evaluation
    }


if __name__ == "__main__":
    main()
