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
def _lead(
    lead: Floats, lead_index: Ints, best: Ints, g: int, score: Floats, index: Ints, a: int, b: int
) -> bool:
    """Note a group's best row of `[a, b)`, its score and index; whether these have changed."""
    old_score, old_index = lead[g], lead_index[g]
    best[g] = row = _best(score, index, a, b)
    lead[g], lead_index[g] = (score[row], index[row]) if row >= 0 else (-1.0, -1)
    return bool(lead[g] != old_score or lead_index[g] != old_index)


@compiled(error_model="numpy")
def _replay(leader: Ints, lead: Floats, lead_index: Ints, a: int, b: int) -> None:
    """Decide anew which group's best row is the best of all, after groups a to b changed.

    `leader` is a binary tree whose second half is the groups: node i is the better of nodes 2i and
    2i + 1, node 1 the best of all.
    """
    a, b = len(leader) // 2 + a, len(leader) // 2 + b
    while b > 1:
        a, b = a // 2, b // 2
        for node in range(a, b + 1):
            one, other = leader[2 * node], leader[2 * node + 1]
            if lead[other] > lead[one] or (
                lead[other] == lead[one] and lead_index[other] < lead_index[one]
            ):
                one = other
            leader[node] = one


@compiled(error_model="numpy")
def _extents(start: Floats, end: Floats, first: Ints, band: Ints) -> tuple[Floats, Floats]:
    """Earliest start of a group and latest end of its band so far; least and most length of a band.

    (2, G) and (2, B).
    """
    spans, lengths = np.empty((2, len(first) - 1)), np.empty((2, len(band) - 1))
    for n in range(len(band) - 1):
        a, b = first[band[n]], first[band[n + 1]]
        length = end[a:b] - start[a:b]
        lengths[:, n] = length.min(), length.max()
        reach = end[a]
        for g in range(band[n], band[n + 1]):
            reach = max(reach, end[first[g] : first[g + 1]].max())
            spans[:, g] = start[first[g]], reach
    return spans, lengths


@compiled(error_model="numpy")
def suppress(
    start: Floats,
    end: Floats,
    score: Floats,
    index: Ints,
    first: Ints,
    band: Ints,
    method: int,
    sigma: float,
    iou_threshold: float,
    min_score: float,
    max_kept: int,
) -> tuple[Ints, Floats]:
    """The indices kept by soft-NMS, best first, and their scores; over intervals in groups.

    A kept interval is compared only with the groups that it can overlap, which a search finds, and
    each group keeps its best row in a tree: the work on an interval grows with those that overlap
    it, not with N. The operations are the textbook loop's in its order.

    Args:
        start: (N,) group after group; this and the next three are overwritten.
        end: (N,)
        score: (N,) none below `min_score`.
        index: (N,) returned for a kept row; of equal scores the lowest is first.
        first: (G + 1,) where each group begins, and N. No group mixes empty and other intervals.
        band: (B + 1,) where each band of groups begins, and G; starts rise within a band.
        method: GAUSSIAN, LINEAR or HARD.
        sigma: of the Gaussian decay.
        iou_threshold: up to it linear and hard leave a score alone.
        min_score: at least 0.
        max_kept: at most N.
    """
    groups = len(first) - 1
    spans, lengths = _extents(start, end, first, band)
    stop = first[1:].copy()
    iou = np.empty((stop - first[:-1]).max())
    half = 1 << math.ceil(math.log2(groups))
    # Of each group the best row, its score, -1 of an empty one, and its index.
    best, lead, lead_index = (
        np.empty(groups, np.int64),
        np.full(half, -1.0),
        np.empty(half, np.int64),
    )
    for g in range(groups):
        _lead(lead, lead_index, best, g, score, index, first[g], stop[g])
    leader = np.arange(-half, half)
    _replay(leader, lead, lead_index, 0, half - 1)
    # An IoU is at most the ratio of the lengths (less a rounding): linear and hard skip bands of
    # intervals far shorter or longer.
    ratio = 0.0 if method == GAUSSIAN else iou_threshold * (1.0 - 1e-9)
    least = -1.0 if method == HARD else 0.0  # a zero can't decay further

    kept_index, kept_score = np.empty(max_kept, np.int64), np.empty(max_kept)
    kept = 0
    while kept < max_kept:
        home = leader[1]
        if lead[home] < 0.0:
            break
        row = best[home]
        kept_index[kept], kept_score[kept] = index[row], score[row]
        kept += 1
        kept_start, kept_end = start[row], end[row]
        length = kept_end - kept_start
        stop[home] -= 1
        _remove(start, end, score, index, row, stop[home])
        _lead(lead, lead_index, best, home, score, index, first[home], stop[home])
        _replay(leader, lead, lead_index, home, home)

        for n in range(len(band) - 1):
            if min(length, lengths[1, n]) < ratio * max(length, lengths[0, n]):
                continue
            a, b = band[n], band[n + 1]
            b = a + np.searchsorted(spans[0, a:b], kept_end)
            a += np.searchsorted(spans[1, a:b], kept_start, "right")
            changed_first, changed_last = b, a
            for g in range(a, b):
                if lead[g] > least:
                    c, d = first[g], stop[g]
                    _fill_iou(iou, start[c:d], end[c:d], kept_start, kept_end)
                    _decay(score[c:d], iou, method, sigma, iou_threshold)
                    stop[g] = _prune(start, end, score, index, c, d, min_score)
                    if _lead(lead, lead_index, best, g, score, index, c, stop[g]):
                        changed_first, changed_last = min(changed_first, g), g
            if changed_first < b:
                _replay(leader, lead, lead_index, changed_first, changed_last)
    return kept_index[:kept], kept_score[:kept]
