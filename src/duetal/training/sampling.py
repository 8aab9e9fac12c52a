"""Which crops of which videos make a batch, and how a batch goes through memory.

Everything random is a function of the seed, the phase and the epoch alone. So a resumed run draws
what the uninterrupted one would have drawn, and processes that share a batch agree on it unasked.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from duetal.datasets.dataset import WeakVideos
from duetal.features.streams import FeatureStream


@dataclass(frozen=True, slots=True)
class Crop:
    """The snippets `[start, start + length)` of the training video with index `video`."""

    video: int
    start: int
    length: int


def random_seed(*words: object) -> int:
    """A seed that is a fixed function of the words."""
    return zlib.crc32("/".join(str(word) for word in words).encode())


def epoch_batches(
    lengths: Sequence[int],
    *,
    crop: int,
    batch_size: int,
    repeats: int,
    seed: int,
) -> list[list[Crop]]:
    """Draw one epoch: every video `repeats` times, each time a crop at a random offset.

    Args:
        lengths: T of each video.
        crop: most snippets of a crop; shorter videos are taken whole.
        batch_size: videos in a batch; the last batch holds what is left.
        repeats: crops of each video.
        seed: of this epoch.
    """
    random = np.random.default_rng(seed)
    crops: list[Crop] = []
    for _ in range(repeats):
        for video in random.permutation(len(lengths)):
            size = min(crop, lengths[video])
            start = int(random.integers(lengths[video] - size + 1))
            crops.append(Crop(int(video), start, size))
    return [crops[i : i + batch_size] for i in range(0, len(crops), batch_size)]


def steps_per_epoch(videos: int, *, batch_size: int, repeats: int) -> int:
    """How many batches `epoch_batches` draws."""
    return math.ceil(videos * repeats / batch_size)


def share_of(batch: Sequence[Crop], rank: int, processes: int) -> list[Crop]:
    """The part of a batch that one process computes: longest first, dealt out in turn."""
    return sorted(batch, key=lambda c: (-c.length, c.video, c.start))[rank::processes]


def micro_batches(crops: Sequence[Crop], budget: int, waste: float = 0.07) -> list[list[Crop]]:
    """Cut crops into groups of similar length that go through the network together.

    Args:
        crops: sorted by falling length.
        budget: most padded snippets of a group (a longer crop is a group by itself).
        waste: largest share of a group's padded snippets that may be padding.
    """
    groups: list[list[Crop]] = []
    real = 0
    for crop in crops:
        if groups:
            padded = groups[-1][0].length * (len(groups[-1]) + 1)
            if padded <= budget and real + crop.length >= (1 - waste) * padded:
                groups[-1].append(crop)
                real += crop.length
                continue
        groups.append([crop])
        real = crop.length
    return groups


@dataclass(frozen=True)
class MicroBatch:
    """Padded features of some crops.

    Args:
        crops: what they are.
        features: (B, T, C) float32, zeros where padded.
        mask: (B, T) True where a snippet is real.
        labels: (B, K) float32, 1 where the video carries the label.
    """

    crops: list[Crop]
    features: Tensor
    mask: Tensor
    labels: Tensor


def load(videos: WeakVideos, stream: FeatureStream, crops: list[Crop]) -> MicroBatch:
    """Read the features of some crops and pad them to the longest."""
    longest = max(crop.length for crop in crops)
    features = torch.zeros(len(crops), longest, stream.dim)
    mask = torch.zeros(len(crops), longest, dtype=torch.bool)
    for row, crop in enumerate(crops):
        name = videos.names[crop.video]
        read = stream.read(name, crop.start, crop.start + crop.length)
        features[row, : crop.length] = torch.from_numpy(read)
        mask[row, : crop.length] = True
    rows = [crop.video for crop in crops]
    labels = torch.from_numpy(videos.labels[rows].astype(np.float32))
    return MicroBatch(crops, features, mask, labels)
