"""Training one round of the detector on pseudo-segments.

Everything random is a function of the seed and the round, so a round that a kill cut short is
trained again to the same weights.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos, expect_reads
from duetal.detector.detecting import JoinedStream
from duetal.detector.detector_loss import detector_losses
from duetal.detector.detector_settings import DetectorSettings
from duetal.detector.pseudo_segments import PseudoSegment
from duetal.detector.pyramid import PyramidDetector, position_grid
from duetal.detector.targets import Targets, assign
from duetal.method.branches import channel_statistics
from duetal.method.sampling import (
    Crop,
    SamplingSettings,
    crop_reads,
    epoch_batches,
    load,
    random_seed,
)
from duetal.method.weight_average import average_weights, take_averages

#: Updates over which the learning rate rises.
_RISE = 50
_WEIGHT_DECAY = 1e-2
#: Decay of the moving average that becomes the detector.
_DECAY = 0.995

#: Called with the terms' means after each update, and with the epoch and its means after each.
OnUpdate = Callable[[Mapping[str, float]], object]
OnEpoch = Callable[[int, Mapping[str, float]], object]


def build_detector(videos: WeakVideos, settings: DetectorSettings, seed: int) -> PyramidDetector:
    """An untrained detector that standardises the features of all streams."""
    stream = JoinedStream(videos.streams)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = PyramidDetector(stream.dim, len(videos.classes), settings)
    mean, std = channel_statistics(videos, stream)
    detector.mean.copy_(mean)
    detector.std.copy_(std.clamp(min=1e-6))
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
    optimizer = torch.optim.AdamW(
        student.parameters(), lr=settings.detector_rate, weight_decay=_WEIGHT_DECAY
    )
    sampling = SamplingSettings(crop=crop, batch_size=settings.detector_batch)
    lengths = [videos.length(name) for name in videos.names]
    updates = settings.updates(len(lengths))
    done = 0
    for epoch in range(settings.epochs):
        sums: dict[str, float] = {}
        batches = epoch_batches(lengths, sampling, random_seed(seed, epoch))
        expect_reads(JoinedStream(videos.streams), crop_reads(videos, batches))
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = settings.detector_rate * _share_of_rate(done, updates)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(random_seed(seed, epoch, done))
                losses = _update(student, optimizer, videos, segments, batch, settings, device)
            done += 1
            average_weights(optimizer, _DECAY)
            on_update(losses)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
        on_epoch(epoch + 1, sums)
    take_averages(optimizer)
    return student.eval()


def _share_of_rate(done: int, updates: int) -> float:
    return min(1.0, (done + 1) / _RISE) * 0.5 * (1 + math.cos(math.pi * done / updates))


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
    micro = load(videos, JoinedStream(videos.streams), list(batch))
    out = student(micro.features.to(device), micro.mask.to(device))
    # The network pads to a multiple of its coarsest stride.
    length, classes = micro.mask.shape[1], len(videos.classes)
    length += -length % settings.coarsest
    targets = Targets.stack(
        [assign(segments[c.video], c.start, length, classes, settings) for c in batch]
    )
    centre, _ = position_grid(length, settings.scales)
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
