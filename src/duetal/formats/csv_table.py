"""Annotations and detections as tables that any spreadsheet and `pandas.read_csv` open.

    video,subset,duration,label,start,end
    video_test_0000004,test,33.8,HighJump,3.2,6.4
    video_test_0000006,test,12.5,,,
    video_validation_0000051,validation,169.8,Billiards,,

    video,label,start,end,score
    video_test_0000004,HighJump,3.2,6.4,0.873

Written comma-separated (RFC 4180) in UTF-8, one segment or detection a row, in seconds. With a
column `score` it is a table of detections. A row with a label alone is a label of a video whose
segments are unknown; one without label, a video in which nothing happens. `subset` and `duration`
may be empty or missing. A video without detections has no row. A segment of no length is a moment
inside of an action.

    video,label,start,end,known
    dive_1,Diving,3.2,6.4,present
    dive_1,Diving,9.0,9.0,present
    dive_1,Diving,11.0,12.5,absent
    dive_1,,0.0,15.0,complete
    jump_2,Running,,,present
    jump_2,Diving,,,absent

With a column `known` what is not listed is not known: the table of a review, to train on. `absent`
is a stretch without the class, or a video; `complete` is a stretch that was looked through, or all
of a video without times, in which nothing happens but the actions listed.

Read as spreadsheets and other projects write it: columns in any order, some under other names
(RefineLoc's `video-name,t-start,t-end,label,video-duration`), between them commas, semicolons or
tabs; decimal commas; times as `mm:ss` or `hh:mm:ss.fff`.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations, KnownStretches, Segment
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error, unknown
from duetal.formats.delimited import (
    delimiter_of,
    number_in,
    plain_columns,
    read_cells,
    read_rows,
    seconds_in,
    write_rows,
)
from duetal.formats.json_values import finite, optional
from duetal.formats.marked import Marked, MarkedVideo, Reading, counted, detection_rows
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

REQUIRED = ("video", "label", "start", "end")
SEGMENTS_HEADER = ("video", "subset", "duration", "label", "start", "end")
#: The table of a review: what is known of a label, or of a stretch without one.
REVIEW_HEADER = (*REQUIRED, "known")
PRESENT, ABSENT, COMPLETE = "present", "absent", "complete"
DETECTIONS_HEADER = ("video", "label", "start", "end", "score")
#: The times of what is said of all of a video.
_WHOLE = (-math.inf, math.inf)
#: What else columns are called, without hyphens, spaces and underscores.
_OTHER_NAMES = {
    "videoname": "video", "videoid": "video", "filename": "video",
    "class": "label", "classname": "label", "action": "label", "activity": "label",
    "begin": "start", "begintime": "start", "startseconds": "start",
    "stop": "end", "stoptime": "end", "endseconds": "end", "confidence": "score",
    "tstart": "start", "starttime": "start", "start(s)": "start", "startsec": "start",
    "tend": "end", "endtime": "end", "end(s)": "end", "endsec": "end",
    "videoduration": "duration", "split": "subset",
}  # fmt: skip


def columns_of(header: Sequence[str]) -> list[str]:
    """The columns of a header as they are called here; those of no meaning as they are."""
    names = plain_columns(header)
    for index, name in enumerate(names):
        meant = _OTHER_NAMES.get(re.sub("[-_ ]", "", name), name)
        if meant not in names:
            names[index] = meant
    return names


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read a table of segments; classes are sorted by name.

    Raises:
        DuetalError: a column is missing, or a row has no video, only one of start and end, a
            number that is not finite, or another subset or duration than a row before; named by
            line.
    """
    reading = Reading(path, report, options)
    left_out = reading.left_out
    delimiter = delimiter_of(path)
    rows = read_rows(
        path,
        delimiter,
        REQUIRED,
        known=(*SEGMENTS_HEADER, *REVIEW_HEADER),
        left_out=left_out,
        report=report,
        columns_of=columns_of,
    )
    known: dict[str, KnownStretches] = {}
    for place, cells in rows:
        with reading.going_on(place):
            _add(cells, delimiter, reading, known)
    for video in reading.videos.values():
        stretches = known.get(video.name)
        if not video.intervals:
            is_empty = not video.labels and (stretches is None or bool(stretches.complete))
            video.intervals = [] if is_empty else None
        elif stretches is None and not {one.label for one in video.intervals} >= {*video.labels}:
            cause = "some labels have a segment, others none; a column 'known' says so of a table"
            raise DuetalError(cause, file=path, place=f"video {video.name!r}")
    found = reading.annotations()
    videos = {v.name: replace(v, known=known[v.name]) for v in found if v.name in known}
    return replace(found, videos={**found.videos, **videos})


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


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read a table; videos and classes are in the order in which they come.

    Raises:
        DuetalError: unreadable, no text, a column is missing, a row of another number of cells, or
            a segment or score that is not a finite number; named by line.
    """
    reading = Reading(path, options=options)
    detections = Detections.from_rows(_detections(reading), source=path)
    detections.require_finite()
    return replace(detections, left_out=counted(reading.left_out))


def write_detections(path: Path, detections: Detections) -> None:
    """Write a table, atomically, in row order; numbers are read back as they were.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    detections.require_finite()
    write_rows(path, ",", DETECTIONS_HEADER, detection_rows(detections), errors="replace")


