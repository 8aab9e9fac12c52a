"""Weak training on real sensor sequences (UCI HAPT), beside two simple baselines.

    python examples/hapt.py ../shared/data/hapt --out runs/hapt --seeds 0,1,2

trains the recipe `hapt` (one modality, so the CBP branch alone) once per seed from the labels of
the training persons' windows, localizes the activities in the test persons' windows, and prints
mAP beside label-only chance and a linear classifier of single snippets. All go through the same
evaluation; the two classifiers also through the same localization.

All settings, the baselines' too, were chosen on training persons alone. `--validation` repeats
that: a third of the training persons takes the test persons' place, and `key=value` changes a
setting:

    python examples/hapt.py ../shared/data/hapt --out runs/narrow --validation topk_ratio=8
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from duetal.baselines import guess_by_labels, train_linear
from duetal.cli.main import cli
from duetal.core.detections import Detections
from duetal.core.files import read_json, write_json, write_text
from duetal.datasets import Dataset, open_dataset
from duetal.evaluation import Evaluation, summarize
from duetal.evaluation import evaluate as evaluate_detections
from duetal.formats.activitynet import write_detections
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import assemble, localize_video
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation
from duetal.runs.run_evaluation import ground_truth

PROTOCOL = "seconds"


def main() -> None:
    """Train, localize, evaluate, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder of HAPT features and annotations")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--seeds", default="0,1,2", help="seeds to average over")
    parser.add_argument(
        "--validation", action="store_true", help="evaluate on a third of the training persons"
    )
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)  # Networks this small gain nothing from more.

    place = (
        split_training_persons(options.data, options.out) if options.validation else options.data
    )
    dataset = open_dataset(place)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    scores = {
        "label-only chance": [chance(dataset, options.out)],
        "linear per-snippet MIL": [linear(dataset, options.out, seed) for seed in seeds],
        **train_duetal(place, options.out / "run", seeds, options.overrides),
    }
    print_table(scores, seeds)


def split_training_persons(data: Path, out: Path) -> Path:
    """Make a dataset of the training persons alone: every third of them is to be evaluated on."""
    annotations = read_json(data / "annotations.json")
    known = annotations["database"]
    training = [name for name in known if known[name]["subset"] == "train"]
    persons = sorted({person_of(name) for name in training})
    held_out = set(persons[::3])
    for name in training:
        known[name]["subset"] = "test" if person_of(name) in held_out else "train"
    annotations["database"] = {name: known[name] for name in training}
    folder = out / "training-persons"
    write_json(folder / "annotations.json", annotations)
    features = (data / "features").resolve()
    write_text(folder / "dataset.yaml", f"cbp: {features}\nannotations: annotations.json\n")
    return folder


def person_of(name: str) -> str:
    """`hapt_e24_u12_w05`, window 5 of experiment 24, shows the person `u12`."""
    return name.split("_")[2]


def train_duetal(
    place: Path, out: Path, seeds: Sequence[int], overrides: Sequence[str]
) -> dict[str, Sequence[Evaluation]]:
    """`duetal train hapt dataset=PLACE --seeds 0,1,2 --out OUT`, unless done; by stage."""
    chosen = ",".join(map(str, seeds))
    words = ["train", "hapt", f"dataset={place}", f"protocol={PROTOCOL}", "threads=1", *overrides]
    cli.main([*words, "--seeds", chosen, "--out", str(out), "--resume"], standalone_mode=False)
    runs = [RunFolder(out).of_seed(seed) for seed in seeds]
    found = [RunEvaluation.read(run.evaluation_file).stages for run in runs]
    return {f"duetal: {stages[0].title}": stages for stages in zip(*found, strict=True)}


def chance(dataset: Dataset, out: Path) -> Evaluation:
    """Guess from the training labels alone. Nothing in it is random: one seed is all seeds."""
    durations = {name: duration_of(dataset, name) for name in dataset.evaluation}
    return evaluate(guess_by_labels(dataset.weak(), durations), dataset, out, "chance")


def linear(dataset: Dataset, out: Path, seed: int) -> Evaluation:
    """Train the linear classifier and localize with it."""
    classifier = train_linear(dataset.weak(), seed=seed)
    found = [
        localize_video(
            *classifier.score(dataset.streams["cbp"].read(name)),
            dataset.grid,
            LocalizationSettings(),
            duration=duration_of(dataset, name),
            name=name,
        )
        for name in dataset.evaluation
    ]
    detections = assemble(found, dataset.evaluation, dataset.classes)
    return evaluate(detections, dataset, out, f"linear-{seed}")


def duration_of(dataset: Dataset, name: str) -> float:
    """Seconds of a video, as annotated or else as the features have it."""
    return dataset.annotations.videos[name].duration or dataset.length(name) * (
        dataset.grid.seconds_per_snippet
    )


def evaluate(detections: Detections, dataset: Dataset, out: Path, name: str) -> Evaluation:
    """Keep a baseline's detections, and score them."""
    write_detections(out / "baselines" / f"{name}.json", detections)
    return evaluate_detections(detections, ground_truth(dataset), PROTOCOL)


def print_table(scores: Mapping[str, Sequence[Evaluation]], seeds: Sequence[int]) -> None:
    """One row per method: mAP (%) at each tIoU and on average, mean ± deviation over seeds."""
    first = next(iter(scores.values()))[0]
    heads = [f"{tiou:g}" for tiou in first.tiou] + ["0.1:0.7"]
    print(f"\n{'mAP (%) at tIoU':<32}" + "".join(f"{head:>12}" for head in heads))
    for title, evaluations in scores.items():
        summary = summarize(evaluations)
        spreads = [*summary.spreads, summary.averages["0.1:0.7"]]
        cells = [
            f"{100 * s.mean:.1f}" + ("" if s.std is None else f" ± {100 * s.std:.1f}")
            for s in spreads
        ]
        print(f"{title:<32}" + "".join(f"{cell:>12}" for cell in cells))
    print(
        f"\nprotocol {PROTOCOL}: {first.videos} videos, {first.segments} segments; "
        f"mean ± standard deviation over the seeds {', '.join(map(str, seeds))}; last checkpoint"
    )


if __name__ == "__main__":
    main()
