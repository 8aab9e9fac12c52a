"""A round of the detector learns borders; the same seed gives the same weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import WeakVideos
from duetal.detector.detecting import predict
from duetal.detector.detector_loss import detector_losses
from duetal.detector.detector_settings import DetectorSettings
from duetal.detector.detector_training import train_round
from duetal.detector.pseudo_segments import PseudoSegment
from duetal.detector.pyramid import PyramidDetector, position_grid
from duetal.detector.targets import Targets, assign

SETTINGS = DetectorSettings(
    width=16,
    scales=3,
    epochs=40,
    detector_batch=4,
    detector_rate=5e-3,
    input_dropout=0,
)


@pytest.fixture(scope="module")
def lesson(in_memory: Callable[..., Any]) -> tuple[WeakVideos, list[list[PseudoSegment]]]:
    """Eight videos of one action each, which one channel of either stream shows."""
    random = np.random.default_rng(0)
    arrays: dict[str, dict[str, np.ndarray]] = {"cbp": {}, "vlp": {}}
    segments = []
    for number in range(8):
        start, length = 5 + 3 * number % 17, 4 + number % 5
        for stream in arrays.values():
            x = random.normal(scale=0.3, size=(40 - number, 3)).astype(np.float32)
            x[start : start + length, number % 2] += 3
            stream[f"v{number}"] = x
        wrong = random.normal(scale=0.3, size=2)
        borders = start + wrong[0], start + length + wrong[1]
        segments.append([PseudoSegment(number % 2, *borders, 1.0, 0.3, 0.3)])
    labels = np.array([[number % 2 == k for k in range(2)] for number in range(8)])
    streams = {name: in_memory(stream) for name, stream in arrays.items()}
    names = tuple(arrays["cbp"])
    videos = WeakVideos(Path("d"), names, ("a", "b"), labels, streams, TimeGrid(), None, {})
    return videos, segments


def test_it_learns_borders(lesson: tuple[WeakVideos, list[list[PseudoSegment]]]) -> None:
    videos, segments = lesson
    detector = train_round(videos, segments, SETTINGS, crop=32, seed=0)
    tious = []
    for name, (segment,) in zip(videos.names, segments, strict=True):
        found = predict(detector, videos.streams, name, window=32).of_class(segment.label)
        inside = min(found.end[0], segment.end) - max(found.start[0], segment.start)
        outside = max(found.end[0], segment.end) - min(found.start[0], segment.start)
        tious.append(inside / outside)
    assert np.mean(tious) > 0.75


def test_a_seed_is_a_result(lesson: tuple[WeakVideos, list[list[PseudoSegment]]]) -> None:
    short = SETTINGS.model_copy(update={"epochs": 2, "input_dropout": 0.5})
    torch.manual_seed(5)
    weights = [train_round(*lesson, short, 32, seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())
    assert any(not torch.equal(weights[0][name], tensor) for name, tensor in weights[2].items())


def test_videos_of_a_loss_that_is_not_finite_are_named(
    lesson: tuple[WeakVideos, list[list[PseudoSegment]]],
) -> None:
    videos, segments = lesson
    steep = SETTINGS.model_copy(update={"detector_rate": float("inf")})
    with pytest.raises(DuetalError, match="the detector's loss of classes is nan on videos '"):
        train_round(videos, segments, steep, 32, 0)


def test_an_unsure_border_has_no_gradient() -> None:
    torch.manual_seed(0)
    detector = PyramidDetector(3, 2, SETTINGS)
    out = detector(torch.randn(1, 32, 3), torch.ones(1, 32, dtype=torch.bool))
    out.start.retain_grad()
    out.end.retain_grad()
    unsure = PseudoSegment(1, 10.0, 15.0, 1.0, 9.0, 0.1)
    targets = Targets.stack([assign([unsure], 0, 32, 2, SETTINGS)])
    centre, _ = position_grid(32, SETTINGS.scales)
    detector_losses(out, targets, centre)["borders"].backward()
    assert out.start.grad is not None
    assert out.end.grad is not None
    assert (out.start.grad == 0).all()
    assert (out.end.grad != 0).any()
