"""A toy problem: the class is a direction in feature space, at a few snippets of a video."""

from dataclasses import dataclass

import numpy as np
import pytest

from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import WeakVideos


@dataclass
class Memory:
    """The part of a feature stream that a classifier uses."""

    arrays: dict[str, np.ndarray]
    reads: int = 0

    def read(self, name):
        self.reads += 1
        return self.arrays[name]


@dataclass
class Toy:
    videos: WeakVideos
    #: (T, K) by name: where each class is.
    truth: dict[str, np.ndarray]

    @property
    def stream(self):
        return self.videos.streams["cbp"]


def make_toy(classes=3, videos=60, noise=0.3, seed=0):
    """Videos of 20 to 40 snippets; each class is in every second video, 5 snippets long."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(classes, 8))
    features, truth, labels = {}, {}, []
    for i in range(videos):
        length = int(random.integers(20, 41))
        present = random.random(classes) < 0.5
        inside = np.zeros((length, classes), dtype=bool)
        for k in np.flatnonzero(present):
            start = int(random.integers(length - 5))
            inside[start : start + 5, k] = True
        # An offset and a scale that standardisation has to take away.
        x = inside @ directions + noise * random.normal(size=(length, 8))
        name = f"v{i:02}"
        features[name], truth[name] = (100 + 1000 * x).astype(np.float32), inside
        labels.append(present)
    names = tuple(features)
    kinds = tuple(f"class{k}" for k in range(classes))
    weak = WeakVideos(
        None, names, kinds, np.array(labels), {"cbp": Memory(features)}, TimeGrid(), None, {}
    )
    return Toy(weak, truth)


@pytest.fixture(name="make_toy")
def _make_toy():
    return make_toy


@pytest.fixture
def toy():
    return make_toy()
