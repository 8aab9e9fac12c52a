"""Mean average precision of temporal detections, as ActivityNet's official evaluator defines it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.array_types import Bools, Floats, Ints
from duetal.core.detections import Detections
from duetal.evaluation.considered import Considered, GroundTruth, consider
from duetal.evaluation.protocols import Protocol
from duetal.evaluation.result import Evaluation


def evaluate(
    detections: Detections,
    annotations: Annotations,
    protocol: Protocol | str,
    subset: str | None = None,
    *,
    match_names: bool = False,
    count_excluded: bool = False,
) -> Evaluation:
    """Mean average precision of detections under a protocol.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: or its name.
        subset: which part of the annotations; see `consider`, which lists what is dropped.
        match_names: see `consider`.
        count_excluded: see `consider`.

    Raises:
        UsageError, DuetalError: as `consider`.
    """
    considered = consider(
        detections,
        annotations,
        protocol,
        subset,
        match_names=match_names,
        count_excluded=count_excluded,
    )
    ranking = rank(considered.truth, considered.detections, considered.protocol.tiou)
    return score(considered, ranking)


@dataclass(frozen=True)
class Ranking:
    """Predictions of the ground truth's classes, class by class, by falling score, and matched."""

    rows: Ints  # (N,) rows of the detections, in this order.
    video: Ints  # (N,) indices into the ground truth's videos; -1 for any other.
    bounds: Ints  # (C + 1,) class `c` is the rows `[bounds[c], bounds[c + 1])`.
    #: (N, K) the row of the ground truth that each prediction matches at each threshold,
    #: independently; -1 for none: a false positive.
    matched: Ints


def score(considered: Considered, ranking: Ranking) -> Evaluation:
    """Mean average precision of ranked predictions, at the protocol's thresholds."""
    protocol, truth = considered.protocol, considered.truth
    ap = average_precision(ranking, truth)
    mean_ap = ap.mean(axis=0)
    return Evaluation(
        protocol=protocol.name,
        subset=considered.subset,
        tiou=protocol.tiou,
        mean_ap=tuple(mean_ap.tolist()),
        averages={name: float(mean_ap[rows].mean()) for name, rows in averaged(protocol).items()},
        per_class=dict(zip(truth.classes, map(tuple, ap.tolist()), strict=True)),
        videos=len(truth.videos),
        segments=len(truth),
        predictions=len(considered.detections),
        dropped=considered.dropped,
        notes=considered.notes,
    )


def averaged(protocol: Protocol) -> dict[str, Bools]:
    """(K,) by each average's name: which of the protocol's thresholds it is over."""
    tiou = np.asarray(protocol.tiou)
    return {name: (tiou >= low) & (tiou <= high) for name, (low, high) in protocol.averages.items()}


def average_precision(ranking: Ranking, truth: GroundTruth) -> Floats:
    """(C, K) AP of each class of the ground truth at each tIoU threshold, in [0, 1].

    The area under the interpolated precision-recall curve (PASCAL VOC 2011, all points). A segment
    that nothing can match still counts for recall.
    """
    areas = [
        interpolated_area(ranking.matched[first:last] >= 0, positives)
        for positives, (first, last) in zip(truth.count(), pairwise(ranking.bounds), strict=True)
    ]
    return np.stack(areas)


def rank(truth: GroundTruth, detections: Detections, tiou: Sequence[float]) -> Ranking:
    """Order predictions class by class, by falling score, and match them to segments.

    Each is matched greedily to the free segment of its class and video with the highest tIoU that
    reaches the threshold. One in a video that the ground truth does not list is a false positive;
    one of a class that it does not have is ignored.

    The official code (`eval_detection.py` of activitynet/ActivityNet) orders by
    `argsort()[::-1]`, which leaves ties to the sorting algorithm. The rule here is the one that
    expression has wherever its sort is stable: of equal scores, and of segments of equal tIoU, the
    later in the file goes first. Two instants have a tIoU of 0/0: the official code's NaN passes as
    a match wherever in the video they lie, and here they do not match.

    Args:
        truth: the segments to find.
        detections: in the same unit as the ground truth; finite.
        tiou: (K,) thresholds above 0, ascending.
    """
    from duetal.evaluation.matching import match  # Imports numba.

    video = _translate(detections.videos, truth.videos)[detections.video]
    label = _translate(detections.classes, truth.classes)[detections.label]
    order = np.argsort(detections.score, kind="stable")[::-1]
    order = order[label[order] >= 0]
    order = order[np.argsort(label[order], kind="stable")]
    video, label = video[order], label[order]

    truth_order = np.argsort(truth.groups, kind="stable")
    keys, first = np.unique(truth.groups[truth_order], return_index=True)
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


def interpolated_area(matched: Bools, positives: np.integer) -> Floats:
    """(K,) area under the interpolated precision-recall curve.

    `matched` (N, K) is whether each prediction, by falling score, is a true positive, `positives`
    the number of segments to find.
    """
    precision = np.cumsum(matched, axis=0) / np.arange(1, len(matched) + 1)[:, None]
    interpolated = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # Recall rises by 1/positives at each true positive and nowhere else.
    return np.asarray((interpolated * matched).sum(axis=0) / positives, dtype=np.float64)


def _translate(names: Sequence[str], known: Sequence[str]) -> Ints:
    """The index of each name among the known ones; -1 where it is not among them."""
    index = {name: i for i, name in enumerate(known)}
    return np.array([index.get(name, -1) for name in names], dtype=np.int64)


def _positions(values: Ints, keys: Ints) -> Ints:
    """The position of each value in the sorted keys; -1 where it is not among them."""
    position = np.searchsorted(keys, values)
    found = keys[np.minimum(position, len(keys) - 1)] == values
    return np.where(found, position, -1).astype(np.int64)
