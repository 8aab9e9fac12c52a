"""A made-up annotation to simulate over."""

from collections.abc import Callable

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation

CLASSES = ("CliffDiving", "Diving", "HighJump", "LongJump", "TennisSwing")


@pytest.fixture(scope="session")
def make_annotations() -> Callable[[int], Annotations]:
    """Videos of one to two minutes and one or two classes, half of them to train on."""

    def make(count: int) -> Annotations:
        videos = {}
        for number in range(count):
            random = np.random.default_rng(number)
            duration = float(random.uniform(60, 120))
            segments = []
            for label in sorted({CLASSES[number % 5], CLASSES[int(random.integers(5))]}):
                for _ in range(4):
                    start = float(random.uniform(0, duration - 10))
                    end = start + float(random.uniform(2, 10))
                    segments.append(Segment(start, end, label))
            labels = tuple(sorted({segment.label for segment in segments}))
            subset = "test" if number % 2 else "train"
            name = f"video_{number:03}"
            videos[name] = VideoAnnotation(name, subset, duration, labels, tuple(segments))
        return Annotations(videos, CLASSES)

    return make
