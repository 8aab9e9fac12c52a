"""Random crops of videos, batches of crops, and micro-batches that bound memory.

Everything random is a function of the seed, the phase and the epoch alone. So a resumed run draws
the crops of an uninterrupted one, and processes that share a batch draw the same batch.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from duetal.core.settings_section import Settings
from duetal.core.weak_videos import FeatureReader, Read, WeakVideos


class SamplingSettings(Settings):
    """How training reads videos."""

    crop: int = Field(1000, ge=8, le=1_000_000)
    """[S] T, the consecutive snippets of a video that one training step reads; whole videos are
    scored in overlapping windows of this length."""
    batch_size: int = Field(64, ge=1, le=100_000)
    """[S] Videos in one update, over all processes."""
    repeats_per_epoch: int = Field(1, ge=1, le=100_000)
    """[D] Random crops of each video in one epoch; 1 is the literal reading."""
    micro_batch_snippets: int = Field(4096, ge=1, le=100_000_000)
    """[D] Padded snippets in one forward pass. Gradients add up over the batch, so this bounds
    memory and changes nothing else."""


@dataclass(frozen=True, slots=True)
class Crop:
    """The snippets `[start, start + length)` of the training video with index `video`."""

    video: int
    start: int
    length: int


def random_seed(*parts: object) -> int:
    """A seed that is a fixed function of its parts."""
    return zlib.crc32("/".join(str(part) for part in parts).encode())


def epoch_batches(
    lengths: Sequence[int], settings: SamplingSettings, seed: int
) -> list[list[Crop]]:
    """Draw one epoch: `repeats_per_epoch` crops of every video at random offsets, in batches.

    `lengths` are T of each video. A video no longer than a crop is taken whole, and the last batch
    may be smaller. The seed is that of this epoch.
    """
    random = np.random.default_rng(seed)
    crops: list[Crop] = []
    for _ in range(settings.repeats_per_epoch):
        for video in random.permutation(len(lengths)):
            size = min(settings.crop, lengths[video])
            start = int(random.integers(lengths[video] - size + 1))
            crops.append(Crop(int(video), start, size))
    return [crops[i : i + settings.batch_size] for i in range(0, len(crops), settings.batch_size)]


def crop_reads(
    videos: WeakVideos, batches: Sequence[Sequence[Crop]], rank: int = 0, processes: int = 1
) -> Iterator[Read]:
    """What one process reads in some batches, in order."""
    own = (crop for batch in batches for crop in share_of(batch, rank, processes))
    return ((videos.names[crop.video], crop.start, crop.start + crop.length) for crop in own)


def steps_per_epoch(videos: int, settings: SamplingSettings) -> int:
    """The number of batches that `epoch_batches` draws."""
    return math.ceil(videos * settings.repeats_per_epoch / settings.batch_size)


def share_of(batch: Sequence[Crop], rank: int, processes: int) -> list[Crop]:
    """The part of a batch that one process computes: longest first, dealt out in turn."""
    return sorted(batch, key=lambda c: (-c.length, c.video, c.start))[rank::processes]


def divided(lengths: Sequence[int], processes: int) -> list[list[int]]:
    """The videos that each process reads whole, by index: longest first, dealt out in turn."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [sorted(order[rank::processes]) for rank in range(processes)]


def micro_batches(crops: Sequence[Crop], budget: int, waste: float = 0.07) -> list[list[Crop]]:
    """Cut crops, sorted by falling length, into groups that go through the network together.

    A group has at most `budget` padded snippets (a longer crop is a group by itself), of which at
    most the share `waste` is padding.
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
    """Padded features of some crops."""

    crops: list[Crop]  # In the order of the rows.
    features: Tensor  # (B, T, C) float32, zeros where padded.
    mask: Tensor  # (B, T) True where a snippet is real.
    labels: Tensor  # (B, K) float32, 1 where the video carries the label.


def load(videos: WeakVideos, stream: FeatureReader, crops: list[Crop]) -> MicroBatch:
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


def load_ahead(
    videos: WeakVideos, stream: FeatureReader, crops: Sequence[Crop], budget: int
) -> Iterator[MicroBatch]:
    """Micro-batches in order, the next one read while this one is computed."""
    groups = micro_batches(crops, budget)
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = [reader.submit(load, videos, stream, group) for group in groups[:1]]
        for number in range(len(groups)):
            micro = ahead.pop().result()
            if number + 1 < len(groups):
                ahead.append(reader.submit(load, videos, stream, groups[number + 1]))
            yield micro
