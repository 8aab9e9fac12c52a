"""Made-up annotations, for a demonstration without data."""

import numpy as np

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.simulation.world import stream_of

CLASSES = ("Diving", "GolfSwing", "HighJump", "JavelinThrow", "TennisSwing")
#: Median seconds of an action of each class.
_MEDIAN_SECONDS = (6.0, 4.0, 9.0, 7.0, 3.0)


def made_up_annotations(seed: int = 0, *, training: int = 60, test: int = 30) -> Annotations:
    """Make up annotations of some videos, similar to THUMOS14's; equal seeds give equal ones.

    Videos last 60 to 180 seconds. Each is of one class, in turn, and about every fourth of a second
    one too; actions follow each other at random, about a third of a video is action.

    Args:
        seed: of everything random.
        training: number of videos of the subset "train".
        test: number of videos of the subset "test".
    """
    videos = {}
    for subset, count in (("train", training), ("test", test)):
        for number in range(count):
            name = f"{subset}_{number:04}"
            videos[name] = _video(name, subset, number, stream_of(seed, "made up", name))
    return Annotations(videos, CLASSES)


def _video(name: str, subset: str, number: int, random: np.random.Generator) -> VideoAnnotation:
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
