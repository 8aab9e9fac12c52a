"""Detections of whole videos by the detector."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from duetal.core.array_types import Floats, Singles
from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import FeatureReader, Read, expect_reads
from duetal.detector.pseudo_segments import Proposals, vote
from duetal.detector.pyramid import PyramidDetector, PyramidOutput, position_grid
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import Suppress, VideoDetections, localize_classes
from duetal.method.video_scoring import windows

#: Predictions of a class that go into soft-NMS, the best ones: this many, or one per snippet.
_LEAST_KEPT = 200


@dataclass(frozen=True)
class Predictions1D:
    """What all positions predict of one video."""

    scores: Singles  # (P, K) class probability · √centre-ness.
    start: Singles  # (P,) in snippets.
    end: Singles  # (P,)
    snippets: Singles  # (T, K) the highest class probability over the scales.

    def of_class(self, label: int) -> Proposals:
        """The best predictions of a class."""
        score = self.scores[:, label].astype(np.float64)
        rows = np.argsort(-score, kind="stable")[: max(_LEAST_KEPT, len(self.snippets))]
        start, end = self.start[rows].astype(np.float64), self.end[rows].astype(np.float64)
        return Proposals(start, end, score[rows])


@dataclass(frozen=True)
class JoinedStream:
    """The features of several streams side by side, in their order."""

    streams: Mapping[str, FeatureReader]

    @property
    def dim(self) -> int:
        """C of all streams."""
        return sum(stream.dim for stream in self.streams.values())

    def length(self, name: str) -> int:
        """T of a video, in all streams alike."""
        return next(iter(self.streams.values())).length(name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Singles:
        """(T, C) features of the snippets `[start, stop)` of a video."""
        return np.concatenate([s.read(name, start, stop) for s in self.streams.values()], axis=1)

    def expect(self, reads: Iterable[Read]) -> None:
        """Be told what is read from now on, in this order."""
        coming = list(reads)
        for stream in self.streams.values():
            expect_reads(stream, coming)

    def path(self, name: str) -> Path:
        """The file with a video's features in the first stream."""
        return next(iter(self.streams.values())).path(name)


def decode(out: PyramidOutput, first: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """(P, K) scores, 0 at padding, and (P,) starts and ends, as snippets of the whole video.

    `out` is of one crop, which begins at snippet `first` of `length`.
    """
    score = torch.sigmoid(out.classes[0]) * torch.sigmoid(out.centreness[0]).sqrt()[:, None]
    start, end = ((place[0] + first).clamp(0, length) for place in (out.start, out.end))
    return score * out.mask[0][:, None], start, end


@torch.inference_mode()
def predict(
    detector: PyramidDetector,
    streams: Mapping[str, FeatureReader],
    name: str,
    window: int,
    device: torch.device | str = "cpu",
) -> Predictions1D:
    """Predict in a whole video, in windows that overlap by half.

    A position counts in the window in whose middle it lies.
    """
    stream = JoinedStream(streams)
    length = stream.length(name)
    parts: list[tuple[Singles, Singles, Singles]] = []
    snippets: Singles | None = None
    spans = windows(length, window)
    for index, (first, stop) in enumerate(spans):
        features = torch.from_numpy(stream.read(name, first, stop)).to(device)
        mask = torch.ones(1, len(features), dtype=torch.bool, device=device)
        out = detector(features.unsqueeze(0), mask)
        score, start, end = (column.cpu() for column in decode(out, first, length))
        padded = len(features) + -len(features) % detector.coarsest
        centre, stride = position_grid(padded, detector.scales)
        # Half of what two windows share belongs to each.
        low = 0 if not index else (first + spans[index - 1][1]) / 2
        high = math.inf if index + 1 == len(spans) else (spans[index + 1][0] + stop) / 2
        place = centre + first
        kept = out.mask[0].cpu() & (place >= low) & (place < high) & (end > start)
        parts.append((score[kept].numpy(), start[kept].numpy(), end[kept].numpy()))
        classes = torch.sigmoid(out.classes[0]).cpu()
        if snippets is None:
            snippets = np.zeros((length, classes.shape[1]), dtype=np.float32)
        for scale in range(detector.scales):
            rows = classes[stride == 1 << scale].repeat_interleave(1 << scale, dim=0)
            np.maximum(snippets[first:stop], rows[: stop - first].numpy(), out=snippets[first:stop])
    assert snippets is not None
    scores, starts, ends = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Predictions1D(scores, starts, ends, snippets)


def detect(
    predicted: Predictions1D,
    video_probabilities: Singles,
    grid: TimeGrid,
    settings: LocalizationSettings,
    *,
    offset: float = 0.0,
    duration: float | None = None,
) -> VideoDetections:
    """The detections of a video, in seconds.

    Classes are chosen by the teacher's video-level probabilities (K,). Of each, soft-NMS keeps the
    best predictions, and those that overlap one vote for its borders.
    """

    def find(label: int, suppress: Suppress) -> tuple[Floats, Floats, Floats]:
        found = predicted.of_class(label)
        kept, score = suppress(found.start, found.end, found.score)
        borders = np.array([vote(found, row)[0] for row in kept]).reshape(-1, 2)
        start, end = np.minimum(offset + grid.edge(borders), duration or np.inf).T
        inside = end > start
        return start[inside], end[inside], score[inside]

    seconds = duration or len(predicted.snippets) * grid.seconds_per_snippet
    return localize_classes(video_probabilities, find, seconds, settings)
