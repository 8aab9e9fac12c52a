"""Pseudo-segments of training videos: where the teacher's proposals, or the detector's, agree.

The thresholds of a curve give nested proposals. Those that overlap vote for one segment; the
spread of their borders tells how sure each is. All places are in snippets. Where a person has said
when things happen, their segments are taken as they are, and their points choose among proposals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from duetal.core.array_types import Floats
from duetal.core.grid import TimeGrid
from duetal.core.known_times import ClassTimes, KnownTimes
from duetal.localization.proposals import (
    find_intervals,
    highest_inside,
    outer_inner_contrast,
    stretch,
    temporal_iou,
)
from duetal.localization.soft_nms import soft_nms

#: tIoU from which proposals agree: they become one segment, and vote for its borders.
_AGREEMENT = 0.5
#: The teacher's exponent in the geometric mean of its score and the detector's.
_TEACHERS_SHARE = 0.3
#: Of two pseudo-segments of a class, the part of the shorter that both may cover.
_OVERLAP = 0.3
#: The margin of the contrast in a segment's score, as a part of its length.
_MARGIN = 0.25
#: tIoU with a known segment from which a proposal is of it.
_KNOWN_OVERLAP = 0.1
_THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))


@dataclass(frozen=True)
class Proposals:
    """Proposals of one class in one video: (N,) each, borders in snippets."""

    start: Floats
    end: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.score)

    def select(self, rows: NDArray[np.bool_]) -> "Proposals":
        """Some of them."""
        return Proposals(self.start[rows], self.end[rows], self.score[rows])

    def tiou(self, start: Floats, end: Floats) -> Floats:
        """(N, M) the temporal IoU of each with (M,) others."""
        return temporal_iou(self.start, self.end, start, end)


@dataclass(frozen=True)
class PseudoSegment:
    """One action that the detector is to find, in snippets."""

    label: int
    start: float
    end: float
    confidence: float  # Relative to the best of the class in the video, which has 1.
    start_spread: float  # Standard deviation of the border in the proposals that agree.
    end_spread: float


def curve_proposals(curve: Floats) -> Proposals:
    """The nested proposals of a class's probabilities (T,), scored by highest · √contrast.

    The contrast is that of the curve stretched to 0..1, and not below 0.001.
    """
    shape = stretch(curve)
    first, stop = find_intervals(shape, _THRESHOLDS)
    contrast = np.maximum(outer_inner_contrast(shape, first, stop, _MARGIN), 1e-3)
    score = highest_inside(curve, first, stop) * np.sqrt(contrast)
    return Proposals(first.astype(np.float64), stop.astype(np.float64), score)


def vote(proposals: Proposals, row: int) -> tuple[Floats, Floats]:
    """(2,) mean borders of those that overlap one, weighted by score · tIoU, and their spreads.

    Nothing confirms the borders of one that overlaps no other: their spread is infinite.
    """
    tiou = proposals.tiou(proposals.start[[row]], proposals.end[[row]])[:, 0]
    agree = tiou >= _AGREEMENT
    agree[row] = True
    if agree.sum() == 1:
        borders = np.array([proposals.start[row], proposals.end[row]])
        return borders, np.full(2, np.inf)
    weight = (proposals.score * np.maximum(tiou, 1e-9))[agree]
    weight = weight / weight.sum()
    borders = np.stack([proposals.start[agree], proposals.end[agree]])
    mean = borders @ weight
    return mean, np.sqrt(((borders - mean[:, None]) ** 2) @ weight)


def rejudge(proposals: Proposals, detected: Proposals) -> Proposals:
    """The teacher's proposals with the detector's score beside the teacher's.

    The detector's is the highest score · tIoU of what it found; the score is their geometric mean.
    Borders stay the teacher's: a network's are drawn to the mean length, and each round that learns
    from them would draw them further.
    """
    tiou = proposals.tiou(detected.start, detected.end)
    support = np.max(detected.score * tiou, axis=1, initial=0.0)
    score = proposals.score**_TEACHERS_SHARE * support ** (1 - _TEACHERS_SHARE)
    return Proposals(proposals.start, proposals.end, score)


def merge(label: int, proposals: Proposals) -> list[PseudoSegment]:
    """The segments that proposals of a class agree on, best first, none much in another."""
    kept, _ = soft_nms(
        proposals.start,
        proposals.end,
        proposals.score,
        method="hard",
        sigma=1.0,
        iou_threshold=_AGREEMENT,
        min_score=1e-6,
        max_kept=None,
    )
    found: list[PseudoSegment] = []
    for row in kept:
        (start, end), (start_spread, end_spread) = vote(proposals, row)
        if any(
            min(end, other.end) - max(start, other.start)
            > _OVERLAP * min(end - start, other.end - other.start)
            for other in found
        ):
            continue
        confidence = proposals.score[row] / proposals.score[kept[0]]
        found.append(PseudoSegment(label, start, end, confidence, start_spread, end_spread))
    return found


def known_segments(label: int, times: KnownTimes, grid: TimeGrid) -> list[PseudoSegment]:
    """The segments of a class that a person has given; nothing is unsure of them."""
    own = np.array([ends for *ends, k in times.segments if k == label]).reshape(-1, 2)
    return [PseudoSegment(label, a, b, 1.0, 0.0, 0.0) for a, b in grid.place(own).tolist()]


def allowed(
    proposals: Proposals, known: ClassTimes, segments: Sequence[PseudoSegment]
) -> Proposals:
    """The proposals that nothing known speaks against.

    Left out are those that overlap a known segment, lie where the class is not, or hold no point,
    or several, in a stretch that was looked through.
    """
    middle = ((proposals.start + proposals.end) / 2).astype(int).clip(0, len(known.complete) - 1)
    points = _points_in(proposals.start, proposals.end, known)
    good = ~known.absent[middle] & (~known.complete[middle] | (points == 1))
    if segments:
        start, end = (np.array([getattr(s, side) for s in segments]) for side in ("start", "end"))
        good &= proposals.tiou(start, end).max(axis=1) < _KNOWN_OVERLAP
    return proposals.select(good)


def _points_in(start: Floats, end: Floats, known: ClassTimes) -> NDArray[np.intp]:
    """(N,) how many points lie in each."""
    return np.searchsorted(known.points, end) - np.searchsorted(known.points, start)


def make_pseudo_segments(
    probabilities: NDArray[np.floating],
    present: NDArray[np.bool_],
    detected: Mapping[int, Proposals] | None = None,
    times: KnownTimes | None = None,
    grid: TimeGrid | None = None,
) -> list[PseudoSegment]:
    """The pseudo-segments of one training video, of its own labels alone.

    Args:
        probabilities: (T, K) of the teacher.
        present: (K,) the classes that the video carries.
        detected: of present classes, what the detector of the round before found; None: the
            teacher's own proposals.
        times: what is known of when things happen.
        grid: the one that this is laid on.
    """
    found: list[PseudoSegment] = []
    for label in map(int, np.flatnonzero(present)):
        curve = np.ascontiguousarray(probabilities[:, label], dtype=np.float64)
        proposals = curve_proposals(curve)
        if detected is not None:
            proposals = rejudge(proposals, detected[label])
        if times is None or grid is None:
            found += merge(label, proposals)
            continue
        known = times.of_class(label, grid, len(curve))
        sure = known_segments(label, times, grid)
        merged = merge(label, allowed(proposals, known, sure))
        for one in merged:
            pointed = _points_in(np.array([one.start]), np.array([one.end]), known)[0]
            sure.append(replace(one, confidence=1.0) if pointed else one)
        found += sure
    return found
