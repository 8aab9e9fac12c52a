"""What labels alone can tell of a trained run: does it find *what* is in the held-out videos?

Where no segment is marked there is no localization mAP. Left to measure is how each stage ranks
the held-out videos by their labels; the detections in them are kept to be looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.files import read_json, write_json
from duetal.datasets import Dataset
from duetal.runs.folder import Run
from duetal.runs.localize import Localized, Progress
from duetal.runs.selection import video_mean_ap
from duetal.runs.stage_results import (
    evaluated_stages,
    localize_stage,
    results_are_there,
    stage_title,
    write_score_index,
)


@dataclass(frozen=True)
class StageLabels:
    """How well a stage tells the labels of the held-out videos.

    Args:
        stage: its name.
        title: what a table calls it.
        per_class: average precision of the ranking of the videos, by class that occurs in them.
        first_right: share of the videos with a label whose surest class is one of their labels.
    """

    stage: str
    title: str
    per_class: Mapping[str, float]
    first_right: float

    @property
    def mean_ap(self) -> float:
        """The mean over the classes that occur."""
        return fmean(self.per_class.values())


@dataclass(frozen=True)
class LabelEvaluation:
    """The content of `label_evaluation.json`.

    Args:
        selection: the rule that chose the final checkpoints.
        videos: names of the held-out videos.
        chance: the mean average precision that a random ranking has, on average.
        stages: in order of training, the ensemble last.
    """

    selection: str
    videos: tuple[str, ...]
    chance: float
    stages: tuple[StageLabels, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "selection": self.selection,
            "videos": list(self.videos),
            "chance": self.chance,
            "stages": [
                {
                    "stage": stage.stage,
                    "title": stage.title,
                    "mAP": stage.mean_ap,
                    "first_right": stage.first_right,
                    "per_class": dict(stage.per_class),
                }
                for stage in self.stages
            ],
        }

    @staticmethod
    def read(path: Path) -> "LabelEvaluation":
        """Read `label_evaluation.json`.

        Raises:
            DuetalError: unreadable or damaged.
        """
        value = read_json(path)
        try:
            stages = tuple(
                StageLabels(
                    str(row["stage"]),
                    str(row["title"]),
                    {str(label): float(ap) for label, ap in row["per_class"].items()},
                    float(row["first_right"]),
                )
                for row in value["stages"]
            )
            videos = tuple(map(str, value["videos"]))
            return LabelEvaluation(str(value["selection"]), videos, float(value["chance"]), stages)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DuetalError(f"not an evaluation of labels: {error!r}", file=path) from error


def run_label_evaluation(
    run: Run, dataset: Dataset, device: torch.device, progress: Progress
) -> LabelEvaluation | None:
    """How well a run tells labels, computed unless it is there; None without labels to tell.

    Raises:
        DuetalError: features of a held-out video are unreadable or not finite, or
            `label_evaluation.json` is damaged.
    """
    if not has_labels(dataset):
        return None
    file = run.folder.label_evaluation_file
    if file.is_file() and results_are_there(run):
        found = LabelEvaluation.read(file)
        if found.videos == dataset.evaluation:
            return found
    labels = _labels(dataset, run.model.classes)
    stages = [
        _tell_labels(run, dataset, stage, labels, device, progress)
        for stage in evaluated_stages(run)
    ]
    write_score_index(run)
    chance = fmean(chance_ap(int(n), len(labels)) for n in labels.sum(axis=0) if n)
    found = LabelEvaluation(run.model.selection, dataset.evaluation, chance, tuple(stages))
    write_json(file, found.to_json())
    return found


def has_labels(dataset: Dataset) -> bool:
    """Whether labels of evaluation videos are known."""
    return any(dataset.annotations.videos[name].labels for name in dataset.evaluation)


def chance_ap(positives: int, videos: int) -> float:
    """The average precision that a random ranking has, on average.

    Precision at a rank k that holds a positive is (1 + (k - 1)(R - 1)/(N - 1))/k on average, for R
    positives among N; the mean over all ranks is (H + (R - 1)/(N - 1)·(N - H))/N, with H the N-th
    harmonic number.
    """
    harmonic = sum(1 / k for k in range(1, videos + 1))
    others = (positives - 1) / (videos - 1) if videos > 1 else 0.0
    return (harmonic + others * (videos - harmonic)) / videos


def _labels(dataset: Dataset, classes: Sequence[str]) -> NDArray[np.bool_]:
    """(N, K) whether each held-out video carries each class."""
    known = [set(dataset.annotations.videos[name].labels) for name in dataset.evaluation]
    return np.array([[label in labels for label in classes] for labels in known])


def _tell_labels(
    run: Run,
    dataset: Dataset,
    stage: str,
    labels: NDArray[np.bool_],
    device: torch.device,
    progress: Progress,
) -> StageLabels:
    rows: list[NDArray[np.floating]] = []

    def look(video: Localized) -> None:
        rows.append(video.scores.video)

    localize_stage(run, dataset, stage, device, progress, look)
    scores = np.stack(rows)
    per_class = {
        label: video_mean_ap(scores[:, [column]], labels[:, [column]])
        for column, label in enumerate(run.model.classes)
        if labels[:, column].any()
    }
    labelled = labels.any(axis=1)
    first = labels[np.arange(len(labels)), scores.argmax(axis=1)][labelled]
    title = stage_title(run, stage)
    found = StageLabels(stage, title, per_class, float(first.mean()))
    run.folder.log(f"{title}: mAP (%) of the labels of held-out videos: {100 * found.mean_ap:.2f}")
    return found
