"""What is wrong with each prediction, and what mAP would be without each kind of error.

The five kinds are DETAD's (Alwassel et al., Diagnosing Error in Temporal Action Detectors, ECCV
2018). A kind is fixed as there: its predictions are taken away. Two things differ from the program
that came with the paper: a prediction that overlaps segments of several classes at one level is
judged by its own class, not by the segment of the highest overlap, as one class of THUMOS14 is part
of another; and mAP is that of the evaluation, of all predictions, not normalised mAP of the top
10G.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.evaluation.ap import Ranking, interpolated_area
from duetal.evaluation.considered import Considered

#: An overlap below this tIoU is no overlap (DETAD).
LEAST_OVERLAP = 0.1

#: Rows of the profile: the surest 1G to 10G predictions of each class of G segments (DETAD).
RANKS = tuple(range(1, 11))


class Kind(StrEnum):
    """What a prediction is, at one tIoU threshold; the first that holds, in this order."""

    TRUE_POSITIVE = "true positive"
    #: Reaches the threshold with a segment of its class that a surer prediction has.
    DOUBLE_DETECTION = "double detection"
    #: Reaches the threshold with a segment of another class.
    WRONG_LABEL = "wrong label"
    #: Overlaps a segment of its class, below the threshold.
    LOCALIZATION = "localization"
    #: Overlaps a segment of another class, below the threshold.
    CONFUSION = "confusion"
    #: Overlaps no segment.
    BACKGROUND = "background"


KINDS = tuple(Kind)
ERRORS = KINDS[1:]


@dataclass(frozen=True)
class ErrorProfile:
    """How many predictions are of each kind.

    Args:
        tiou: the threshold.
        ranks: by how many times G predictions of each class are looked at, the surest first.
        whole: of all predictions.
    """

    tiou: float
    ranks: Mapping[int, Mapping[Kind, int]]
    whole: Mapping[Kind, int]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "tiou": self.tiou,
            "top": {f"{rank}G": dict(counts) for rank, counts in self.ranks.items()},
            "all": dict(self.whole),
        }


def classify(
    considered: Considered, ranking: Ranking, overlaps: tuple[NDArray[np.float64], ...]
) -> NDArray[np.int64]:
    """The kind of every prediction at every threshold of the protocol.

    Args:
        considered: what the protocol compares.
        ranking: of its predictions.
        overlaps: see `best_overlaps`.

    Returns:
        (N, K) indices into `KINDS`, in the order of the ranking.
    """
    own, other = (each[:, None] for each in overlaps)
    tiou = np.asarray(considered.protocol.tiou)
    # Thresholds may lie below DETAD's least overlap; what misses them then overlaps nothing.
    least = np.minimum(LEAST_OVERLAP, tiou)
    conditions = [
        ranking.matched >= 0,
        own >= tiou,
        other >= tiou,
        np.broadcast_to(own >= least, ranking.matched.shape),
        np.broadcast_to(other >= least, ranking.matched.shape),
    ]
    return np.select(conditions, range(len(conditions)), default=len(conditions)).astype(np.int64)


def best_overlaps(
    considered: Considered, ranking: Ranking
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest tIoU of every prediction with a segment of its video, matched or not.

    Returns:
        (N,) with the segments of its own class, and (N,) with those of the others, in the order
        of the ranking; 0 where there is none.
    """
    truth, found = considered.truth, considered.detections
    start, end = found.start[ranking.rows], found.end[ranking.rows]
    label = np.repeat(np.arange(len(truth.classes)), np.diff(ranking.bounds))
    own, other = np.zeros(len(start)), np.zeros(len(start))
    rows_of = _groups(ranking.video, len(truth.videos))
    truth_of = _groups(truth.video, len(truth.videos))
    for rows, segments in zip(rows_of, truth_of, strict=True):
        if not len(rows) or not len(segments):
            continue
        tiou = _tiou(start[rows], end[rows], truth.start[segments], truth.end[segments])
        same = label[rows][:, None] == truth.label[segments]
        own[rows] = np.where(same, tiou, 0.0).max(axis=1)
        other[rows] = np.where(same, 0.0, tiou).max(axis=1)
    return own, other


def _groups(values: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """The rows that hold each of the values 0 to `count` - 1."""
    order = np.argsort(values, kind="stable")
    borders = np.searchsorted(values[order], np.arange(count + 1))
    return [order[first:last] for first, last in pairwise(borders)]


def _tiou(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    truth_start: NDArray[np.float64],
    truth_end: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, M) temporal intersection over union, as the matching computes it."""
    shared = np.minimum(end[:, None], truth_end) - np.maximum(start[:, None], truth_start)
    united = (truth_end - truth_start) + (end - start)[:, None] - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(shared > 0, shared / united, 0.0)


def error_profile(
    considered: Considered, ranking: Ranking, kinds: NDArray[np.int64], column: int
) -> ErrorProfile:
    """Count the kinds at one threshold, by how sure the predictions are.

    Args:
        considered: what the protocol compares.
        ranking: of its predictions.
        kinds: (N, K), see `classify`.
        column: of the threshold.
    """
    truth = considered.truth
    positives = np.bincount(truth.label, minlength=len(truth.classes))
    sizes = np.diff(ranking.bounds)
    place = np.arange(len(kinds)) - np.repeat(ranking.bounds[:-1], sizes)
    allowed = np.repeat(positives, sizes)

    def counts(rows: NDArray[np.bool_]) -> dict[Kind, int]:
        found = np.bincount(kinds[rows, column], minlength=len(KINDS))
        return dict(zip(KINDS, found.tolist(), strict=True))

    return ErrorProfile(
        considered.protocol.tiou[column],
        {rank: counts(place < rank * allowed) for rank in RANKS},
        counts(np.ones(len(kinds), dtype=np.bool_)),
    )


def fixed_mean_ap(
    considered: Considered, ranking: Ranking, kinds: NDArray[np.int64]
) -> dict[Kind, NDArray[np.float64]]:
    """MAP at each threshold without the predictions that are there of one kind of error.

    A false positive holds no segment, so that the others' matches stay as they are.

    Returns:
        (K,) by kind of error.
    """
    truth = considered.truth
    positives = np.bincount(truth.label, minlength=len(truth.classes))
    fixed = {}
    for number, kind in enumerate(ERRORS, start=1):
        ap = np.zeros((len(truth.classes), kinds.shape[1]))
        for c, (first, last) in enumerate(pairwise(ranking.bounds)):
            for k in range(kinds.shape[1]):
                kept = kinds[first:last, k] != number
                hits = ranking.matched[first:last, k][kept] >= 0
                ap[c, k] = interpolated_area(hits[:, None], int(positives[c]))[0]
        fixed[kind] = ap.mean(axis=0)
    return fixed
