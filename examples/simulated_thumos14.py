"""The two branches on simulated features over THUMOS14's real annotation, stage by stage.

    python examples/simulated_thumos14.py ../shared/data/thumos14/Thumos14reduced-Annotations \
        --out runs/simulated

For each difficulty: `duetal simulate`, then `duetal train demo` for each seed, then two controls
that the stages are to be seen beside: CBP on labels alone for as many updates as it has in the
alternation, and the ensemble of the two branches that nobody has taught yet. Every number is
simulated: it says how the method behaves in a world built to the premise of the paper, and nothing
of real videos.

The settings of the recipe were chosen in the linear world (`--linear`) of `--world 0` at difficulty
0.5. The default is another world: other curves for every class, other noise, other scripts.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch

from duetal.cli.main import cli
from duetal.config import load_config
from duetal.core.files import read_json
from duetal.datasets import open_dataset
from duetal.evaluation import Evaluation, evaluate, summarize
from duetal.recipes import read as read_recipe
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation
from duetal.runs.localizing import localize
from duetal.runs.run import open_run
from duetal.runs.run_evaluation import ground_truth

UNTAUGHT = ["cbp-warmup", "vlp-zeroshot"]


def main() -> None:
    """Simulate, train, evaluate, and print a table for each difficulty."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("annotations", type=Path, help="annotation to simulate over")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--difficulties", default="0.5,0.7,0.9")
    parser.add_argument("--seeds", default="0,1,2", help="seeds of training to average over")
    parser.add_argument("--world", type=int, default=1, help="seed of the simulation")
    parser.add_argument("--linear", action="store_true", help="simulate the linear world")
    options = parser.parse_intermixed_args()
    extra = [*("--seed", str(options.world)), *(["--linear"] * options.linear)]
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    for difficulty in options.difficulties.split(","):
        folder = options.out / f"difficulty-{difficulty}"
        dataset = simulate(options.annotations, folder / "dataset", difficulty, extra)
        run = train(dataset, folder / "run", options.seeds, options.overrides)
        control = train(dataset, folder / "cbp-alone", options.seeds, alone(options.overrides))
        print_table(difficulty, run, control, [int(seed) for seed in options.seeds.split(",")])


def simulate(annotations: Path, dataset: Path, difficulty: str, extra: list[str]) -> Path:
    """`duetal simulate`, unless an earlier call has done it."""
    if not (dataset / "dataset.yaml").is_file():
        words = ["simulate", annotations, "--out", dataset]
        words += ["--difficulty", difficulty, *extra]
        cli.main([str(word) for word in words], standalone_mode=False)
    return dataset


def train(dataset: Path, out: Path, seeds: str, overrides: list[str]) -> Path:
    """`duetal train demo`; a second call finds it done or takes it up."""
    words = ["train", "demo", f"dataset={dataset}", "threads=1", *overrides]
    cli.main([*words, "--seeds", seeds, "--out", str(out), "--resume"], standalone_mode=False)
    return out


def alone(overrides: list[str]) -> list[str]:
    """Settings of CBP on labels alone, for as many epochs as it has in the alternation."""
    config = load_config(read_recipe("demo"), "recipe demo", overrides)
    schedule = config.schedule
    epochs = schedule.warmup_epochs + schedule.alternations * schedule.f_epochs
    return [*overrides, "alternations=0", f"warmup_epochs={epochs}"]


def untaught_ensemble(run: Path, dataset_folder: Path) -> Evaluation:
    """The ensemble of the warmed-up CBP branch and the zero-shot VLP branch."""
    opened = open_run(run)
    dataset = open_dataset(dataset_folder)
    found = localize(opened, dataset, dataset.evaluation, stages=UNTAUGHT)
    return evaluate(found, ground_truth(dataset), opened.config.data.protocol)


def print_table(difficulty: str, run: Path, control: Path, seeds: list[int]) -> None:
    """One row a stage: mAP at three tIoU and on average, precision and recall of snippets."""
    runs = [RunFolder(run).of_seed(seed) for seed in seeds]
    evaluations = [RunEvaluation.read(folder.evaluation_file) for folder in runs]
    diagnostics = [read_json(folder.evaluation_file)["diagnostics"] for folder in runs]
    controls = [
        RunEvaluation.read(RunFolder(control).of_seed(seed).evaluation_file).stages[0]
        for seed in seeds
    ]
    untaught = [untaught_ensemble(folder.path, run.parent / "dataset") for folder in runs]

    print(f"\nSIMULATED, difficulty {difficulty}: {len(seeds)} seeds of training, mAP in %")
    print(f"{'stage':<34}{'0.3':>12}{'0.5':>12}{'0.7':>12}{'0.1:0.7':>13}{'P':>7}{'R':>7}")
    print_row("CBP alone, as many updates", controls)
    print_row("ensemble without distillation", untaught)
    for index, stage in enumerate(evaluations[0].stages):
        scores = [each.stages[index] for each in evaluations]
        snippets = [d["stages"].get(stage.stage, {}) for d in diagnostics]
        print_row(stage.title, scores, *(mean_of(snippets, key) for key in ("precision", "recall")))
    print(f"{'pseudo-labels':<34}{'foreground P':>14}{'R':>7}{'background P':>15}{'R':>7}")
    for phase in diagnostics[0]["pseudo_labels"]:
        sets = [d["pseudo_labels"][phase] for d in diagnostics]
        kinds = [f"{kind}_{what}" for kind in ("foreground", "background") for what in MEASURES]
        values = [mean_of(sets, kind) for kind in kinds]
        print(f"{'for ' + phase:<34}{values[0]:>14}{values[1]:>7}{values[2]:>15}{values[3]:>7}")


MEASURES = ("precision", "recall")


def mean_of(records: list[dict[str, float | None]], key: str) -> str:
    """Mean of a measure over seeds, as text; a dash where it is not measured."""
    values = [value for record in records if (value := record.get(key)) is not None]
    return f"{fmean(values):.2f}" if values else "-"


def print_row(
    title: str, evaluations: Sequence[Evaluation], precision: str = "-", recall: str = "-"
) -> None:
    """Mean ± standard deviation over seeds."""
    summary = summarize(evaluations)
    tiou = [f"{value:g}" for value in evaluations[0].tiou]
    spreads = [summary.spreads[tiou.index(t)] for t in ("0.3", "0.5", "0.7")]
    cells = [
        f"{100 * s.mean:.1f}" + ("" if s.std is None else f" ± {100 * s.std:.1f}")
        for s in (*spreads, summary.averages["0.1:0.7"])
    ]
    print(
        f"{title:<34}{cells[0]:>12}{cells[1]:>12}{cells[2]:>12}{cells[3]:>13}{precision:>7}{recall:>7}"
    )


if __name__ == "__main__":
    main()
