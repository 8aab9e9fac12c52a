"""Precision and recall of scores and pseudo-labels by snippet, computed after training."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.core.annotations import VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.method.pseudo_labels import BACKGROUND, FOREGROUND
from duetal.results import checkpoints
from duetal.results.kept_labels import all_classes
from duetal.results.schema import PseudoLabelScores, SnippetScores

#: Scores are stretched to 0..1 over each video's present classes; above this is "action".
THRESHOLD = 0.5
#: (3,) how many snippets are predicted, true, and both.
Hits = NDArray[np.int64]


def snippet_scores(hits: Hits) -> SnippetScores:
    """Precision, recall and F1; a stage without a positive snippet has precision 0."""
    precision, recall = (value or 0.0 for value in precision_recall(hits))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return SnippetScores(precision=precision, recall=recall, f1=f1)


def snippet_hits(
    scores: NDArray[np.floating], video: VideoAnnotation, classes: tuple[str, ...], grid: TimeGrid
) -> Hits:
    """Judge the (T, K) probabilities of a video with known segments, over its present classes."""
    truth, present = snippet_truth(video, classes, len(scores), grid)
    if not present.any():
        return np.zeros(3, dtype=np.int64)
    chosen = np.asarray(scores[:, present], dtype=np.float64)
    low, high = chosen.min(), chosen.max()
    stretched = (chosen - low) / max(high - low, 1e-12)
    return count_hits(stretched > THRESHOLD, truth[:, present])


def pseudo_label_scores(
    labels: Mapping[str, NDArray[np.int8]],
    videos: Mapping[str, VideoAnnotation],
    classes: tuple[str, ...],
    grid: TimeGrid,
) -> PseudoLabelScores:
    """Judge the (T, K) pseudo-labels of those `videos` that have some, over present classes.

    The segments of `videos` are known. A value is None where there was nothing to count.
    """
    foreground, background = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    for name in labels.keys() & videos.keys():
        truth, present = snippet_truth(videos[name], classes, len(labels[name]), grid)
        chosen, true = labels[name][:, present], truth[:, present]
        foreground += count_hits(chosen == FOREGROUND, true)
        background += count_hits(chosen == BACKGROUND, ~true)
    precision, recall = precision_recall(foreground)
    of_background, recall_of_background = precision_recall(background)
    return PseudoLabelScores(
        foreground_precision=precision,
        foreground_recall=recall,
        background_precision=of_background,
        background_recall=recall_of_background,
    )


def count_hits(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> Hits:
    """Count snippets."""
    return np.array([predicted.sum(), true.sum(), (predicted & true).sum()], dtype=np.int64)


def precision_recall(hits: Hits) -> tuple[float | None, float | None]:
    """Precision (None where nothing is predicted) and recall (None where nothing is true)."""
    predicted, true, both = map(int, hits)
    return both / predicted if predicted else None, both / true if true else None


def snippet_truth(
    video: VideoAnnotation, classes: tuple[str, ...], length: int, grid: TimeGrid
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(T, K) whether a snippet's centre is in a segment of the class; (K,) which classes occur."""
    truth = np.zeros((length, len(classes)), dtype=np.bool_)
    segments = video.segments or ()
    present = np.isin(classes, [segment.label for segment in segments])
    for column in np.flatnonzero(present):
        own = [segment for segment in segments if segment.label == classes[column]]
        starts, ends = np.array([(segment.start, segment.end) for segment in own]).T
        truth[:, column] = grid.cover(starts, ends, length)
    return truth, present


def read_pseudo_labels(path: Path) -> dict[str, NDArray[np.int8]]:
    """The pseudo-labels of a phase, by training video; a DuetalError if missing or damaged."""
    saved = checkpoints.load(path)
    if any(tensor.ndim != 2 or tensor.dtype != torch.int8 for tensor in saved.tensors.values()):
        raise DuetalError("holds no pseudo-labels", file=path)
    return {
        name: all_classes(tensor.numpy(), name, saved.record)
        for name, tensor in saved.tensors.items()
    }