def _add(
    cells: dict[str, str], delimiter: str, reading: Reading, known: dict[str, KnownStretches]
) -> None:
    name, label, start, end = (cells[column] for column in REQUIRED)
    if not name:
        raise ValueError("no video")
    name = reading.named(name)
    subset = intern(cells.get("subset", "")) or None
    duration = optional(cells.get("duration") or None, _finite_seconds, delimiter)
    if name not in reading.videos:
        reading.add(MarkedVideo(name, [], duration, subset))
    video = reading.videos[name]
    if (video.subset, video.duration) != (subset, duration):
        raise ValueError(f"{name!r} has another subset or duration in a row before")
    kind = cells.get("known", PRESENT)
    if bool(start) != bool(end) or (start and not label and kind != COMPLETE):
        raise ValueError("a segment is a label, a start and an end")
    label = reading.options.label(label)
    first, last = (_finite_seconds(time, delimiter) for time in (start, end)) if start else _WHOLE
    if "known" in cells:
        known[name] = _with_stretch(known.get(name, KnownStretches()), kind, first, last, label)
    if kind != PRESENT:
        reading.left_out[f"rows of what is {kind}"] += 1
    elif start:
        one = Marked(first, last, label)
        reading.intervals_of(name).append(one)
    elif label:
        video.labels.append(label)


def _with_stretch(
    known: KnownStretches, kind: str, first: float, last: float, label: str
) -> KnownStretches:
    """What is known of a video with a row more."""
    if kind not in (PRESENT, ABSENT, COMPLETE):
        raise ValueError(unknown("value of 'known'", kind, (PRESENT, ABSENT, COMPLETE)))
    if bool(label) == (kind == COMPLETE):
        raise ValueError(f"what is {kind} has {'a' if kind != COMPLETE else 'no'} label")
    if kind == ABSENT:
        return replace(known, absent=(*known.absent, Segment(first, last, label)))
    return replace(known, complete=(*known.complete, (first, last))) if kind == COMPLETE else known


def _finite_seconds(cell: str, delimiter: str) -> float:
    return finite(seconds_in(cell, delimiter))


def _detections(reading: Reading) -> Iterator[tuple[str, str, float, float, float]]:
    """The rows; cells are taken as they are, spaces included."""
    path = reading.path
    delimiter = delimiter_of(path)
    rows = read_cells(path, delimiter)
    line, first = next(rows, (1, []))
    header = columns_of(first)
    if not set(header) >= {*DETECTIONS_HEADER} or len({*header}) < len(header):
        cause = f"expected the header {','.join(DETECTIONS_HEADER)}"
        raise DuetalError(cause, file=path, place=f"line {line}")
    wanted = itemgetter(*map(header.index, DETECTIONS_HEADER))
    others = {name: header.index(name) for name in header if name not in DETECTIONS_HEADER}
    for line, fields in rows:
        if not fields:
            continue
        place = f"line {line}"
        if len(fields) != len(header):
            cause = f"expected {len(header)} columns ({', '.join(header)}), found {len(fields)}"
            raise DuetalError(cause, file=path, place=place)
        video, label, *times, score_cell = wanted(fields)
        reading.left_out.update(name for name, index in others.items() if fields[index])
        with reading.faults_at(place):
            start, end = (seconds_in(time, delimiter) for time in times)
            score = number_in(score_cell, delimiter)
            video = reading.named(video)
            label = reading.options.label(label)
        yield video, label, start, end, score
