"""The ensemble of the two branches, which the paper's supplement suggests without evaluating it."""

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.localization.settings import EnsembleSettings


def combine_branches(
    cbp: NDArray[np.floating],
    vlp: NDArray[np.floating],
    settings: EnsembleSettings,
    *,
    name: str | None = None,
) -> NDArray[np.float64]:
    """Weighted mean of the two branches' probabilities of one video.

    Args:
        cbp: (T, K) of each class at each snippet, or (K,) of each class in the video.
        vlp: of the same shape, on the same snippets.
        settings: the weight, and the normalization of score curves; video-level probabilities are
            averaged as they are.
        name: the video, for the error message.

    Raises:
        DuetalError: the shapes differ; names the video.
    """
    if cbp.shape != vlp.shape:
        raise DuetalError(
            f"the CBP branch has probabilities of shape {cbp.shape}, the VLP branch of {vlp.shape}",
            place=None if name is None else f"video {name!r}",
        )
    w = settings.vlp_weight
    first = np.asarray(cbp, dtype=np.float64)
    second = np.asarray(vlp, dtype=np.float64)
    mean = (1 - w) * first + w * second
    if settings.normalization == "none" or mean.ndim == 1 or not len(mean):
        return mean
    if settings.normalization == "log_odds":
        return np.asarray(1 / (1 + np.exp(-(1 - w) * _log_odds(first) - w * _log_odds(second))))
    low = (1 - w) * first.min(axis=0) + w * second.min(axis=0)
    high = (1 - w) * first.max(axis=0) + w * second.max(axis=0)
    shape = (1 - w) * _min_max(first) + w * _min_max(second)
    return np.asarray(low + (high - low) * shape)


def _min_max(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stretch each column of (T, K) curves to 0..1; a flat one becomes 0."""
    low, high = curves.min(axis=0), curves.max(axis=0)
    return np.asarray((curves - low) / np.where(high > low, high - low, 1.0))


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log p/(1 - p), with p kept so far from 0 and 1 that it is finite."""
    kept = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept / (1 - kept)))
