"""Evaluation by labels alone, where no segment of the held-out videos is known.

There is no localization mAP then. What is measured is how each stage ranks the held-out videos by
their labels; their detections are kept to be looked at.
"""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.datasets import Dataset
from duetal.results.schema import LabelEvaluation, LabelScores
from duetal.runs.localizing import Localized, Progress
from duetal.runs.run import Run
from duetal.runs.selection import video_mean_ap
from duetal.runs.stage_results import (
    branch_of,
    localize_stage,
    results_are_there,
    write_score_index,
)


def run_label_evaluation(
    run: Run, dataset: Dataset, device: torch.device, progress: Progress
) -> LabelEvaluation | None:
    """How well a run ranks videos by label, computed unless it is there; None without labels.

    Raises:
        DuetalError: features of a held-out video are unreadable or not finite, or
            `label_evaluation.json` is damaged.
    """
    if not has_labels(dataset):
        return None
    file = run.folder.label_evaluation_file
    if file.is_file() and results_are_there(run):
        found = LabelEvaluation.read(file)
        if tuple(found.videos) == dataset.evaluation:
            return found
    labels = _labels(dataset, run.model.classes)
    stages = [
        _rank_by_label(run, dataset, stage, labels, device, progress)
        for stage in run.model.evaluated_stages()
    ]
    write_score_index(run)
    chance = fmean(chance_ap(int(n), len(labels)) for n in labels.sum(axis=0) if n)
    found = LabelEvaluation(
        selection=run.model.selection,
        videos=list(dataset.evaluation),
        chance=chance,
        stages=stages,
    )
    found.write(file)
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


def _rank_by_label(
    run: Run,
    dataset: Dataset,
    stage: str,
    labels: NDArray[np.bool_],
    device: torch.device,
    progress: Progress,
) -> LabelScores:
    rows: list[NDArray[np.floating]] = []

    def keep(video: Localized) -> None:
        rows.append(video.scores.video)

    localize_stage(run, dataset, stage, device, progress, keep)
    scores = np.stack(rows)
    per_class = {
        label: video_mean_ap(scores[:, [column]], labels[:, [column]])
        for column, label in enumerate(run.model.classes)
        if labels[:, column].any()
    }
    labelled = labels.any(axis=1)
    first = labels[np.arange(len(labels)), scores.argmax(axis=1)][labelled]
    title = run.model.title_of(stage)
    found = LabelScores(
        stage=stage,
        title=title,
        branch=branch_of(run, stage),
        per_class=per_class,
        first_right=float(first.mean()),
    )
    run.folder.log(f"{title}: mAP (%) of the labels of held-out videos: {100 * found.mean_ap:.2f}")
    return found
