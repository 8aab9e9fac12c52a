"""Greedy matching of predictions to ground truth, compiled."""

import numpy as np

from duetal.core.array_types import Floats, Ints
from duetal.core.compiled import compiled


@compiled(
    "int64[:, ::1](float64[::1], float64[::1], int64[::1], float64[::1], float64[::1],"
    " int64[::1], float64[::1])"
)
def match(
    start: Floats,
    end: Floats,
    group: Ints,
    truth_start: Floats,
    truth_end: Floats,
    offsets: Ints,
    tiou: Floats,
) -> Ints:
    """Match each prediction, in the given order, to the free segment that it overlaps most.

    Of segments with equal tIoU the last one is taken. A tIoU equal to the threshold matches; two
    segments that share no time (also: two instants) have a tIoU of 0.

    Args:
        start: (N,) of the predictions, by falling score.
        end: (N,) of the predictions.
        group: (N,) the group (one class in one video) that each belongs to; -1 for none.
        truth_start: (M,) of the ground truth, sorted by group.
        truth_end: (M,) of the ground truth.
        offsets: (G + 1,) group `g` is the ground truth `[offsets[g], offsets[g + 1])`.
        tiou: (K,) thresholds above 0, ascending.

    Returns:
        (N, K) the row of the ground truth that each prediction matches, at each threshold
        independently; -1 for none.
    """
    thresholds = len(tiou)
    matched = np.full((len(start), thresholds), -1, dtype=np.int64)
    taken = np.zeros((len(truth_start), thresholds), dtype=np.bool_)
    best_overlap = np.empty(thresholds, dtype=np.float64)
    best_truth = np.empty(thresholds, dtype=np.int64)
    for row in range(len(start)):
        if group[row] < 0:
            continue
        best_overlap[:] = 0.0
        for truth in range(offsets[group[row]], offsets[group[row] + 1]):
            shared = min(end[row], truth_end[truth]) - max(start[row], truth_start[truth])
            if shared <= 0.0:
                continue
            # The official evaluator's order of operations: the same result to the last bit.
            united = (truth_end[truth] - truth_start[truth]) + (end[row] - start[row]) - shared
            overlap = shared / united
            for k in range(thresholds):
                if overlap < tiou[k]:
                    break
                if overlap >= best_overlap[k] and not taken[truth, k]:
                    best_overlap[k] = overlap
                    best_truth[k] = truth
        for k in range(thresholds):
            if best_overlap[k] > 0.0:
                matched[row, k] = best_truth[k]
                taken[best_truth[k], k] = True
    return matched
