"""Soft non-maximum suppression of temporal intervals (Bodla et al., ICCV 2017)."""

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from duetal.core.array_types import Floats, Ints
from duetal.core.errors import DuetalError, UsageError

NmsMethod = Literal["gaussian", "linear", "hard"]


def soft_nms(
    start: ArrayLike,
    end: ArrayLike,
    score: ArrayLike,
    *,
    method: NmsMethod = "gaussian",
    sigma: float = 0.3,
    iou_threshold: float = 0.5,
    min_score: float = 0.001,
    max_kept: int | None = None,
) -> tuple[Ints, Floats]:
    """Keep the best interval, decay the scores of those that overlap it, repeat.

    Result, order and ties are those of the textbook loop, with the same arithmetic: of equal scores
    the lower index is kept first. It is fast because a kept interval is compared only with groups
    of intervals near it.

    Args:
        start: (N,) starts, in any unit.
        end: (N,) ends, none before its start. An empty interval overlaps nothing.
        score: (N,) finite scores.
        method: what a kept interval does to the score of one that overlaps it by `iou`:
            "gaussian" multiplies by exp(-iou²/sigma); "linear" multiplies by (1 - iou) where iou is
            above the threshold; "hard" removes it there.
        sigma: of the Gaussian decay.
        iou_threshold: in [0, 1]; of "linear" and "hard".
        min_score: an interval is dropped as soon as its score is below, at the outset too.
        max_kept: the number to keep; None keeps all.

    Returns:
        (M,) indices of the kept intervals by falling score, and (M,) their decayed scores.

    Raises:
        UsageError: a setting out of its range.
        DuetalError: a value not finite, an end before its start, columns of different lengths.
    """
    _check_settings(method, sigma, iou_threshold, min_score, max_kept)
    starts, ends, scores = (np.asarray(each, dtype=np.float64) for each in (start, end, score))
    _check_intervals(starts, ends, scores)
    index = np.flatnonzero(scores >= min_score)
    if not len(index):
        return index, np.empty(0)
    order, first, band = _groups(starts[index], ends[index])
    index = index[order]

    from duetal.localization.soft_nms_kernel import suppress  # Imports numba.

    kept: tuple[Ints, Floats] = suppress(
        starts[index],
        ends[index],
        scores[index],
        index,
        first,
        band,
        get_args(NmsMethod).index(method),
        *map(float, (sigma, iou_threshold, min_score)),
        len(index) if max_kept is None else min(max_kept, len(index)),
    )
    return kept


def _check_settings(
    method: str, sigma: float, iou_threshold: float, min_score: float, max_kept: int | None
) -> None:
    if method not in get_args(NmsMethod):
        raise UsageError(f"method: {method!r} is none of {', '.join(get_args(NmsMethod))}")
    if not (0 < sigma < math.inf):
        raise UsageError(f"sigma: must be above 0 and finite, not {sigma}")
    if not 0 <= iou_threshold <= 1:
        raise UsageError(f"iou_threshold: must be in [0, 1], not {iou_threshold}")
    if not (0 <= min_score < math.inf):
        raise UsageError(f"min_score: must be at least 0 and finite, not {min_score}")
    if max_kept is not None and max_kept < 1:
        raise UsageError(f"max_kept: must be at least 1, or none for all, not {max_kept}")


def _check_intervals(start: Floats, end: Floats, score: Floats) -> None:
    if not start.shape == end.shape == score.shape or start.ndim != 1:
        shapes = f"{start.shape}, {end.shape}, {score.shape}"
        raise DuetalError(f"start, end and score must be columns of one length, not {shapes}")
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(end - start) & np.isfinite(score)  # the length too: it may overflow
    ordered = finite & (end >= start)
    if not ordered.all():
        row = int(np.argmin(ordered))
        cause = "ends before it starts" if finite[row] else "is not finite"
        values = f"[{start[row]}, {end[row]}) with score {score[row]}"
        raise DuetalError(f"interval {values} {cause}", place=f"row {row}")


#: The most intervals in a group: in long videos few of a larger one overlap a kept interval.
_LARGEST_GROUP = 128


def _groups(start: Floats, end: Floats) -> tuple[Ints, Ints, Ints]:
    """(N,) order by bands of similar length and in them by groups of near place; where each begins.

    Within a band the longest is less than twice as long as the shortest, so that a group spans
    little more than its members. Up to a number, about sqrt(N) groups of sqrt(N) balance the work
    on groups and in them.

    Returns:
        The order; (G + 1,) where each group begins, and N; (B + 1,) the first group of each band,
        and G.
    """
    count = len(start)
    length = end - start
    octave = np.frexp(length)[1]
    octave[length == 0] = -10_000  # below any float: a group of empty intervals only
    order = np.lexsort((start, octave))
    octave_first = np.flatnonzero(np.diff(octave[order], prepend=octave[order[0]] - 1))
    within = np.arange(count) - np.repeat(octave_first, np.diff(octave_first, append=count))
    size = min(max(32, math.isqrt(count)), _LARGEST_GROUP)
    first = np.append(np.flatnonzero(within % size == 0), count)
    return order, first, np.searchsorted(first, np.append(octave_first, count))
