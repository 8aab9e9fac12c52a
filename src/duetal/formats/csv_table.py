"""Annotations and detections as tables that any spreadsheet and `pandas.read_csv` open.

    video,subset,duration,label,start,end
    video_test_0000004,test,33.8,HighJump,3.2,6.4
    video_test_0000006,test,12.5,,,
    video_validation_0000051,validation,169.8,Billiards,,

    video,label,start,end,score
    video_test_0000004,HighJump,3.2,6.4,0.873

Comma-separated (RFC 4180), UTF-8, one segment or detection a row, seconds. With a column `score` it
is a table of detections. A row with a label alone is a label of a video whose segments are unknown;
one without label, a video in which nothing happens. `subset` and `duration` may be empty or
missing. A video without detections has no row.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.formats.delimited import Row, read_cells, read_rows, write_rows
from duetal.formats.json_values import a_finite_number, faults_at
from duetal.formats.marked import Marked, MarkedVideo, as_annotations, detection_rows
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

REQUIRED = ("video", "label", "start", "end")
SEGMENTS_HEADER = ("video", "subset", "duration", "label", "start", "end")
DETECTIONS_HEADER = ("video", "label", "start", "end", "score")


@dataclass(slots=True)
class _TableVideo:
    subset: str | None = None
    duration: float | None = None
    intervals: list[Marked] = field(default_factory=list)
    #: Of the rows without times.
    labels: list[str] = field(default_factory=list)


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read a table of segments; classes are sorted by name.

    Raises:
        DuetalError: a column is missing, or a row has no video, only one of start and end, a
            number that is not finite, or another subset or duration than a row before; named by
            line.
    """
    videos: dict[str, _TableVideo] = {}
    left_out: Counter[str] = Counter()
    rows = read_rows(path, ",", REQUIRED, known=SEGMENTS_HEADER, left_out=left_out, report=report)
    for row in rows:
        with reporting(report):
            _add(row, videos, path)
    listed = (_video(name, videos.pop(name), path) for name in list(videos))
    return as_annotations(listed, path, left_out=left_out)


def write_annotations(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write a table of segments, atomically; numbers are read back as they were.

    Raises:
        DuetalError: the file can't be written.
    """

    def rows() -> Iterator[tuple[object, ...]]:
        for video in annotations:
            duration = "" if video.duration is None else video.duration
            about = (video.name, video.subset or "", duration)
            marked: list[tuple[object, ...]] = [(label, "", "") for label in video.labels]
            if video.segments is not None:
                marked = [(s.label, s.start, s.end) for s in video.segments]
            yield from ((*about, *one) for one in marked or [("", "", "")])

    write_rows(path, ",", SEGMENTS_HEADER, rows())


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read a table; videos and classes are in the order in which they come.

    Raises:
        DuetalError: unreadable, not UTF-8, another header, a row of other than five columns, or a
            segment or score that is not a finite number; named by line.
    """
    detections = Detections.from_rows(_detections(path), source=path)
    detections.require_finite()
    return detections


def write_detections(
    path: Path, detections: Detections, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write a table, atomically, in row order; numbers are read back as they were.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    detections.require_finite()
    write_rows(path, ",", DETECTIONS_HEADER, detection_rows(detections), errors="replace")


def _add(row: Row, videos: dict[str, _TableVideo], path: Path) -> None:
    name, label, start, end = (row.cells[column] for column in REQUIRED)
    if not name:
        raise DuetalError("no video", file=path, place=row.place)
    subset, duration = intern(row.cells.get("subset") or ""), row.cells.get("duration")
    with faults_at(path, row.place):
        about = subset or None, a_finite_number(duration) if duration else None
        video = videos.get(name)
        if video is None:
            video = videos[name] = _TableVideo(*about)
        if (video.subset, video.duration) != about:
            raise ValueError(f"{name!r} has another subset or duration in a row before")
        if bool(start) != bool(end) or (start and not label):
            raise ValueError("a segment is a label, a start and an end")
        if start:
            times = a_finite_number(start), a_finite_number(end)
            video.intervals.append(Marked(*times, intern(label)))
        elif label:
            video.labels.append(intern(label))


def _video(name: str, video: _TableVideo, path: Path) -> MarkedVideo:
    if video.intervals and not {one.label for one in video.intervals} >= {*video.labels}:
        cause = "some labels have a segment, others none"
        raise DuetalError(cause, file=path, place=f"video {name!r}")
    unknown = video.labels and not video.intervals
    intervals = None if unknown else video.intervals
    return MarkedVideo(name, intervals, video.duration, video.subset, video.labels)


def _detections(path: Path) -> Iterator[tuple[str, str, float, float, float]]:
    """The rows; cells are taken as they are, spaces included."""
    rows = read_cells(path, ",")
    header = [name.strip().lower() for name in next(rows, (1, []))[1]]
    if header != [*DETECTIONS_HEADER]:
        cause = f"expected the header {','.join(DETECTIONS_HEADER)}"
        raise DuetalError(cause, file=path, place="line 1")
    for line, fields in rows:
        if not fields:
            continue
        place = f"line {line}"
        if len(fields) != len(header):
            cause = f"expected {len(header)} columns ({', '.join(header)}), found {len(fields)}"
            raise DuetalError(cause, file=path, place=place)
        video, label, *numbers = fields
        with faults_at(path, place):
            start, end, score = map(float, numbers)
        yield video, label, start, end, score
