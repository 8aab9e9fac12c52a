"""Videos whose classes fill a known share of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import WeakVideos


@dataclass(frozen=True)
class Memory:
    arrays: dict[str, np.ndarray]
    dim: int = 16

    def length(self, name: str) -> int:
        return len(self.arrays[name])

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self.arrays[name][start:stop]

    def path(self, name: str) -> Path:
        return Path(name)


def make_videos(shares: list[float], count: int = 80, length: int = 60) -> WeakVideos:
    """Each class is in half of the videos, in one direction, for its share of the snippets."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(len(shares), 16))
    labels = random.random((count, len(shares))) < 0.5
    arrays = {}
    for row, present in enumerate(labels):
        x = random.normal(size=(length, 16))
        for column in np.flatnonzero(present):
            size = round(shares[column] * length)
            start = int(random.integers(length - size + 1))
            x[start : start + size] += 3 * directions[column]
        arrays[f"v{row}"] = x.astype(np.float32)
    classes = tuple(f"c{column}" for column in range(len(shares)))
    streams = {"cbp": Memory(arrays)}
    return WeakVideos(Path("data"), tuple(arrays), classes, labels, streams, TimeGrid(), None, {})


@pytest.fixture(name="make_videos")
def _make_videos() -> Callable[..., WeakVideos]:
    return make_videos
