"""The detector's network does not read padding; its windows agree with a whole video."""

import numpy as np
import pytest
import torch

from duetal.core.grid import TimeGrid
from duetal.detector.detecting import Predictions1D, detect, predict
from duetal.detector.detector_settings import DetectorSettings
from duetal.detector.pyramid import PyramidDetector
from duetal.localization.localization_settings import LocalizationSettings

SETTINGS = DetectorSettings(width=8, scales=3)


class Stored:
    """A stream of one video in memory."""

    dim = 5

    def __init__(self, length: int):
        self.features = np.random.default_rng(0).normal(size=(length, 5)).astype(np.float32)

    def length(self, name: str) -> int:
        return len(self.features)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self.features[start:stop]


@pytest.fixture
def detector() -> PyramidDetector:
    torch.manual_seed(0)
    return PyramidDetector(5, 2, SETTINGS).eval()


def test_padding_changes_nothing(detector: PyramidDetector) -> None:
    features, mask = torch.randn(1, 16, 5), torch.ones(1, 16, dtype=torch.bool)
    alone = detector(features, mask)
    padded = detector(
        torch.cat([features, torch.full((1, 16, 5), 7.0)], dim=1),
        torch.cat([mask, torch.zeros_like(mask)], dim=1),
    )
    assert torch.allclose(padded.classes[padded.mask], alone.classes[alone.mask], atol=1e-5)
    assert torch.allclose(padded.start[padded.mask], alone.start[alone.mask], atol=1e-4)


@pytest.mark.parametrize("length", [1, 5, 32, 75])
def test_every_snippet_is_predicted_once(detector: PyramidDetector, length: int) -> None:
    found = predict(detector, {"cbp": Stored(length)}, "v", window=32)  # type: ignore[dict-item]
    assert found.snippets.shape == (length, 2)
    assert (found.snippets > 0).all()
    assert (found.end > found.start).all()
    assert found.start.min() >= 0
    assert found.end.max() <= length
    # Scales of strides 1, 2 and 4, each covering the video.
    assert length <= len(found.scores) <= length * 1.75 + 6


def test_borders_are_between_the_centres_of_windows() -> None:
    scores = np.array([[0.1, 0.9]], dtype=np.float32)
    place = np.array([2.0], dtype=np.float32), np.array([6.5], dtype=np.float32)
    found = Predictions1D(scores, *place, np.zeros((9, 2), dtype=np.float32))
    grid = TimeGrid(fps=10, stride=10, window=30)
    video = np.array([0.01, 0.8], dtype=np.float32)
    seconds = detect(found, video, grid, LocalizationSettings(), offset=0.5)
    assert seconds.label.tolist() == [1]
    # Snippet 2 is seen from second 2 to 5; its left edge is a half stride before its centre.
    assert seconds.start.tolist() == [0.5 + 3.0]
    assert seconds.end.tolist() == [0.5 + 7.5]
    short = detect(found, video, grid, LocalizationSettings(), duration=5.0)
    assert short.end.tolist() == [5.0]
