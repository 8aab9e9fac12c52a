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

from collections.abc import Iterator
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats.delimited import read_cells, read_rows, write_rows
from duetal.formats.json_values import finite, optional
from duetal.formats.marked import Marked, MarkedVideo, Reading, detection_rows

REQUIRED = ("video", "label", "start", "end")
SEGMENTS_HEADER = ("video", "subset", "duration", "label", "start", "end")
DETECTIONS_HEADER = ("video", "label", "start", "end", "score")


def read_annotations(path: Path, *, report: Report = raise_error) -> Annotations:
    """Read a table of segments; classes are sorted by name.

    Raises:
        DuetalError: a column is missing, or a row has no video, only one of start and end, a
            number that is not finite, or another subset or duration than a row before; named by
            line.
    """
    reading = Reading(path, report)
    left_out = reading.left_out
    rows = read_rows(path, ",", REQUIRED, known=SEGMENTS_HEADER, left_out=left_out, report=report)
    for place, cells in rows:
        with reading.going_on(place):
            _add(cells, reading)
    for video in reading.videos.values():
        if not video.intervals:
            video.intervals = None if video.labels else []
        elif not {one.label for one in video.intervals} >= {*video.labels}:
            cause = "some labels have a segment, others none"
            raise DuetalError(cause, file=path, place=f"video {video.name!r}")
    return reading.annotations()


def write_annotations(path: Path, annotations: Annotations) -> None:
    """Write a table of segments, atomically; numbers are read back as they were.

    Raises:
        DuetalError: the file can't be written.
    """
    rows: list[tuple[object, ...]] = []
    for video in annotations:
        duration = "" if video.duration is None else video.duration
        about = (video.name, video.subset or "", duration)
        marked: list[tuple[object, ...]] = [(label, "", "") for label in video.labels]
        if video.segments is not None:
            marked = [(s.label, s.start, s.end) for s in video.segments]
        rows += [(*about, *one) for one in marked or [("", "", "")]]
    write_rows(path, ",", SEGMENTS_HEADER, rows)


def read_detections(path: Path) -> Detections:
    """Read a table; videos and classes are in the order in which they come.

    Raises:
        DuetalError: unreadable, not UTF-8, another header, a row of other than five columns, or a
            segment or score that is not a finite number; named by line.
    """
    detections = Detections.from_rows(_detections(Reading(path)), source=path)
    detections.require_finite()
    return detections


def write_detections(path: Path, detections: Detections) -> None:
    """Write a table, atomically, in row order; numbers are read back as they were.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    detections.require_finite()
    write_rows(path, ",", DETECTIONS_HEADER, detection_rows(detections), errors="replace")


def _add(cells: dict[str, str], reading: Reading) -> None:
    name, label, start, end = (cells[column] for column in REQUIRED)
    if not name:
        raise ValueError("no video")
    name = reading.named(name)
    subset = intern(cells.get("subset", "")) or None
    duration = optional(cells.get("duration") or None, finite)
    if name not in reading.videos:
        reading.add(MarkedVideo(name, [], duration, subset))
    video = reading.videos[name]
    if (video.subset, video.duration) != (subset, duration):
        raise ValueError(f"{name!r} has another subset or duration in a row before")
    if bool(start) != bool(end) or (start and not label):
        raise ValueError("a segment is a label, a start and an end")
    if start:
        one = Marked(finite(start), finite(end), intern(label))
        reading.intervals_of(name).append(one)
    elif label:
        video.labels.append(intern(label))


def _detections(reading: Reading) -> Iterator[tuple[str, str, float, float, float]]:
    """The rows; cells are taken as they are, spaces included."""
    path = reading.path
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
        with reading.faults_at(place):
            start, end, score = map(float, numbers)
            video = reading.named(video)
        yield video, label, start, end, score
