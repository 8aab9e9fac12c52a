"""What a frozen teacher is confident of, snippet by snippet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from duetal.config import Normalization, TeacherScore
from duetal.datasets.dataset import WeakVideos
from duetal.features.streams import FeatureStream
from duetal.model.scoring import probabilities, score_video

FOREGROUND = 1
BACKGROUND = 0
IGNORED = -1


@dataclass(frozen=True)
class PseudoLabels:
    """The pseudo-labels of every training video.

    Args:
        labels: for each video (T, K) int8: FOREGROUND, BACKGROUND or IGNORED.
    """

    labels: Sequence[NDArray[np.int8]]

    def counts(self, videos: WeakVideos) -> dict[str, Any]:
        """How many snippets of present classes are of each kind, in all and for each class."""
        kinds = {"foreground": FOREGROUND, "background": BACKGROUND, "ignored": IGNORED}
        classes = {name: dict.fromkeys(kinds, 0) for name in videos.classes}
        for labels, present in zip(self.labels, videos.labels, strict=True):
            for k in np.flatnonzero(present):
                for kind, value in kinds.items():
                    classes[videos.classes[k]][kind] += int((labels[:, k] == value).sum())
        totals = {kind: sum(c[kind] for c in classes.values()) for kind in kinds}
        return {**totals, "snippets": sum(totals.values()), "classes": classes}


def threshold(
    scores: NDArray[np.float32],
    present: NDArray[np.bool_],
    *,
    high: float,
    low: float,
    normalization: Normalization,
) -> NDArray[np.int8]:
    """Turn a teacher's scores of one video into pseudo-labels.

    Args:
        scores: (T, K) probabilities or logits.
        present: (K,) the classes that the video carries; all others are background everywhere.
        high: δ_h, a normalised score above it is foreground.
        low: δ_l, a normalised score below it is background; in between, ignored.
        normalization: over what scores are scaled to [0, 1].

    Returns:
        (T, K) of FOREGROUND, BACKGROUND and IGNORED.
    """
    labels = np.full(scores.shape, BACKGROUND, dtype=np.int8)
    if not present.any():
        return labels
    chosen = scores[:, present]
    if normalization is not Normalization.NONE:
        axis = 0 if normalization is Normalization.CLASS else None
        lowest = chosen.min(axis=axis, keepdims=True)
        span = chosen.max(axis=axis, keepdims=True) - lowest
        chosen = (chosen - lowest) / np.maximum(span, 1e-12)
    kinds = np.full(chosen.shape, IGNORED, dtype=np.int8)
    kinds[chosen > high] = FOREGROUND
    kinds[chosen < low] = BACKGROUND
    labels[:, present] = kinds
    return labels


def teach(
    teacher: nn.Module,
    videos: WeakVideos,
    stream: FeatureStream,
    *,
    window: int,
    high: float,
    low: float,
    normalization: Normalization,
    score: TeacherScore,
    device: torch.device | str = "cpu",
) -> PseudoLabels:
    """Score every training video whole with the frozen teacher and keep what it is sure of.

    Args:
        teacher: a branch; it is put in eval mode for the time.
        videos: the training videos and their labels.
        stream: the features that the teacher reads.
        window: snippets in one pass.
        high: δ_h.
        low: δ_l.
        normalization: see `threshold`.
        score: what is thresholded.
        device: where to compute.
    """
    teacher.eval()
    labels = []
    for row, name in enumerate(videos.names):
        logits = score_video(
            teacher,
            lambda start, stop, name=name: stream.read(name, start, stop),  # type: ignore[misc]
            stream.length(name),
            window,
            device,
        )
        labels.append(
            threshold(
                logits if score is TeacherScore.LOGIT else probabilities(logits),
                videos.labels[row],
                high=high,
                low=low,
                normalization=normalization,
            )
        )
    return PseudoLabels(labels)
