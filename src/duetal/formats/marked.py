"""Marked intervals, one video after another: what annotations and detections have in common.

To a tool a detection is an annotation that somebody may want to correct, so one writer serves both.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import numpy as np

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError

#: What a writer for annotation tools takes.
Content = Annotations | Detections


class Marked(NamedTuple):
    """An interval in seconds, its label, and its score where it is a detection."""

    start: float
    end: float
    label: str
    score: float | None = None


class MarkedVideo(NamedTuple):
    """A video, its intervals, None where they are unknown, and labels that have no interval."""

    name: str
    intervals: Sequence[Marked] | None
    duration: float | None = None
    subset: str | None = None
    labels: Iterable[str] = ()


#: Thirty years in seconds; a time beyond is a mistake, and has no milliseconds or frames.
_LATEST = 1e9


def marked(content: Content) -> Iterator[MarkedVideo]:
    """The videos of annotations or detections in order, with the intervals of each in order.

    Raises:
        DuetalError: a time or score that is not finite, or a time beyond all videos.
    """
    videos = _of_annotations(content) if isinstance(content, Annotations) else _found_in(content)
    for video in videos:
        for start, end, *_ in video.intervals or ():
            if not (abs(start) < _LATEST and abs(end) < _LATEST):
                cause = f"[{start}, {end}] are no times of a video"
                raise DuetalError(cause, file=content.source, place=f"video {video.name!r}")
        yield video


def _of_annotations(annotations: Annotations) -> Iterator[MarkedVideo]:
    for video in annotations:
        intervals = None
        if video.segments is not None:
            intervals = [Marked(s.start, s.end, s.label) for s in video.segments]
        yield MarkedVideo(video.name, intervals, video.duration, video.subset)


def _found_in(detections: Detections) -> Iterator[MarkedVideo]:
    detections.require_finite()
    order = np.argsort(detections.video, kind="stable")
    ends = np.searchsorted(detections.video[order], np.arange(len(detections.videos)), "right")
    begin = 0
    for name, end in zip(detections.videos, ends.tolist(), strict=True):
        rows = detection_rows(detections.take(order[begin:end]))
        begin = end
        found = [Marked(first, last, label, score) for _, label, first, last, score in rows]
        yield MarkedVideo(name, found)


def detection_rows(detections: Detections) -> Iterator[tuple[str, str, float, float, float]]:
    """The detections as `(video, label, start, end, score)`, in row order.

    Raises:
        DuetalError: a segment or score that is not a finite number.
    """
    detections.require_finite()
    columns = (detections.video, detections.label, detections.start, detections.end)
    for video, label, start, end, score in zip(
        *(column.tolist() for column in (*columns, detections.score)), strict=True
    ):
        yield detections.videos[video], detections.classes[label], start, end, score


def as_annotations(
    videos: Iterable[MarkedVideo],
    source: Path,
    *,
    classes: Iterable[str] = (),
    left_out: Mapping[str, int] | None = None,
) -> Annotations:
    """Bring videos together as an annotation.

    Args:
        videos: each once.
        source: where they were read.
        classes: the classes in their order, as far as the source knows it; others follow by name.
        left_out: what else the source holds, with its count; 0 is not listed.
    """
    annotated: dict[str, VideoAnnotation] = {}
    # Many videos have the same labels: one tuple serves them all.
    label_sets: dict[tuple[str, ...], tuple[str, ...]] = {}
    for video in videos:
        segments = None
        if video.intervals is not None:
            segments = tuple(
                Segment(start, end, intern(label)) for start, end, label, _ in video.intervals
            )
        found = {*map(intern, video.labels), *(segment.label for segment in segments or ())}
        labels = tuple(sorted(found))
        labels = label_sets.setdefault(labels, labels)
        annotated[video.name] = VideoAnnotation(
            video.name, video.subset, video.duration, labels, segments
        )
    ordered = dict.fromkeys(classes)
    ordered |= dict.fromkeys(
        sorted({label for labels in label_sets for label in labels} - {*ordered})
    )
    return Annotations(annotated, tuple(ordered), source, left_out=counted(left_out or {}))


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


def facts_text(facts: Mapping[str, Any]) -> str:
    """Facts beside labels and segments as the text that annotations carry; none is no text."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) if facts else ""


def facts_object(text: str) -> dict[str, Any]:
    """The facts that annotations carry."""
    facts: dict[str, Any] = json.loads(text) if text else {}
    return facts
