"""Training one round of the detector on pseudo-segments.

Everything random is a function of the seed and the round, so a round that a kill cut short is
trained again to the same weights.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos
from duetal.detector.detecting import read_joined
from duetal.detector.detector_loss import detector_losses
from duetal.detector.detector_settings import DetectorSettings
from duetal.detector.pseudo_segments import PseudoSegment
from duetal.detector.pyramid import PyramidDetector, position_grid
from duetal.detector.targets import Targets, assign
from duetal.method.branches import channel_statistics
from duetal.method.sampling import Crop, SamplingSettings, epoch_batches, random_seed

#: Updates over which the learning rate rises.
_RISE = 50
_WEIGHT_DECAY = 1e-2
#: Share of the old weights in the moving average that becomes the detector.
_AVERAGE = 0.995

#: Called with the terms' means after each update, and with the epoch and its means after each.
OnUpdate = Callable[[Mapping[str, float]], object]
OnEpoch = Callable[[int, Mapping[str, float]], object]


def build_detector(videos: WeakVideos, settings: DetectorSettings, seed: int) -> PyramidDetector:
    """An untrained detector that standardises the features of all streams."""
    dim = sum(stream.dim for stream in videos.streams.values())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = PyramidDetector(dim, len(videos.classes), settings)
    found = [channel_statistics(videos, stream) for stream in videos.streams.values()]
    detector.mean.copy_(torch.cat([mean for mean, _ in found]))
    detector.std.copy_(torch.cat([std for _, std in found]).clamp(min=1e-6))
    return detector


def train_round(
    videos: WeakVideos,
    segments: Sequence[Sequence[PseudoSegment]],
    settings: DetectorSettings,
    crop: int,
    seed: int,
    *,
    device: torch.device | str = "cpu",
    on_update: OnUpdate = lambda losses: None,
    on_epoch: OnEpoch = lambda epoch, losses: None,
) -> PyramidDetector:
    """Train a new detector, and return the moving average of its weights, in eval mode.

    Args:
        videos: the training videos.
        segments: the pseudo-segments of each.
        settings: of the detector.
        crop: the longest crop, in snippets.
        seed: of this round.
        device: to compute on.
        on_update: called after each update.
        on_epoch: called after each epoch, 1, 2, ….

    Raises:
        DuetalError: a loss that is not finite.
    """
    student = build_detector(videos, settings, seed).to(device).train()
    average = copy.deepcopy(student).eval()
    optimizer = torch.optim.AdamW(
        student.parameters(), lr=settings.detector_rate, weight_decay=_WEIGHT_DECAY
    )
    sampling = SamplingSettings(crop=crop, batch_size=settings.detector_batch)
    lengths = [videos.length(name) for name in videos.names]
    updates = settings.epochs * math.ceil(len(lengths) / settings.detector_batch)
    done = 0
    for epoch in range(settings.epochs):
        sums: dict[str, float] = {}
        batches = epoch_batches(lengths, sampling, random_seed(seed, epoch))
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = settings.detector_rate * _share_of_rate(done, updates)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(random_seed(seed, epoch, done))
                losses = _update(student, optimizer, videos, segments, batch, settings, device)
            done += 1
            _follow(average, student, min(_AVERAGE, done / (done + 9)))
            on_update(losses)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
        on_epoch(epoch + 1, sums)
    return average


def _share_of_rate(done: int, updates: int) -> float:
    return min(1.0, (done + 1) / _RISE) * 0.5 * (1 + math.cos(math.pi * done / updates))


@torch.no_grad()
def _follow(average: torch.nn.Module, student: torch.nn.Module, old: float) -> None:
    """Move an average's weights towards the student's; `old` is the share that it keeps."""
    for mine, theirs in zip(average.parameters(), student.parameters(), strict=True):
        mine.lerp_(theirs, 1 - old)


def _update(
    student: PyramidDetector,
    optimizer: torch.optim.Optimizer,
    videos: WeakVideos,
    segments: Sequence[Sequence[PseudoSegment]],
    batch: Sequence[Crop],
    settings: DetectorSettings,
    device: torch.device | str,
) -> dict[str, float]:
    """One update; the weighted terms of its loss."""
    features, mask, targets = load_batch(videos, segments, batch, settings)
    out = student(features.to(device), mask.to(device))
    centre, _ = position_grid(mask.shape[1], settings.scales)
    losses = detector_losses(out, targets.to(device), centre.to(device))
    for name, value in losses.items():
        if not torch.isfinite(value):
            names = ", ".join(repr(videos.names[crop.video]) for crop in batch)
            cause = f"the detector's loss of {name} is {value.item()} on videos {names}"
            raise DuetalError(cause, file=videos.source)
    optimizer.zero_grad()
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    return {name: value.item() for name, value in losses.items()}


def load_batch(
    videos: WeakVideos,
    segments: Sequence[Sequence[PseudoSegment]],
    batch: Sequence[Crop],
    settings: DetectorSettings,
) -> tuple[Tensor, Tensor, Targets]:
    """Features (B, T, C), zeros where padded; a mask (B, T); the targets.

    T is the longest crop, padded to a multiple of the coarsest stride.
    """
    coarsest = settings.coarsest
    longest = max(crop.length for crop in batch)
    longest += -longest % coarsest
    dim = sum(stream.dim for stream in videos.streams.values())
    features = torch.zeros(len(batch), longest, dim)
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    targets = []
    for row, crop in enumerate(batch):
        read = read_joined(
            videos.streams, videos.names[crop.video], crop.start, crop.start + crop.length
        )
        features[row, : crop.length] = torch.from_numpy(np.ascontiguousarray(read))
        mask[row, : crop.length] = True
        own = segments[crop.video]
        targets.append(assign(own, crop.start, longest, len(videos.classes), settings))
    return features, mask, Targets.stack(targets)
