"""Logits and probabilities of whole videos, of any length, in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from duetal.core.array_types import Bools, Singles
from duetal.core.weak_videos import FeatureReader, Read, WeakVideos, expect_reads
from duetal.method.layers import BranchNetwork, topk_mean
from duetal.method.sampling import divided


def windows(length: int, window: int) -> list[tuple[int, int]]:
    """Cover `[0, length)` with windows of `window` snippets that overlap by half.

    A video no longer than a window is one window. Every window but a shorter video's is full: the
    last one ends at the video's end.
    """
    if length <= window:
        return [(0, length)]
    starts = [*range(0, length - window, max(1, window // 2)), length - window]
    return [(start, start + window) for start in starts]


def window_reads(stream: FeatureReader, names: Iterable[str], window: int) -> Iterator[Read]:
    """What `score_video` reads of some videos, one after the other."""
    return ((n, start, stop) for n in names for start, stop in windows(stream.length(n), window))


@torch.inference_mode()
def score_video(
    branch: nn.Module,
    stream: FeatureReader,
    name: str,
    window: int,
    device: torch.device | str = "cpu",
) -> Singles:
    """Logits (T, K) of a whole video, by a branch in eval mode and the stream that it reads.

    A pass has `window` snippets, the crop's length in training. Where windows overlap, their logits
    are blended with weights that fall towards a window's ends, so the result depends on the video
    and the window's length alone.
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


def video_probabilities(
    logits: Singles, topk_ratio: float | Sequence[float], *, softmax: bool = False
) -> Singles:
    """(T, K) snippet logits → (K,) probabilities that the video contains each class.

    The top ceil(T / topk_ratio) snippets of each class are pooled, K ratios are one for each.
    `softmax` is whether classes compete, as in CLIP's own probability or softmax cross-entropy;
    else each is by itself, as a single class always is.
    """
    snippets = torch.from_numpy(logits).unsqueeze(0)
    mask = torch.ones(snippets.shape[:2], dtype=torch.bool)
    pooled = topk_mean(snippets, mask, topk_ratio)[0]
    compete = softmax and len(pooled) > 1
    return (torch.softmax(pooled, dim=0) if compete else torch.sigmoid(pooled)).numpy()


def probabilities(logits: Singles, temperature: float = 1.0) -> Singles:
    """Sigmoid of logits / temperature, element by element."""
    return torch.sigmoid(torch.from_numpy(logits) / temperature).numpy()


#: The largest logit / temperature: single precision tells probabilities apart up to here.
LARGEST_LOGIT = 12.0


class ScoreCalibration(NamedTuple):
    """How the logits of a branch become probabilities."""

    temperature: float  #: At least 1: at which no training snippet's probability saturates.
    classes_compete: bool  #: Whether they did, and a softmax fits the training labels better.


def calibrate(
    branch: BranchNetwork,
    videos: WeakVideos,
    stream: FeatureReader,
    window: int,
    topk_ratio: float | Sequence[float],
    fabric: Fabric,
) -> ScoreCalibration:
    """Find how the scores of a trained branch are to be read, on the training videos.

    Logits of ±60 are probabilities of exactly 1.0 in single precision: they tie, and neither
    maximum scoring nor a teacher's thresholds can rank them. Where the branch's classes compete,
    that a video has one is said by a softmax or by sigmoids, whichever has the lower log loss of
    the labels. The processes of `fabric` divide the videos.
    """
    shares = divided([videos.length(name) for name in videos.names], fabric.world_size)
    highest = torch.tensor(LARGEST_LOGIT, device=fabric.device)
    losses = torch.zeros(2, device=fabric.device)
    rules = (False, True) if branch.classes_compete else ()
    own = shares[fabric.global_rank]
    expect_reads(stream, window_reads(stream, [videos.names[index] for index in own], window))
    for index in own:
        logits = score_video(branch, stream, videos.names[index], window, fabric.device)
        highest = highest.clamp(min=float(logits.max()))
        known = slice(None) if videos.unknown is None else ~videos.unknown[index]
        for softmax in rules:
            found = video_probabilities(logits, topk_ratio, softmax=softmax)[known]
            losses[int(softmax)] += _log_loss(found, videos.labels[index][known])
    highest_of_all = fabric.all_reduce(highest, reduce_op="max")
    by_sigmoid, by_softmax = fabric.all_reduce(losses, reduce_op="sum")
    assert isinstance(highest_of_all, torch.Tensor)
    return ScoreCalibration(float(highest_of_all) / LARGEST_LOGIT, bool(by_softmax < by_sigmoid))


def _log_loss(probability: Singles, has_class: Bools) -> float:
    """The sum over classes of the binary cross-entropy, of probabilities that may be 0 or 1."""
    p = np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6)
    return -float(np.log(np.where(has_class, p, 1 - p)).sum())
