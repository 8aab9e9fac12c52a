"""Marked intervals, one video after another: what annotations and detections have in common.

To a tool a detection is an annotation that somebody may want to correct, so one writer serves both.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple, TypeVar

from duetal.core.annotations import Annotations, KnownStretches, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.core.video_names import composed, known_name, without_suffix
from duetal.formats.json_values import FAULTS, an_object, consumed, drained, located, read_document
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

_T = TypeVar("_T")
#: What a writer for annotation tools takes.
Content = Annotations | Detections


class Marked(NamedTuple):
    """An interval in seconds, its label, and its score where it is a detection."""

    start: float
    end: float
    label: str
    score: float | None = None


@dataclass(slots=True)
class MarkedVideo:
    """A video, its intervals in seconds, and what else files tell of it."""

    name: str
    #: None where they are unknown.
    intervals: list[Marked] | None
    duration: float | None = None
    subset: str | None = None
    #: Of the video, with or without intervals.
    labels: list[str] = field(default_factory=list)
    #: As in `VideoAnnotation`.
    facts: str = ""

    def say(self, labels: list[str], left_out: Counter[str]) -> None:
        """Take labels of the video as a whole, beside its intervals, or where there are none.

        Those of classes that have intervals say nothing new, and are counted.
        """
        located = {one.label for one in self.intervals or ()}
        self.labels = [label for label in dict.fromkeys(labels) if label not in located]
        left_out["labels beside segments"] += len({*labels} & located)
        if self.labels and not located:
            self.intervals = None


def of_milliseconds(start: float, end: float) -> tuple[float, float]:
    """Start and end in seconds, in a form that has no intervals without length.

    What lasts for a millisecond, the shortest there is, stands for a moment.
    """
    return start, start if 0 < end - start < 1.5e-3 else end


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
    found: dict[str, list[Marked]] = {name: [] for name in detections.videos}
    for video, label, start, end, score in detection_rows(detections):
        found[video].append(Marked(start, end, label, score))
    for name, intervals in drained(found):
        yield MarkedVideo(name, intervals)


def detection_rows(detections: Detections) -> Iterator[tuple[str, str, float, float, float]]:
    """The detections as `(video, label, start, end, score)`, in row order.

    Raises:
        DuetalError: a segment or score that is not a finite number.
    """
    detections.require_finite()
    columns = (detections.video, detections.label, detections.start, detections.end)
    rows = zip(*(column.tolist() for column in (*columns, detections.score)), strict=True)
    for video, label, start, end, score in rows:
        yield detections.videos[video], detections.classes[label], start, end, score


def lanes(intervals: Iterable[Marked], *, gap: int = 0) -> list[list[tuple[int, int]]]:
    """Milliseconds of intervals, by start, on as few lanes as hold them `gap` apart.

    Moments last for one millisecond, the shortest that annotation tools have.
    """
    found: list[list[tuple[int, int]]] = []
    times = ((round(1000 * one.start), round(1000 * one.end)) for one in intervals)
    for start, end in sorted((max(0, first), max(0, last)) for first, last in times):
        lane = next((lane for lane in found if lane[-1][1] + gap <= start), None)
        if lane is None:
            lane = []
            found.append(lane)
        lane.append((start, max(end, start + 1)))
    return found


def as_annotations(
    videos: Iterable[MarkedVideo], source: Path, classes: Iterable[str] = ()
) -> Annotations:
    """Bring videos, each once, together as an annotation.

    The classes are in their order, as far as the source knows it; others follow by name.
    """
    annotated: dict[str, VideoAnnotation] = {}
    # Many videos have the same labels: one tuple serves them all.
    label_sets: dict[tuple[str, ...], tuple[str, ...]] = {}
    for video in videos:
        segments = None
        if video.intervals is not None:
            segments = tuple(
                Segment(s.start, s.end, intern(composed(s.label))) for s in video.intervals
            )
        found = {
            *(intern(composed(label)) for label in video.labels),
            *(segment.label for segment in segments or ()),
        }
        labels = tuple(sorted(found))
        labels = label_sets.setdefault(labels, labels)
        annotated[video.name] = VideoAnnotation(
            video.name, video.subset, video.duration, labels, segments, facts=video.facts
        )
    ordered = dict.fromkeys(map(composed, classes))
    others = {label for labels in label_sets for label in labels} - ordered.keys()
    return Annotations(annotated, (*ordered, *sorted(others)), source)


@dataclass
class Reading:
    """What has been read of a file or folder so far."""

    path: Path
    #: Takes the error of each part that can't be used.
    report: Report = raise_error
    options: FormatOptions = DEFAULT_OPTIONS
    videos: dict[str, MarkedVideo] = field(default_factory=dict)
    #: Where those lie that the source names with their folder.
    places: dict[str, str] = field(default_factory=dict)
    #: In their order, as far as the source knows it.
    classes: list[str] = field(default_factory=list)
    #: What else the source holds, with its count.
    left_out: Counter[str] = field(default_factory=Counter)

    def document(self) -> Any:
        """The source as JSON; raises what `read_document` does."""
        return read_document(self.path, self.report)

    def objects(
        self, form: str, *keys: str, bare: Callable[[Any], bool] = lambda _: False
    ) -> tuple[dict[str, Any], ...]:
        """The source as a JSON object: what else it holds, and the object of each key.

        `bare` tells a document that is the object of the only key itself.

        Raises:
            DuetalError: as `read_document`; or it is not of the form: an object is missing.
        """
        document = self.document()
        if bare(document):
            return {}, document
        for key in keys:
            if not isinstance(document, dict) or not isinstance(document.get(key), dict):
                raise DuetalError(f"not {form}: no object {key!r}", file=self.path)
        return document, *[document.pop(key) for key in keys]

    @contextmanager
    def faults_at(self, place: str) -> Iterator[None]:
        """Turn one of the `FAULTS` that the block raises into a DuetalError with its place."""
        try:
            yield
        except FAULTS as error:
            raise located(error, self.path, place) from error

    @contextmanager
    def going_on(self, place: str) -> Iterator[None]:
        """Report what is wrong in the block, with its place, and go on after the block."""
        with reporting(self.report), self.faults_at(place):
            yield

    def named(self, called: str) -> str:
        """The name of the video that the source calls so.

        Raises:
            ValueError: another folder's video has the same name.
        """
        name = known_name(called)
        if name != called and (whole := without_suffix(called)) != name:
            before = self.places.setdefault(name, whole)
            if before != whole:
                raise ValueError(f"{before!r} and {whole!r} are two videos of one name")
        return name

    def add(self, video: MarkedVideo) -> None:
        """Take a video. Raises a ValueError where there is one of its name."""
        if video.name in self.videos:
            raise ValueError(f"{video.name!r} is listed twice")
        self.videos[video.name] = video

    def intervals_of(self, name: str) -> list[Marked]:
        """The intervals of a video, to add to; for sources that have them here and there."""
        if name not in self.videos:
            self.videos[name] = MarkedVideo(name, [])
        intervals = self.videos[name].intervals
        assert intervals is not None
        return intervals

    def each(
        self, values: list[Any], place: str, read: Callable[[dict[str, Any]], _T]
    ) -> Iterator[_T]:
        """What `read` makes of each object in a list, which is emptied on the way.

        A DuetalError names a faulty one by the place and its index.
        """
        for index, value in consumed(values):
            try:
                found = read(an_object(value))
            except FAULTS as error:
                raise located(error, self.path, f"{place} {index}") from error
            yield found

    def annotations(self) -> Annotations:
        """The videos as an annotation; they are given away."""
        videos = (video for _, video in drained(self.videos))
        annotations = as_annotations(videos, self.path, self.classes)
        return replace(annotations, left_out=counted(self.left_out))

    def partial_annotations(self) -> Annotations:
        """The videos as an annotation, in which a label without a segment occurs somewhere."""
        found = self.annotations()
        partly = {
            video.name: replace(video, known=KnownStretches())
            for video in found
            if video.segments and {segment.label for segment in video.segments} < {*video.labels}
        }
        return replace(found, videos={**found.videos, **partly}) if partly else found

    def detections(self) -> Detections:
        """The videos as detections; intervals without a score are left out, and counted.

        Raises:
            DuetalError: a segment or score that is not a finite number.
        """
        rows = (
            (video.name, label, start, end, score)
            for video in self.videos.values()
            for start, end, label, score in video.intervals or ()
            if score is not None
        )
        found = Detections.from_rows(
            rows, videos=self.videos, classes=self.classes, source=self.path
        )
        found.require_finite()
        intervals = sum(len(video.intervals or ()) for video in self.videos.values())
        self.left_out["intervals without a score"] = intervals - len(found)
        return replace(found, left_out=counted(self.left_out))


def counted(things: Mapping[str, int]) -> tuple[str, ...]:
    """A line for each thing of which there is any: "comments: 12"."""
    return tuple(f"{thing}: {count:,}" for thing, count in sorted(things.items()) if count)


def facts_text(facts: Mapping[str, Any]) -> str:
    """Facts beside labels and segments as the text that annotations carry; none is no text."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) if facts else ""


def facts_of(text: str) -> dict[str, Any]:
    """The facts that annotations carry."""
    facts: dict[str, Any] = json.loads(text) if text else {}
    return facts
