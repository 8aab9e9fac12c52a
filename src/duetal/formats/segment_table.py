"""Annotations as a table that any spreadsheet and `pandas.read_csv` open.

    video,subset,duration,label,start,end
    video_test_0000004,test,33.8,HighJump,3.2,6.4
    video_test_0000006,test,12.5,,,
    video_validation_0000051,validation,169.8,Billiards,,

Comma-separated (RFC 4180), UTF-8, one segment a row, seconds. A row with a label alone is a label
of a video whose segments are unknown; one without label, a video in which nothing happens. `subset`
and `duration` may be empty or missing. With a column `score` it is a table of detections, which
`detection_table` reads.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats.delimited import Row, read_rows, write_rows
from duetal.formats.json_values import a_finite_number, faults_at
from duetal.formats.marked import counted
from duetal.formats.memory import (
    ITEM,
    LIST,
    NUMBER,
    SEGMENT,
    VIDEO,
    Memory,
    changed_in_place,
    string_size,
)
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

REQUIRED = ("video", "label", "start", "end")
HEADER = ("video", "subset", "duration", "label", "start", "end")


@dataclass(slots=True)
class _Video:
    subset: str | None = None
    duration: float | None = None
    #: A segment of each row, or the label of one without times.
    marked: list[Segment | str] = field(default_factory=list)


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read a table of segments; classes are sorted by name.

    Args:
        path: the file.
        options: not used.
        report: takes the error of each row that can't be used.

    Raises:
        DuetalError: a column is missing, or a row has no video, only one of start and end, a
            number that is not finite, or another subset or duration than a row before; named by
            line; or more memory than is allowed.
    """
    memory = Memory(path)
    report = memory.reporting(report)
    videos: dict[str, _Video] = {}
    left_out: Counter[str] = Counter()
    columns: list[str] = []
    for row in read_rows(path, ",", REQUIRED, memory, on_header=columns.extend, report=report):
        try:
            _add(row, videos, path, memory)
        except DuetalError as error:
            report(error)
        if len(columns) > len(REQUIRED):
            left_out.update(name for name in columns if name not in HEADER and row.cells[name])
    known = changed_in_place(videos, lambda name, video: _annotation(name, video, path, memory))
    return Annotations(known, memory.classes, path, left_out=counted(left_out))


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

    write_rows(path, ",", HEADER, rows())


def _add(row: Row, videos: dict[str, _Video], path: Path, memory: Memory) -> None:
    name, label, start, end = (row.cells[column] for column in REQUIRED)
    if not name:
        raise DuetalError("no video", file=path, place=row.place)
    subset, duration = row.cells.get("subset") or None, row.cells.get("duration")
    with faults_at(path, row.place):
        about = (
            subset and memory.keep_string(subset),
            a_finite_number(duration) if duration else None,
        )
        if name not in videos:
            memory.keep(string_size(name) + VIDEO + LIST + (NUMBER if duration else 0))
            videos[name] = _Video(*about)
        video = videos[name]
        if (video.subset, video.duration) != about:
            raise ValueError(f"{name!r} has another subset or duration in a row before")
        if bool(start) != bool(end) or (start and not label):
            raise ValueError("a segment is a label, a start and an end")
        if start:
            times = a_finite_number(start), a_finite_number(end)
            memory.keep(SEGMENT)
            video.marked.append(Segment(*times, memory.keep_label(label)))
        elif label:
            memory.keep(ITEM)
            video.marked.append(memory.keep_label(label))


def _annotation(name: str, video: _Video, path: Path, memory: Memory) -> VideoAnnotation:
    segments = tuple(one for one in video.marked if isinstance(one, Segment))
    found = {segment.label for segment in segments}
    alone = {one for one in video.marked if isinstance(one, str)}
    if found and not found >= alone:
        cause = "some labels have a segment, others none"
        raise DuetalError(cause, file=path, place=f"video {name!r}")
    labels = memory.keep_labels(found or alone)
    known = segments if found or not labels else None
    return VideoAnnotation(name, video.subset, video.duration, labels, known)
