"""Whether a score says how likely a prediction is right."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True)
class ScoreBin:
    """Predictions of about the same score.

    Args:
        predictions: how many.
        low: the lowest score among them.
        high: the highest.
        score: their mean score.
        precision: the share of them that are true positives.
    """

    predictions: int
    low: float
    high: float
    score: float
    precision: float

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "predictions": self.predictions,
            "low": self.low,
            "high": self.high,
            "score": self.score,
            "precision": self.precision,
        }


@dataclass(frozen=True)
class Calibration:
    """Scores beside the share of true positives.

    Args:
        tiou: at which predictions are true.
        bins: of equally many predictions, the least sure first.
        error: expected calibration error, the mean over predictions of |score - precision| of
            their bins; None where a score lies outside [0, 1] and can be no probability.
        auc: how well scores order true above false positives: the probability that of one of
            each the true one has the higher score; None where one kind is missing.
    """

    tiou: float
    bins: tuple[ScoreBin, ...]
    error: float | None
    auc: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "tiou": self.tiou,
            "bins": [each.to_json() for each in self.bins],
            "expected_calibration_error": self.error,
            "auc": self.auc,
        }


def calibration(score: NDArray[np.float64], is_true: NDArray[np.bool_], tiou: float) -> Calibration:
    """Compare scores with what came of them.

    Args:
        score: (N,)
        is_true: (N,) whether each is a true positive.
        tiou: at which.
    """
    order = np.argsort(score, kind="stable")
    found = []
    for rows in np.array_split(order, min(BINS, len(order)) or 1):
        if len(rows):
            mine = score[rows]
            mean, precision = float(mine.mean()), float(is_true[rows].mean())
            found.append(ScoreBin(len(rows), float(mine[0]), float(mine[-1]), mean, precision))
    error = None
    if len(score) and score.min() >= 0.0 and score.max() <= 1.0:
        off = sum(each.predictions * abs(each.score - each.precision) for each in found)
        error = off / len(score)
    return Calibration(tiou, tuple(found), error, _auc(score, is_true))


def _auc(score: NDArray[np.float64], is_true: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve, from the mean rank of the true (ties share their ranks)."""
    true, false = int(is_true.sum()), int((~is_true).sum())
    if not true or not false:
        return None
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((rank[is_true].sum() - true * (true + 1) / 2) / (true * false))
