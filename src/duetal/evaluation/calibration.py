"""Whether a score is the probability that a prediction is right."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from duetal.core.array_types import Bools, Floats
from duetal.evaluation.result import PlainRecord

BINS = 10


@dataclass(frozen=True)
class ScoreBin(PlainRecord):
    """Predictions of similar score."""

    predictions: int
    low: float  # The lowest score among them.
    high: float  # The highest.
    score: float  # Their mean score.
    precision: float  # The share of them that are true positives.


@dataclass(frozen=True)
class Calibration(PlainRecord):
    """Scores compared with the share of true positives."""

    tiou: float  # The threshold of a true positive.
    bins: tuple[ScoreBin, ...]  # Of equally many predictions, by rising score.
    #: Expected calibration error, the mean over predictions of |score - precision| of their bins;
    #: None where a score lies outside [0, 1].
    error: float | None
    #: The probability that of a true and a false positive the true one has the higher score; None
    #: where there are no true or no false ones.
    auc: float | None

    json_keys: ClassVar = {"error": "expected_calibration_error"}


def calibration(score: Floats, is_true: Bools, tiou: float) -> Calibration:
    """Compare (N,) scores with whether each prediction is a true positive at a threshold."""
    order = np.argsort(score, kind="stable")
    bins = []
    for rows in np.array_split(order, min(BINS, len(order)) or 1):
        if len(rows):
            low, high, mean = score[rows[0]], score[rows[-1]], score[rows].mean()
            values = (float(low), float(high), float(mean), float(is_true[rows].mean()))
            bins.append(ScoreBin(len(rows), *values))
    error = None
    if len(score) and score.min() >= 0.0 and score.max() <= 1.0:
        off = sum(each.predictions * abs(each.score - each.precision) for each in bins)
        error = off / len(score)
    return Calibration(tiou, tuple(bins), error, _auc(score, is_true))


def _auc(score: Floats, is_true: Bools) -> float | None:
    """Area under the ROC curve, from the mean rank of the true (ties share their ranks)."""
    true, false = int(is_true.sum()), int((~is_true).sum())
    if not true or not false:
        return None
    _, index, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return float((rank[is_true].sum() - true * (true + 1) / 2) / (true * false))
