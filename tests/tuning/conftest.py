"""Videos whose classes fill a known share of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import WeakVideos


def make_videos(
    stream: Callable[..., Any], shares: list[float], count: int = 80, length: int = 60
) -> WeakVideos:
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
    streams = {"cbp": stream(arrays)}
    return WeakVideos(Path("data"), tuple(arrays), classes, labels, streams, TimeGrid(), None, {})


@pytest.fixture(name="make_videos")
def _make_videos(in_memory: Callable[..., Any]) -> Callable[..., WeakVideos]:
    return partial(make_videos, in_memory)
