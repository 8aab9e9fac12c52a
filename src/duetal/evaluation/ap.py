"""Average precision of temporal detections, as ActivityNet's official evaluator defines it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from duetal.core.detections import Detections
from duetal.evaluation.matching import match


@dataclass(frozen=True)
class GroundTruth:
    """The segments to find, one row each, as columns; in the order of the annotation.

    Args:
        videos: names of the videos evaluated on.
        classes: the classes that occur.
        video: (M,) indices into `videos`.
        label: (M,) indices into `classes`.
        start: (M,) in the protocol's unit.
        end: (M,) in the protocol's unit.
    """

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    video: NDArray[np.int64]
    label: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Ranking:
    """Predictions of the ground truth's classes, class by class, the surest first, and matched.

    Args:
        rows: (N,) rows of the detections, in this order.
        video: (N,) indices into the ground truth's videos; -1 for a video that it does not have.
        bounds: (C + 1,) class `c` is the places `[bounds[c], bounds[c + 1])`.
        matched: (N, K) the segment that each prediction matches, a row of the ground truth, at
            each threshold independently; -1 for none: a false positive.
    """

    rows: NDArray[np.int64]
    video: NDArray[np.int64]
    bounds: NDArray[np.int64]
    matched: NDArray[np.int64]


def average_precision(ranking: Ranking, truth: GroundTruth) -> NDArray[np.float64]:
    """AP of each class of the ground truth at each tIoU threshold.

    The area under the interpolated precision-recall curve (PASCAL VOC 2011, all points) of the
    predictions as `rank` orders and matches them; a segment that nothing can match still counts
    for recall.

    Args:
        ranking: of the predictions.
        truth: the segments that they were matched to.

    Returns:
        (C, K) AP in [0, 1], rows in the order of `truth.classes`.
    """
    positives = np.bincount(truth.label, minlength=len(truth.classes))
    return np.stack(
        [
            interpolated_area(ranking.matched[first:last] >= 0, int(positives[c]))
            for c, (first, last) in enumerate(pairwise(ranking.bounds))
        ]
    )


def rank(truth: GroundTruth, detections: Detections, tiou: Sequence[float]) -> Ranking:
    """Order the predictions of each class and match them to its segments.

    Per class, predictions are sorted by score over all videos, and each is matched greedily to
    the free segment of its video with the highest tIoU that reaches the threshold. A prediction
    in a video that the ground truth does not list is a false positive; one of a class that it
    does not have is ignored.

    The official code (`eval_detection.py` of activitynet/ActivityNet) orders by
    `argsort()[::-1]`, which leaves ties to the sorting algorithm. The rule here is the one that
    expression has wherever its sort is stable: of equal scores, and of segments of equal tIoU,
    the later in the file goes first. A prediction and a segment that are both instants have a
    tIoU of 0/0; there the official code's NaN passes as a match wherever in the video the two
    lie, and here they do not match.

    Args:
        truth: the segments to find.
        detections: in the same unit as the ground truth; finite.
        tiou: (K,) thresholds above 0, ascending.
    """
    video = _translate(detections.videos, truth.videos)[detections.video]
    label = _translate(detections.classes, truth.classes)[detections.label]
    order = np.argsort(detections.score, kind="stable")[::-1]
    order = order[label[order] >= 0]
    order = order[np.argsort(label[order], kind="stable")]
    video, label = video[order], label[order]

    key = truth.video * len(truth.classes) + truth.label
    truth_order = np.argsort(key, kind="stable")
    keys, first = np.unique(key[truth_order], return_index=True)
    matched = match(
        detections.start[order],
        detections.end[order],
        _positions(np.where(video < 0, -1, video * len(truth.classes) + label), keys),
        truth.start[truth_order],
        truth.end[truth_order],
        np.append(first, len(truth)).astype(np.int64),
        np.array(tiou, dtype=np.float64),
    )
    return Ranking(
        order,
        video,
        np.searchsorted(label, np.arange(len(truth.classes) + 1)),
        np.where(matched >= 0, truth_order[matched], -1),
    )


def interpolated_area(matched: NDArray[np.bool_], positives: int) -> NDArray[np.float64]:
    """Area under the interpolated precision-recall curve.

    Args:
        matched: (N, K) whether each prediction, surest first, is a true positive.
        positives: segments to find.

    Returns:
        (K,)
    """
    precision = np.cumsum(matched, axis=0) / np.arange(1, len(matched) + 1)[:, None]
    interpolated = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # Recall rises by 1/positives at each true positive and nowhere else.
    return np.asarray((interpolated * matched).sum(axis=0) / positives, dtype=np.float64)


def _translate(names: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """The index of each name among the known ones; -1 where it is not among them."""
    index = {name: i for i, name in enumerate(known)}
    return np.array([index.get(name, -1) for name in names], dtype=np.int64)


def _positions(values: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The position of each value in the sorted keys; -1 where it is not among them."""
    position = np.searchsorted(keys, values)
    found = keys[np.minimum(position, len(keys) - 1)] == values
    return np.where(found, position, -1).astype(np.int64)
