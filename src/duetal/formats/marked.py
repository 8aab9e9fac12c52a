"""Marked intervals, one video after another: what annotation tools know of both kinds of file.

To a tool a detection is an annotation that somebody may want to correct, so one writer serves both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError


class Marked(NamedTuple):
    """An interval in seconds, its label, and its score where it is a detection."""

    start: float
    end: float
    label: str
    score: float | None = None


class MarkedVideo(NamedTuple):
    """A video and its intervals, None where they are unknown."""

    name: str
    intervals: Sequence[Marked] | None
    duration: float | None = None
    subset: str | None = None


#: Thirty years in seconds; a time beyond is a mistake, and has no milliseconds or frames.
_LATEST = 1e9


def marked_annotations(annotations: Annotations) -> Iterator[MarkedVideo]:
    """The videos of an annotation, in its order.

    Raises:
        DuetalError: a time that is not finite, or beyond all videos; names its video.
    """
    for video in annotations:
        intervals = None
        if video.segments is not None:
            intervals = [Marked(s.start, s.end, s.label) for s in video.segments]
            _require_times(video.name, intervals, annotations.source)
        yield MarkedVideo(video.name, intervals, video.duration, video.subset)


def marked_detections(detections: Detections) -> Iterator[MarkedVideo]:
    """The videos that were looked at, in order; of each the detections in row order.

    Raises:
        DuetalError: a time or score that is not finite, or a time beyond all videos.
    """
    detections.require_finite()
    order = np.argsort(detections.video, kind="stable")
    ends = np.searchsorted(detections.video[order], np.arange(len(detections.videos)), "right")
    begin = 0
    for name, end in zip(detections.videos, ends.tolist(), strict=True):
        rows = order[begin:end]
        begin = end
        columns = (detections.start, detections.end, detections.label, detections.score)
        values = zip(*(column[rows].tolist() for column in columns), strict=True)
        intervals = [
            Marked(first, last, detections.classes[label], score)
            for first, last, label, score in values
        ]
        _require_times(name, intervals, detections.source)
        yield MarkedVideo(name, intervals)


def _require_times(name: str, intervals: Iterable[Marked], source: Path | None) -> None:
    for start, end, *_ in intervals:
        if not (abs(start) < _LATEST and abs(end) < _LATEST):
            cause = f"[{start}, {end}] are no times of a video"
            raise DuetalError(cause, file=source, place=f"video {name!r}")


def ordered_classes(known: Iterable[str], found: Iterable[str]) -> tuple[str, ...]:
    """The classes in the order that is known; those found besides follow by name."""
    classes = dict.fromkeys(known)
    classes.update(dict.fromkeys(sorted({name for name in found if name not in classes})))
    return tuple(classes)


def as_annotations(
    videos: Iterable[MarkedVideo],
    source: Path,
    *,
    classes: Iterable[str] = (),
    notes: Iterable[str] = (),
    left_out: Mapping[str, int] | None = None,
) -> Annotations:
    """Bring videos together as an annotation.

    Args:
        videos: each once.
        source: where they were read.
        classes: the classes in their order, as far as the source knows it.
        notes: what had to be repaired.
        left_out: what else the source says, with how often it does; nothing where that is 0.
    """
    annotated: dict[str, VideoAnnotation] = {}
    labels: set[str] = set()
    for video in videos:
        segments = None
        if video.intervals is not None:
            segments = tuple(Segment(start, end, label) for start, end, label, _ in video.intervals)
        found = {segment.label for segment in segments or ()}
        labels |= found
        annotated[video.name] = VideoAnnotation(
            video.name, video.subset, video.duration, tuple(sorted(found)), segments
        )
    return Annotations(
        annotated,
        ordered_classes(classes, labels),
        source,
        tuple(notes),
        counted(left_out or {}),
    )


def as_detections(
    videos: Iterable[MarkedVideo],
    source: Path,
    *,
    classes: Iterable[str] = (),
    left_out: Mapping[str, int] | None = None,
) -> Detections:
    """Bring videos together as detections; intervals without a score are left out, and counted.

    Raises:
        DuetalError: a segment or score that is not a finite number.
    """
    listed = list(videos)
    rows = (
        (video.name, label, start, end, score)
        for video in listed
        for start, end, label, score in video.intervals or ()
        if score is not None
    )
    names = [video.name for video in listed]
    found = Detections.from_rows(rows, videos=names, classes=classes, source=source)
    found.require_finite()
    intervals = sum(len(video.intervals or ()) for video in listed)
    unscored = {"intervals without a score": intervals - len(found)}
    return replace(found, left_out=counted({**(left_out or {}), **unscored}))


def counted(things: Mapping[str, int]) -> tuple[str, ...]:
    """A line for each thing of which there is any: "comments: 12"."""
    return tuple(f"{thing}: {count:,}" for thing, count in sorted(things.items()) if count)
