"""The settings of a simulated world, and what its two forms share.

The two streams show the same videos and fail in opposite ways, as I3D and CLIP do: **CBP** responds
to the discriminative *core* of an action, **VLP** to its whole *scene*, aligned with the class's
text feature. `curved_world.py` and `linear_world.py` say how.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.grid import TimeGrid

Array = NDArray[np.float64]

#: Of made-up annotations.
CLASSES = ("Diving", "GolfSwing", "HighJump", "JavelinThrow", "TennisSwing")
#: Median seconds of an action of each class.
_MEDIAN_SECONDS = (6.0, 4.0, 9.0, 7.0, 3.0)


@dataclass(frozen=True)
class Simulation:
    """Settings of a simulated dataset."""

    difficulty: float = 0.5
    """0: easy, 1: hard. Scales noise, shrinks the core, widens the context."""
    seed: int = 0
    """Seed of everything random; equal settings give equal bytes."""
    cbp_channels: int = 128
    """Channels of the CBP stream; the first half stands for RGB, the second for flow."""
    vlp_channels: int = 64
    """Channels of the VLP stream: the text encoder's embed_dim."""
    topics: int = 40
    """Kinds of background clutter."""
    linear: bool = False
    """Whether a class is one direction, which a linear classifier finds better than a network."""


def unit(x: Array) -> Array:
    """Scale rows to length 1."""
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def stream_of(seed: int, *names: str) -> np.random.Generator:
    """A random stream that depends on the seed and the names alone."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def overlap(grid: TimeGrid, length: int, start: float, end: float) -> Array:
    """(T,) share of each snippet's window that lies in `[start, end]` seconds."""
    begin = grid.start(np.arange(length))
    window = grid.window / grid.fps
    shared = np.minimum(begin + window, end) - np.maximum(begin, start)
    return np.clip(shared / window, 0.0, 1.0)


def made_up_annotations(seed: int = 0, *, training: int = 60, test: int = 30) -> Annotations:
    """Make up annotations of some videos, similar to THUMOS14's; equal seeds give equal ones.

    Videos last 60 to 180 seconds. Each is of one class, in turn, and about every fourth of a second
    one too; actions follow each other at random, about a third of a video is action. `training` and
    `test` are the numbers of videos of the subsets "train" and "test".
    """
    videos = {}
    for subset, count in (("train", training), ("test", test)):
        for number in range(count):
            name = f"{subset}_{number:04}"
            videos[name] = _made_up_video(name, subset, number, stream_of(seed, "made up", name))
    return Annotations(videos, CLASSES)


def _made_up_video(
    name: str, subset: str, number: int, random: np.random.Generator
) -> VideoAnnotation:
    duration = round(float(random.uniform(60, 180)), 1)
    classes = [number % len(CLASSES)]
    if random.random() < 0.25:
        classes.append(int(random.integers(len(CLASSES))))
    segments: list[Segment] = []
    time = float(random.exponential(8.0))
    while time < duration - 5 or not segments:
        which = int(random.choice(classes))
        length = _MEDIAN_SECONDS[which] * float(random.lognormal(0.0, 0.4))
        start, end = min(time, duration - 5), min(time + length, duration)
        segments.append(Segment(round(start, 1), round(end, 1), CLASSES[which]))
        time = end + 2 + float(random.exponential(10.0))
    labels = tuple(sorted({segment.label for segment in segments}))
    return VideoAnnotation(name, subset, duration, labels, tuple(segments))
