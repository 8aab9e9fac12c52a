"""Branches in turns, side by side, and in a process each: how well, and how fast.

    python examples/online.py ../shared/data/esc10-scenes --recipe auto --out runs/online

of a data set, or of features simulated over an annotation:

    python examples/online.py ../shared/data/thumos14/gt.json --out runs/online

trains with `mode=alternate`, `online` and `async`, with the same settings and as many updates of
each branch, and prints mAP in %, mean ± standard deviation over the seeds, beside label-only chance
and a linear classifier of snippets, and the seconds that training took, from its first update to
its last checkpoint. What a recipe chooses is chosen once. A process has one thread; `async` has two
processes.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from duetal.baselines import guess_by_labels, train_linear
from duetal.cli.main import cli
from duetal.datasets import open_dataset
from duetal.evaluation import Evaluation, evaluate, summarize
from duetal.localization.localization_settings import LocalizationSettings
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation
from duetal.runs.resolving import resolve_config
from duetal.runs.run_evaluation import ground_truth
from order_of_methods import AVERAGE, PROTOCOL, choose_videos, durations, localized, run_of


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a data set, or an annotation to simulate over")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--difficulty", default="0.5", help="of a simulation")
    parser.add_argument("--every", type=int, default=1, help="take every n-th video alone")
    parser.add_argument("--seeds", default="0,1,2", help="of everything trained")
    parser.add_argument("--modes", default="alternate,online,async", help="of the schedule")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    data = options.data
    if not data.is_dir():
        data, chosen = options.out / "dataset", options.out / "annotations.json"
        choose_videos(options.data, chosen, options.every)
        words = ["simulate", chosen, "--out", data, "--difficulty", options.difficulty]
        cli.main([*map(str, words), "--force"], standalone_mode=False)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    words = [*options.overrides, f"dataset={data}"]
    settings = resolve_config(options.recipe, words).localization
    rows = [*baselines(data, seeds, settings), *trained(data, options, seeds)]
    print(f"\n{'mAP (%)':<32}{'0.5':>12}{'0.7':>12}{AVERAGE:>12}{'seconds':>14}")
    for name, found, seconds in rows:
        summary = summarize(found)
        at = dict(zip(found[0].tiou, summary.spreads, strict=True))
        cells = [
            f"{100 * each.mean:.1f}" + ("" if each.std is None else f" ± {100 * each.std:.1f}")
            for each in (at[0.5], at[0.7], summary.averages[AVERAGE])
        ]
        spent = f"{np.mean(seconds):.0f} ± {np.std(seconds):.0f}" if seconds else ""
        print(f"{name:<32}" + "".join(f"{cell:>12}" for cell in cells) + f"{spent:>14}")


#: The name of a method, its evaluation for each seed, and the seconds that each was trained.
Row = tuple[str, Sequence[Evaluation], Sequence[float]]


def baselines(data: Path, seeds: Sequence[int], settings: LocalizationSettings) -> Iterator[Row]:
    """What knows labels alone, and what knows no time."""
    dataset = open_dataset(data)
    guessed = guess_by_labels(dataset.weak(), durations(dataset))
    yield "label-only chance", [evaluate(guessed, ground_truth(dataset), PROTOCOL)], []
    scores = (train_linear(dataset.weak(), seed=seed).score for seed in seeds)
    found = [localized(score, dataset, settings) for score in scores]
    yield "linear per-snippet MIL", found, []


def trained(data: Path, options: argparse.Namespace, seeds: Sequence[int]) -> Iterator[Row]:
    """Every stage of each mode."""
    recipe, words = options.recipe, [f"dataset={data}", f"protocol={PROTOCOL}", "threads=1"]
    words += ["detector.rounds=0", *options.overrides]
    modes = options.modes.split(",")
    for mode in modes:
        out = options.out / mode
        command = ["train", recipe, *words, f"mode={mode}", "--seeds", options.seeds, "--resume"]
        cli.main([*command, "--out", str(out)], standalone_mode=False)
        folders = [run_of(options.out, mode, seed) for seed in seeds]
        # The others take over what was chosen for the first.
        recipe, words = str(run_of(options.out, modes[0], seeds[0]).config_file), ["choose=[]"]
        seconds = [training_seconds(folder) for folder in folders]
        evaluations = [RunEvaluation.read(folder.evaluation_file).stages for folder in folders]
        for stages in zip(*evaluations, strict=True):
            yield f"{mode}: {stages[0].title}", stages, seconds


def training_seconds(folder: RunFolder) -> float:
    """Seconds between the first file of a training and the last."""
    files = (folder.environment_file, folder.model_file)
    began, ended = (file.stat().st_mtime for file in files)
    return ended - began


if __name__ == "__main__":
    main()
