"""One set of probabilities from those of several branches.

"We believe an ensemble … will further boost performance" (paper's supplement).
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from duetal.core.array_types import Floats
from duetal.core.errors import DuetalError
from duetal.localization.localization_settings import EnsembleMean, LocalizationSettings

Real = TypeVar("Real", bound=np.floating)


def combine_branches(
    branches: Mapping[str, NDArray[np.floating]],
    settings: LocalizationSettings,
    *,
    name: str | None = None,
) -> Floats:
    """Weighted mean of the branches' probabilities of one video.

    Args:
        branches: by branch, (T, K) of each class at each snippet, or (K,) of each class in the
            video; all of one shape.
        settings: `ensemble_weight` is the share of the branches after the first, in equal parts;
            `ensemble_mean` is the quantity averaged of snippets. Video-level probabilities are
            averaged as they are.
        name: the video, for the error message.

    Raises:
        DuetalError: the shapes differ; names the video.
    """
    curves = [np.asarray(values, dtype=np.float64) for values in branches.values()]
    if len({curve.shape for curve in curves}) > 1:
        shapes = ", ".join(f"{branch} of {c.shape}" for branch, c in branches.items())
        raise DuetalError(
            f"the branches' probabilities differ in shape: {shapes}",
            place=None if name is None else f"video {name!r}",
        )
    weights = branch_weights(len(curves), settings.ensemble_weight)
    mean = _weighted(curves, weights)
    if settings.ensemble_mean is EnsembleMean.PROBABILITY or mean.ndim == 1 or not len(mean):
        return mean
    if settings.ensemble_mean is EnsembleMean.LOG_ODDS:
        return np.asarray(1 / (1 + np.exp(-_weighted(list(map(log_odds, curves)), weights))))
    low = _weighted([curve.min(axis=0) for curve in curves], weights)
    high = _weighted([curve.max(axis=0) for curve in curves], weights)
    return np.asarray(low + (high - low) * _weighted(list(map(_min_max, curves)), weights))


def branch_weights(branches: int, others: float) -> list[float]:
    """The weight of each branch: the first has `1 - others`, the rest share `others`."""
    if branches == 1:
        return [1.0]
    return [1 - others, *[others / (branches - 1)] * (branches - 1)]


def _weighted(curves: Sequence[Floats], weights: Sequence[float]) -> Floats:
    total = weights[0] * curves[0]
    for weight, curve in zip(weights[1:], curves[1:], strict=True):
        total = total + weight * curve
    return np.asarray(total)


def _min_max(curves: Floats) -> Floats:
    """Stretch each column of (T, K) curves to 0..1; a flat one becomes 0."""
    low, high = curves.min(axis=0), curves.max(axis=0)
    return np.asarray((curves - low) / np.where(high > low, high - low, 1.0))


def log_odds(p: NDArray[Real]) -> NDArray[Real]:
    """Log p/(1 - p), with p kept so far from 0 and 1 that it is finite."""
    kept = np.clip(p, 1e-6, 1 - 1e-6)
    odds: NDArray[Real] = np.log(kept / (1 - kept))
    return odds
