"""Logits and probabilities of whole videos, of any length, in bounded memory."""

import numpy as np
import torch
from torch import nn

from duetal.core.array_types import Singles
from duetal.core.weak_videos import FeatureReader
from duetal.method.layers import topk_mean


def windows(length: int, window: int) -> list[tuple[int, int]]:
    """Cover `[0, length)` with windows of `window` snippets that overlap by half.

    A video no longer than a window is one window. Every window but a shorter video's is full: the
    last one ends at the video's end.
    """
    if length <= window:
        return [(0, length)]
    starts = [*range(0, length - window, max(1, window // 2)), length - window]
    return [(start, start + window) for start in starts]


@torch.inference_mode()
def score_video(
    branch: nn.Module,
    stream: FeatureReader,
    name: str,
    window: int,
    device: torch.device | str = "cpu",
) -> Singles:
    """Logits of a whole video.

    Where windows overlap, their logits are blended with weights that fall towards a window's ends,
    so the result depends on the video and the window's length alone.

    Args:
        branch: a branch in eval mode.
        stream: the features that it reads.
        name: of the video.
        window: snippets in one pass; the crop's length in training.
        device: where to compute.

    Returns:
        (T, K) logits.
    """
    length = stream.length(name)
    total: Singles | None = None
    weights = np.zeros((length, 1), dtype=np.float32)
    for start, stop in windows(length, window):
        features = torch.from_numpy(stream.read(name, start, stop)).to(device).unsqueeze(0)
        mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
        logits, _ = branch(features, mask)
        if total is None:
            total = np.zeros((length, logits.shape[-1]), dtype=np.float32)
        size = stop - start
        ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
        total[start:stop] += ramp[:, None] * logits[0].float().cpu().numpy()
        weights[start:stop] += ramp[:, None]
    assert total is not None
    return total / weights


def video_probabilities(logits: Singles, topk_ratio: int, *, softmax: bool = False) -> Singles:
    """(T, K) snippet logits → (K,) probabilities that the video contains each class.

    Args:
        logits: (T, K).
        topk_ratio: the top ceil(T / topk_ratio) snippets of each class are pooled.
        softmax: whether the video loss was softmax cross-entropy; else each class is by itself.
    """
    snippets = torch.from_numpy(logits).unsqueeze(0)
    mask = torch.ones(snippets.shape[:2], dtype=torch.bool)
    pooled = topk_mean(snippets, mask, topk_ratio)[0]
    return (torch.softmax(pooled, dim=0) if softmax else torch.sigmoid(pooled)).numpy()


def probabilities(logits: Singles) -> Singles:
    """Sigmoid, element by element."""
    return torch.sigmoid(torch.from_numpy(logits)).numpy()
