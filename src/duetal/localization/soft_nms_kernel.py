"""The compiled inner loop of `soft_nms`, in a file of its own because numba caches by file."""

import math

import numpy as np

from duetal.core.array_types import Floats, Ints
from duetal.core.compiled import compiled

GAUSSIAN, LINEAR, HARD = 0, 1, 2


@compiled(error_model="numpy")
def _fill_iou(iou: Floats, start: Floats, end: Floats, kept_start: float, kept_end: float) -> None:
    """Write the temporal IoU of one kept interval with each of a group's intervals."""
    kept_length = kept_end - kept_start
    for j in range(len(start)):
        inter = max(min(kept_end, end[j]) - max(kept_start, start[j]), 0.0)
        iou[j] = inter / (kept_length + (end[j] - start[j]) - inter)


@compiled(error_model="numpy")
def _decay(score: Floats, iou: Floats, method: int, sigma: float, iou_threshold: float) -> None:
    """Lower a group's scores by their IoU with one kept interval; -1 marks hard suppression."""
    for j in range(len(score)):
        if method == GAUSSIAN:
            if iou[j] > 0.0 and score[j] > 0.0:
                score[j] *= math.exp(-(iou[j] * iou[j]) / sigma)
        elif method == LINEAR:
            score[j] *= 1.0 - iou[j] if iou[j] > iou_threshold else 1.0
        else:
            score[j] = -1.0 if iou[j] > iou_threshold else score[j]


@compiled(error_model="numpy")
def _remove(start: Floats, end: Floats, score: Floats, index: Ints, row: int, last: int) -> None:
    """Overwrite one row of a group with its last one."""
    start[row] = start[last]
    end[row] = end[last]
    score[row] = score[last]
    index[row] = index[last]


@compiled(error_model="numpy")
def _prune(
    start: Floats, end: Floats, score: Floats, index: Ints, a: int, b: int, min_score: float
) -> int:
    """Remove the rows of `[a, b)` that fell below the least score; the group's new end."""
    for row in range(b - 1, a - 1, -1):
        if score[row] < min_score:
            b -= 1
            _remove(start, end, score, index, row, b)
    return b


@compiled(error_model="numpy")
def _best(score: Floats, index: Ints, a: int, b: int) -> int:
    """Row in `[a, b)` of the highest score, of the lowest index among equals; -1 of no rows."""
    best = -1
    for row in range(a, b):
        if (
            best < 0
            or score[row] > score[best]
            or (score[row] == score[best] and index[row] < index[best])
        ):
            best = row
    return best


@compiled(error_model="numpy")
def _leader(score: Floats, index: Ints, best: Ints) -> int:
    """The group whose best row is the best of all; -1 where all groups are empty."""
    leader = -1
    for g in range(len(best)):
        if best[g] >= 0 and (
            leader < 0
            or score[best[g]] > score[best[leader]]
            or (score[best[g]] == score[best[leader]] and index[best[g]] < index[best[leader]])
        ):
            leader = g
    return leader


@compiled(error_model="numpy")
def _extents(start: Floats, end: Floats, first: Ints) -> Floats:
    """(G, 4) per group: earliest start, latest end, shortest and longest length."""
    extents = np.empty((len(first) - 1, 4))
    for g in range(len(extents)):
        starts, ends = start[first[g] : first[g + 1]], end[first[g] : first[g + 1]]
        lengths = ends - starts
        extents[g] = starts.min(), ends.max(), lengths.min(), lengths.max()
    return extents


@compiled(error_model="numpy")
def suppress(
    start: Floats,
    end: Floats,
    score: Floats,
    index: Ints,
    first: Ints,
    method: int,
    sigma: float,
    iou_threshold: float,
    min_score: float,
    max_kept: int,
) -> tuple[Ints, Floats]:
    """The indices kept by soft-NMS, best first, and their scores; over intervals in groups.

    A kept interval is compared only with the groups that it can overlap, and each group keeps its
    best row, so that few of the N² pairs are computed, with the textbook loop's operations in its
    order.

    Args:
        start: (N,) group after group; this and the next three are overwritten.
        end: (N,)
        score: (N,) none below `min_score`.
        index: (N,) returned for a kept row; of equal scores the lowest is first.
        first: (G + 1,) where each group begins, and N. No group mixes empty and other intervals.
        method: GAUSSIAN, LINEAR or HARD.
        sigma: of the Gaussian decay.
        iou_threshold: up to it linear and hard leave a score alone.
        min_score: at least 0.
        max_kept: at most N.
    """
    groups = len(first) - 1
    extents = _extents(start, end, first)
    stop = first[1:].copy()
    iou = np.empty((stop - first[:-1]).max())
    best = np.array([_best(score, index, first[g], stop[g]) for g in range(groups)])
    # An IoU is at most the ratio of the lengths (less a rounding): linear and hard skip groups of
    # intervals far shorter or longer.
    ratio = 0.0 if method == GAUSSIAN else iou_threshold * (1.0 - 1e-9)

    kept_index, kept_score = np.empty(max_kept, np.int64), np.empty(max_kept)
    kept = 0
    while kept < max_kept:
        home = _leader(score, index, best)
        if home < 0:
            break
        row = best[home]
        kept_index[kept], kept_score[kept] = index[row], score[row]
        kept += 1
        kept_start, kept_end = start[row], end[row]
        length = kept_end - kept_start
        stop[home] -= 1
        _remove(start, end, score, index, row, stop[home])
        best[home] = _best(score, index, first[home], stop[home])

        for g in range(groups):
            low, high, shortest, longest = extents[g]
            if (
                best[g] >= 0
                and (score[best[g]] > 0.0 or method == HARD)  # a zero can't decay further
                and min(kept_end, high) > max(kept_start, low)
                and min(length, longest) >= ratio * max(length, shortest)
            ):
                a, b = first[g], stop[g]
                _fill_iou(iou, start[a:b], end[a:b], kept_start, kept_end)
                _decay(score[a:b], iou, method, sigma, iou_threshold)
                stop[g] = _prune(start, end, score, index, a, b, min_score)
                best[g] = _best(score, index, a, stop[g])
    return kept_index[:kept], kept_score[:kept]
