"""The kind of each prediction, and mAP without each kind of error.

The kinds are DETAD's (Alwassel et al., Diagnosing Error in Temporal Action Detectors, ECCV 2018),
and a kind is fixed as there: its predictions are removed. Two things differ from that paper's
program. A prediction that overlaps segments of several classes at one level is judged by its own
class, not by the segment of the highest overlap, as one class of THUMOS14 is part of another. And
mAP is that of the evaluation, of all predictions, not normalised mAP of the top 10G.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from duetal.core.array_types import Bools, Floats, Ints
from duetal.evaluation.considered import Considered
from duetal.evaluation.mean_ap import Ranking, interpolated_area
from duetal.evaluation.result import PlainRecord

#: An overlap below this tIoU is no overlap (DETAD).
LEAST_OVERLAP = 0.1

#: Rows of the profile: the top 1G to 10G predictions of each class of G segments (DETAD).
RANKS = tuple(range(1, 11))


class PredictionKind(StrEnum):
    """What a prediction is at one tIoU threshold: the first kind that applies."""

    TRUE_POSITIVE = "true positive"
    #: Reaches the threshold with a segment of its class that a higher-scoring one has matched.
    DOUBLE_DETECTION = "double detection"
    #: Reaches the threshold with a segment of another class.
    WRONG_LABEL = "wrong label"
    #: Overlaps a segment of its class, below the threshold.
    LOCALIZATION = "localization"
    #: Overlaps a segment of another class, below the threshold.
    CONFUSION = "confusion"
    #: Overlaps no segment.
    BACKGROUND = "background"


KINDS = tuple(PredictionKind)
ERRORS = KINDS[1:]


@dataclass(frozen=True)
class ErrorProfile(PlainRecord):
    """How many predictions are of each kind at one threshold."""

    tiou: float
    #: By n: of the top n * G predictions of each class of G segments.
    ranks: Mapping[int, Mapping[PredictionKind, int]]
    whole: Mapping[PredictionKind, int]  # Of all predictions.

    json_keys: ClassVar = {"ranks": "top", "whole": "all"}

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        top = {f"{rank}G": dict(counts) for rank, counts in self.ranks.items()}
        return super().to_json() | {"top": top}


def classify(considered: Considered, ranking: Ranking, overlaps: tuple[Floats, ...]) -> Ints:
    """(N, K) indices into `KINDS` at every threshold, in the ranking's order."""
    own, other = (each[:, None] for each in overlaps)
    tiou = np.asarray(considered.protocol.tiou)
    # Thresholds may lie below DETAD's least overlap; what misses them then overlaps nothing.
    least = np.minimum(LEAST_OVERLAP, tiou)
    shape = ranking.matched.shape
    conditions = [
        ranking.matched >= 0,
        own >= tiou,
        other >= tiou,
        np.broadcast_to(own >= least, shape),
        np.broadcast_to(other >= least, shape),
    ]
    return np.select(conditions, range(len(conditions)), default=len(conditions)).astype(np.int64)


def best_overlaps(considered: Considered, ranking: Ranking) -> tuple[Floats, Floats]:
    """(N,) highest tIoU with segments of the own class, and (N,) of other classes, matched or not.

    In the ranking's order; 0 where the video has no such segment.
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
        # (rows, segments) tIoU, as the matching computes it.
        begin, stop = start[rows][:, None], end[rows][:, None]
        truth_begin, truth_stop = truth.start[segments], truth.end[segments]
        shared = np.minimum(stop, truth_stop) - np.maximum(begin, truth_begin)
        united = (truth_stop - truth_begin) + (stop - begin) - shared
        with np.errstate(divide="ignore", invalid="ignore"):
            tiou = np.where(shared > 0, shared / united, 0.0)
        same = label[rows][:, None] == truth.label[segments]
        own[rows] = np.where(same, tiou, 0.0).max(axis=1)
        other[rows] = np.where(same, 0.0, tiou).max(axis=1)
    return own, other


def _groups(values: Ints, count: int) -> list[Ints]:
    """The rows that hold each of the values 0 to `count` - 1."""
    order = np.argsort(values, kind="stable")
    borders = np.searchsorted(values[order], np.arange(count + 1))
    return [order[first:last] for first, last in pairwise(borders)]


def error_profile(
    considered: Considered, ranking: Ranking, kinds: Ints, column: int
) -> ErrorProfile:
    """Count the (N, K) kinds in one of the thresholds' columns, by rank and in all."""
    sizes = np.diff(ranking.bounds)
    position = np.arange(len(kinds)) - np.repeat(ranking.bounds[:-1], sizes)
    allowed = np.repeat(considered.truth.count(), sizes)

    def counts(rows: Bools) -> dict[PredictionKind, int]:
        found = np.bincount(kinds[rows, column], minlength=len(KINDS))
        return dict(zip(KINDS, found.tolist(), strict=True))

    return ErrorProfile(
        considered.protocol.tiou[column],
        {rank: counts(position < rank * allowed) for rank in RANKS},
        counts(np.ones(len(kinds), dtype=np.bool_)),
    )


def fixed_mean_ap(
    considered: Considered, ranking: Ranking, kinds: Ints
) -> dict[PredictionKind, Floats]:
    """(K,) mAP at each threshold without the predictions of one kind of error, by kind.

    A false positive takes no segment, so that the others' matches stay.
    """
    positives, fixed = considered.truth.count(), {}
    for number, kind in enumerate(ERRORS, start=1):
        ap = np.zeros((len(positives), kinds.shape[1]))
        for c, (first, last) in enumerate(pairwise(ranking.bounds)):
            for k in range(kinds.shape[1]):
                kept = kinds[first:last, k] != number
                hits = ranking.matched[first:last, k][kept] >= 0
                ap[c, k] = interpolated_area(hits[:, None], positives[c])[0]
        fixed[kind] = ap.mean(axis=0)
    return fixed
