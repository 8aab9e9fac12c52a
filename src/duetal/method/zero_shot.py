"""Scores of snippets from a class's words alone: no training, no label."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field, field_validator

from duetal.core.array_types import Floats, Singles
from duetal.core.settings_section import Settings
from duetal.core.weak_videos import FeatureReader, expect_reads, whole_videos

#: Bins of a histogram of cosines: 0.0005 each.
_BINS = 4096


class ZeroShotSettings(Settings):
    """Localization by words (`duetal localize --classes`). Training reads none of it."""

    templates: tuple[str, ...] = Field(("{}", "a video of {}"), min_length=1)
    """[F] The prompts, {} standing for a class's words; a class's text feature is the mean over
    them and over its phrasings. An array of class embeddings has none."""
    firing_share: float = Field(0.05, gt=0, lt=1)
    """[D] The share of a class's snippets whose probability is above 0.5: how often a class
    fires."""
    calibration_videos: float | None = Field(10.0, ge=0, le=1e6)
    """[D] From how many videos on the share is a class's own rather than that of all classes
    together; at this number they count alike. None: always that of all."""

    learnt_share: float = Field(0.25, ge=0, le=1)
    """[D] With a trained run: how much the prompts that it has learnt count in the text features of
    a class that it was not trained on, beside the plain words."""
    foreground_share: float = Field(0.15, ge=0, le=1)
    """[D] With a trained run: how much CBP's foreground-ness counts in the scores of such a class,
    in videos in which CBP finds none of its own."""

    @field_validator("templates")
    @classmethod
    def _have_a_place(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for template in value:
            if "{}" not in template:
                raise ValueError(f"{template!r} has no {{}} for the class's words")
        return value


def unit(features: Singles) -> Singles:
    """(T, D) features as unit vectors; zeros stay zeros."""
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(norm, 1e-12), dtype=np.float32)


def firing_cosines(
    stream: FeatureReader, names: Sequence[str], text: Singles, settings: ZeroShotSettings
) -> Floats:
    """(K,) the cosine with each class's text (K, D) above which the class is said to fire.

    A class's own is the quantile 1 − `firing_share` over the snippets of all videos: some names lie
    near to everything. Few videos say little of a class, so it is drawn towards the quantile over
    all classes. (FreeZAD, arXiv 2501.13795, calibrates scores by frequency, of the features.)
    """
    counts = np.zeros((len(text), _BINS), dtype=np.int64)
    rows = np.arange(len(text))[:, None] * _BINS
    expect_reads(stream, whole_videos(names))
    for name in names:
        cosines = unit(stream.read(name)) @ text.T
        bins = np.clip((cosines.T + 1) * (_BINS / 2), 0, _BINS - 1).astype(np.int64)
        counts += np.bincount((bins + rows).ravel(), minlength=counts.size).reshape(counts.shape)
    whole = _quantile(counts.sum(axis=0, keepdims=True), 1 - settings.firing_share)
    if settings.calibration_videos is None:
        return np.repeat(whole, len(text))
    share = len(names) / (len(names) + settings.calibration_videos)
    own = _quantile(counts, 1 - settings.firing_share)
    return np.asarray(share * own + (1 - share) * whole)


def _quantile(counts: np.ndarray[tuple[int, int], np.dtype[np.int64]], q: float) -> Floats:
    """(K,) the q-quantile of each row of histograms (K, bins) of cosines."""
    below = np.cumsum(counts, axis=1)
    reached = (below >= q * below[:, -1:]).argmax(axis=1)
    return np.asarray((reached + 0.5) * (2 / _BINS) - 1)
