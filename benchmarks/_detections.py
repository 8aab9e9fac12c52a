"""Detections and segments to time things on: THUMOS14's real ones, and made-up ones of its size."""

from pathlib import Path

import numpy as np

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.formats import read_annotations
from duetal.formats.activitynet import read_detections

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


def real(data: Path) -> tuple[Detections, Annotations]:
    """33,895 detections of a weakly supervised method on the training videos, and the segments."""
    folder = data / "thumos14"
    return read_detections(folder / "detections_train.json"), read_annotations(folder / "gt.json")


def made_up_annotations(
    *, videos: int, segments: int, classes: int, spread: float = 1.0
) -> Annotations:
    """Segments of a few seconds in videos of a few minutes, a video mostly of one class.

    Args:
        videos: how many.
        segments: in all of them together.
        classes: how many.
        spread: 1 to spread the segments over the video, 0 to heap them up at one moment.
    """
    random = np.random.default_rng(0)
    listed: list[list[Segment]] = [[] for _ in range(videos)]
    length = 15.0 * segments / videos
    for index in range(segments):
        video = int(random.integers(videos))
        start = 10.0 + spread * random.uniform(0, length) - random.exponential(1.0)
        end = start + 3.0 + random.exponential(1.0)
        listed[video].append(Segment(start, end, f"class {(video + index % 2) % classes}"))
    found = {
        f"video {n}": VideoAnnotation(f"video {n}", "test", segments=tuple(rows))
        for n, rows in enumerate(listed)
    }
    return Annotations(found, tuple(f"class {n}" for n in range(classes)))


def made_up_detections(annotations: Annotations, count: int) -> Detections:
    """Detections around the segments, as a detector would: many, shifted, some far off."""
    random = np.random.default_rng(1)
    truth = [(v.name, s) for v in annotations for s in v.segments or ()]
    chosen = random.integers(len(truth), size=count)
    shift = random.normal(0, 2, size=(count, 2))
    score = random.random(count)
    rows = (
        (truth[c][0], truth[c][1].label, truth[c][1].start + a, truth[c][1].end + b, s)
        for c, (a, b), s in zip(chosen.tolist(), shift.tolist(), score.tolist(), strict=True)
    )
    return Detections.from_rows(rows)
