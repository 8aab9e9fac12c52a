"""What each part of the method is worth: a recipe as it is, without each part, and without all.

    python examples/ablation.py ../shared/data/esc10-scenes crop=128 --out runs/ablation

prints mAP in % (tIoU 0.1:0.1:0.7), mean ± standard deviation over the seeds, of the last stage of
each branch and of the ensemble. A row of `CHANGES` takes one part away; the last row takes all of
them away, which is nearly version 0.1.0.
"""

import argparse
from pathlib import Path

import torch

from duetal.cli.main import cli
from duetal.datasets import open_dataset
from duetal.evaluation import summarize
from duetal.results.folder import RunFolder
from duetal.results.schema import ModelRecord, RunEvaluation

AVERAGE = "0.1:0.7"
#: Settings without each part of the method.
CHANGES = {
    "no channel dropped": ["channel_dropout=0"],
    "four scales, repeated": ["cbp.levels=4", "interpolation=false"],
    "features of CBP not standardised": ["feature_normalization=false"],
    "pooled over the top quarter": ["topk_ratio=4"],
    "labels count alike": ["weigh_labels=false"],
    "weights of the last update": ["averaging=null"],
    "scores may saturate": ["calibration=false"],
}
#: Those that only a run of two streams knows.
OF_TWO = {
    "softmax over classes alone": ["score_function=softmax_without_background"],
    "classes do not compete": ["classes_compete=false", "class_threshold=0.2"],
    "input of VLP not standardised": ["input_normalization=false"],
    "no embedding of places": ["positions=0"],
    "B steps teach background alone": ["background_only=true"],
    "foreground above 0.7": ["pseudo_high=0.7"],
    "λ = 5": ["distillation_weight=5"],
    "nobody teaches": ["distillation_weight=0"],
}


def main() -> None:
    """Train each row, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a data set")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of every row")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--seeds", default="0,1,2", help="of everything trained")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.
    changes = CHANGES | (OF_TWO if len(open_dataset(options.data).streams) > 1 else {})
    rows = {"as it is": [], **changes}
    rows["all of these"] = [word for name, words in changes.items() for word in words
                            if name not in ("λ = 5", "nobody teaches")]  # fmt: skip
    words = ["train", options.recipe, f"dataset={options.data}", "protocol=seconds", "threads=1"]
    words += ["--seeds", options.seeds, "--resume", *options.overrides]
    lines = []
    for number, (title, changed) in enumerate(rows.items()):
        out = options.out / f"{number:02}"
        cli.main([*words, *changed, "--out", str(out)], standalone_mode=False)
        lines.append((title, results(out, [int(seed) for seed in options.seeds.split(",")])))
    print(f"\n{'':<36}" + "".join(f"{stage:>26}" for stage in lines[0][1]))
    for title, found in lines:
        print(f"{title:<36}" + "".join(f"{cell:>26}" for cell in found.values()))


def results(out: Path, seeds: list[int]) -> dict[str, str]:
    """Of each branch's last stage, and of what joins them: its title, and the cell of the table."""
    folders = [RunFolder(out).of_seed(seed) for seed in seeds]
    model = ModelRecord.read(folders[0].model_file)
    taken = {branch.final for branch in model.branches}
    taken |= set(model.evaluated_stages()) - {phase.stage for phase in model.phases}
    files = [RunEvaluation.read(folder.evaluation_file).stages for folder in folders]
    cells = {}
    for stages in zip(*files, strict=True):
        if stages[0].stage in taken:
            mean = summarize(stages).averages[AVERAGE]
            spread = "" if mean.std is None else f" ± {100 * mean.std:.1f}"
            cells[stages[0].title] = f"{100 * mean.mean:.1f}{spread}"
    return cells


if __name__ == "__main__":
    main()
