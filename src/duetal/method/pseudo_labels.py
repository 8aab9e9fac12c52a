"""The snippets that a frozen teacher is confident of, as foreground or as background."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from duetal.core.array_types import Bools, Singles
from duetal.core.settings_section import Settings
from duetal.core.weak_videos import FeatureReader, WeakVideos
from duetal.method.layers import BranchNetwork
from duetal.method.sampling import Crop
from duetal.method.video_scoring import probabilities, score_video

FOREGROUND = 1
BACKGROUND = 0
IGNORED = -1

#: A teacher's curve that varies less has no foreground and no background: it teaches nothing.
FLAT = 1e-3

#: For each video (T, K) int8 of FOREGROUND, BACKGROUND and IGNORED.
PseudoLabels = Sequence[NDArray[np.int8]]
#: The same of some videos, by their index.
SomePseudoLabels = Mapping[int, NDArray[np.int8]]


class ScoreRange(StrEnum):
    """Over what a teacher's scores are scaled to [0, 1] before the thresholds of a pseudo-label."""

    CLASS = "class"
    VIDEO = "video"
    NONE = "none"


class TeacherScore(StrEnum):
    """Which score of a teacher is thresholded."""

    PROBABILITY = "probability"
    LOGIT = "logit"


class PseudoLabelSettings(Settings):
    """How a teacher's scores become pseudo-labels; a part of the section of the loss."""

    pseudo_high: float = Field(0.9, gt=0, lt=1)
    """[D] δ_h: a normalised teacher score above it is foreground. With a lower one branches confirm
    each other in wide actions, and borders blur."""
    pseudo_low: float = Field(0.15, gt=0, lt=1)
    """[D] δ_l: a normalised teacher score below it is background; between, ignored [N]."""
    pseudo_normalization: ScoreRange = ScoreRange.VIDEO
    """[D] Scale a teacher's scores to [0, 1] over each video's present classes together
    (`video`), over each present class by itself (`class`), or not at all (`none`)."""
    pseudo_score: TeacherScore = TeacherScore.PROBABILITY
    """[D] Threshold a teacher's probabilities, or its logits: a sigmoid trained on video labels
    saturates, and the soft parts of an action fall below δ_l of its peak."""

    @model_validator(mode="after")
    def _check_thresholds(self) -> Self:
        low, high = self.pseudo_low, self.pseudo_high
        if low > high:
            raise ValueError(f"pseudo_low ({low}) is above pseudo_high ({high})")
        return self


def threshold(
    scores: Singles,
    present: Bools,
    settings: PseudoLabelSettings,
    extent: Singles | None = None,
) -> NDArray[np.int8]:
    """Turn a teacher's scores of one video, or of a part of it, into pseudo-labels.

    Args:
        scores: (T, K) probabilities or logits.
        present: (K,) the classes that the video carries; all others are background everywhere.
        settings: δ_h and δ_l (a normalised score above δ_h is foreground, below δ_l background, in
            between ignored), and over what scores are normalised.
        extent: (2, K) the lowest and the highest score of each class; None: those of `scores`.

    Returns:
        (T, K) of FOREGROUND, BACKGROUND and IGNORED.
    """
    labels = np.full(scores.shape, BACKGROUND, dtype=np.int8)
    if not present.any():
        return labels
    chosen = scores[:, present]
    if settings.pseudo_normalization is not ScoreRange.NONE:
        of_part = np.stack([chosen.min(axis=0), chosen.max(axis=0)])
        lowest, highest = of_part if extent is None else extent[:, present]
        flat = highest - lowest < FLAT
        if settings.pseudo_normalization is ScoreRange.VIDEO:
            lowest, highest = lowest.min(), highest.max()
        # A NaN is neither above nor below a threshold: ignored.
        chosen = np.where(flat, np.nan, (chosen - lowest) / np.maximum(highest - lowest, 1e-12))
    kinds = np.full(chosen.shape, IGNORED, dtype=np.int8)
    kinds[chosen > settings.pseudo_high] = FOREGROUND
    kinds[chosen < settings.pseudo_low] = BACKGROUND
    labels[:, present] = kinds
    return labels


def make_pseudo_labels(
    teacher: BranchNetwork,
    videos: WeakVideos,
    stream: FeatureReader,
    settings: PseudoLabelSettings,
    *,
    window: int,
    device: torch.device | str = "cpu",
) -> PseudoLabels:
    """Score every training video whole with a frozen teacher and threshold the scores.

    The teacher is a branch in eval mode, `stream` the features that it reads, and `window` the
    snippets in one pass.
    """
    labels = []
    for name, present in zip(videos.names, videos.labels, strict=True):
        logits = score_video(teacher, stream, name, window, device)
        as_logits = settings.pseudo_score is TeacherScore.LOGIT
        scores = logits if as_logits else probabilities(logits, float(teacher.temperature))
        labels.append(threshold(scores, present, settings))
    return labels


def count_labels(pseudo: PseudoLabels, videos: WeakVideos) -> dict[str, int | Mapping[str, object]]:
    """The number of snippets of present classes of each kind, in all and for each class."""
    kinds = {"foreground": FOREGROUND, "background": BACKGROUND, "ignored": IGNORED}
    classes = {name: dict.fromkeys(kinds, 0) for name in videos.classes}
    for labels, present in zip(pseudo, videos.labels, strict=True):
        for k in np.flatnonzero(present):
            for kind, value in kinds.items():
                classes[videos.classes[k]][kind] += int((labels[:, k] == value).sum())
    totals = {kind: sum(c[kind] for c in classes.values()) for kind in kinds}
    return {**totals, "snippets": sum(totals.values()), "classes": classes}


def crop_labels(
    pseudo: PseudoLabels | SomePseudoLabels, crops: Sequence[Crop], mask: Tensor
) -> Tensor:
    """The pseudo-labels of some crops: (B, T, K) int8, IGNORED where `mask` (B, T) is padded."""
    cut = torch.full((*mask.shape, pseudo[crops[0].video].shape[1]), IGNORED, dtype=torch.int8)
    for row, crop in enumerate(crops):
        whole = pseudo[crop.video][crop.start : crop.start + crop.length]
        cut[row, : crop.length] = torch.from_numpy(whole)
    return cut
