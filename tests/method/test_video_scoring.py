"""Scoring whole videos in windows."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from duetal.core.weak_videos import WeakVideos
from duetal.method.cbp import CBPBranch
from duetal.method.layers import BranchNetwork
from duetal.method.video_scoring import (
    calibrate,
    probabilities,
    score_video,
    video_probabilities,
    windows,
)


class Stream:
    """The features of one video, in memory or made when they are read."""

    def __init__(self, length: int, read: Callable[[int, int], NDArray[np.float32]]):
        self._length, self._read = length, read
        self.dim = read(0, 1).shape[1]

    def length(self, name: str) -> int:
        return self._length

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        return self._read(start, self._length if stop is None else stop)

    def path(self, name: str) -> Path:
        return Path(name)


def stream_of(values: NDArray[np.float32]) -> Stream:
    return Stream(len(values), lambda start, stop: values[start:stop])


class Sum(nn.Module):
    """A branch that looks at one snippet at a time: windows cannot matter to it."""

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return features.cumsum(dim=-1)[..., -2:], features


@given(length=st.integers(1, 500), window=st.integers(1, 100))
def test_windows_cover_everything(length: int, window: int) -> None:
    spans = windows(length, window)
    covered = np.zeros(length, dtype=int)
    for start, stop in spans:
        assert 0 <= start < stop <= length
        assert stop - start == min(window, length)
        covered[start:stop] += 1
    assert covered.min() >= 1
    assert covered.max() <= 4  # overlapping by half, and the last window by more


@pytest.mark.parametrize("length", [1, 30, 64])
def test_a_short_video_is_one_pass(make_cbp: Callable[..., CBPBranch], length: int) -> None:
    branch = make_cbp()
    values = np.random.default_rng(0).normal(size=(length, 16)).astype(np.float32)
    with torch.no_grad():
        expected, _ = branch(
            torch.from_numpy(values)[None], torch.ones(1, length, dtype=torch.bool)
        )
    got = score_video(branch, stream_of(values), "v", 64)
    np.testing.assert_allclose(got, expected[0].numpy(), atol=1e-6)


@given(length=st.integers(1, 300), window=st.integers(1, 64))
def test_blending_changes_nothing_that_windows_agree_on(length: int, window: int) -> None:
    values = np.random.default_rng(length).normal(size=(length, 4)).astype(np.float32)
    got = score_video(Sum(), stream_of(values), "v", window)
    np.testing.assert_allclose(got, values.cumsum(axis=1)[:, -2:], atol=1e-5)


def test_a_long_video_is_read_in_windows_alone(make_cbp: Callable[..., CBPBranch]) -> None:
    asked: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> NDArray[np.float32]:
        asked.append((start, stop))
        return np.ones((stop - start, 16), dtype=np.float32)

    stream = Stream(1000, read)
    asked.clear()
    scores = score_video(make_cbp(), stream, "v", 64)
    assert scores.shape == (1000, 3)
    assert np.isfinite(scores).all()
    assert asked == windows(1000, 64)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_video(make_cbp: Callable[..., CBPBranch]) -> None:
    """50,000 snippets take what 2,000 do, beside the scores that are asked for."""
    branch = make_cbp()

    def peak(length: int) -> int:
        """Most anonymous memory, in bytes, while a video's features are streamed through."""
        most = 0

        def read(start: int, stop: int) -> NDArray[np.float32]:
            nonlocal most
            most = max(most, anonymous_memory())
            return np.ones((stop - start, 16), dtype=np.float32)

        score_video(branch, Stream(length, read), "v", 256)
        return most

    peak(2_000)  # what is allocated once for all
    short, long = peak(2_000), peak(50_000)
    output = 50_000 * (3 + 1) * 4
    features = 50_000 * 16 * 4
    assert long - short < output + 0.5 * features


def anonymous_memory() -> int:
    """Bytes that this process has allocated, files that it has mapped not counted."""
    line = next(
        line
        for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
        if line.startswith("RssAnon")
    )
    return int(line.split()[1]) * 1024


def test_video_probability_is_the_sigmoid_of_the_pooled_logit() -> None:
    logits = np.array([[4.0, -4.0], [2.0, -2.0], [-9.0, -9.0]], dtype=np.float32)
    got = video_probabilities(logits, topk_ratio=2)  # the best two of three
    np.testing.assert_allclose(got, [1 / (1 + math.exp(-3)), 1 / (1 + math.exp(3))], rtol=1e-6)
    np.testing.assert_allclose(probabilities(logits), 1 / (1 + np.exp(-logits)), rtol=1e-6)


def test_video_probabilities_of_a_softmax_loss_sum_to_one() -> None:
    logits = np.array([[0.0, 1.0, -2.0], [2.0, 1.0, -2.0]], dtype=np.float32)
    got = video_probabilities(logits, topk_ratio=2, softmax=True)  # the best one of two
    odds = np.exp([2.0, 1.0, -2.0])
    assert got == pytest.approx(odds / odds.sum())


@pytest.mark.parametrize(("highest", "temperature"), [(3.0, 1.0), (12.0, 1.0), (60.0, 5.0)])
def test_no_calibrated_score_saturates(
    videos: WeakVideos, highest: float, temperature: float
) -> None:
    class Ramp(BranchNetwork):
        """Logits that rise to the highest at the last snippet of a video."""

        def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
            logits = torch.linspace(-highest, highest, x.shape[1])[None, :, None]
            return logits, x

    stream = videos.streams["cbp"]
    fabric = Fabric(accelerator="cpu", devices=1)
    found = calibrate(Ramp(), videos, stream, 64, 1.0, fabric).temperature
    assert found == pytest.approx(temperature)
    name = videos.names[-1]
    scores = probabilities(score_video(Ramp(), stream, name, 64), found)[:, 0]
    # As many different scores as snippets: none ties at 1.
    assert len(np.unique(scores)) == stream.length(name)


@pytest.mark.parametrize(
    ("present", "absent", "compete"),
    [(6.0, -4.0, False), (3.0, -3.0, False), (2.0, 0.5, True), (2.0, 1.0, True)],
)
def test_classes_compete_while_no_logit_says_that_one_is_absent(
    videos: WeakVideos, present: float, absent: float, compete: bool
) -> None:
    """Of the labels alone that are known: those that are not are all stated wrongly here."""
    labels = np.eye(5, dtype=bool)[np.arange(len(videos.names)) % 5]
    labels |= np.roll(labels, 1, axis=1)
    unknown = np.zeros_like(labels)
    unknown[::2, 0] = True
    features = dict(zip(videos.names, labels | unknown, strict=True))

    class Labels(Stream):
        """Features of a video that are its labels, at each of 10 snippets."""

        def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
            return np.repeat(features[name][None].astype(np.float32), 10, axis=0)

    class Told(BranchNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.classes_compete.fill_(True)

        def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
            return absent + (present - absent) * x, x

    stream = Labels(10, lambda start, stop: np.zeros((10, 5), np.float32))
    told = replace(videos, labels=labels & ~unknown, unknown=unknown)
    fabric = Fabric(accelerator="cpu", devices=1)
    assert calibrate(Told(), told, stream, 64, 2.0, fabric).classes_compete is compete
