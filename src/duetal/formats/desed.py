"""Weak and strong labels as tables, the forms of DESED and DCASE.

    filename	event_labels
    video_validation_0000051	Billiards
    video_validation_0000171.mp4	CricketBowling,CricketShot

    filename	onset	offset	event_label
    Y00pbt6aJV8Y_350_360.wav	0.163	0.665	Speech
    Y0a0XVjwKhsk_30_40.wav

Strong labels have a row per event, in seconds; a file without events has one row, whose other cells
are empty. Tables are written tab-separated, as `.csv` comma-separated with several labels in
quotes; they are read with tabs, commas or semicolons. A file suffix (`.mp4`, `.wav`) is not part of
a video's name.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats import csv_table, video_table
from duetal.formats.delimited import (
    delimiter_of,
    plain_columns,
    read_rows,
    seconds_in,
    write_rows,
    written_delimiter,
)
from duetal.formats.json_values import finite
from duetal.formats.marked import Marked, MarkedVideo, Reading

WEAK_HEADER = ("filename", "event_labels")
STRONG_HEADER = ("filename", "onset", "offset", "event_label")


def weak_columns_of(header: Sequence[str]) -> list[str]:
    """The columns of a table of labels as DESED calls them, whatever they are called."""
    names = plain_columns(header)
    # Where a table has times, these would be read over.
    if {"start", "end", "onset", "offset", "score"} & {*csv_table.columns_of(header)}:
        return names
    for wanted, meaning in zip((*WEAK_HEADER, "split"), video_table.COLUMNS, strict=True):
        called = next((one for one in video_table.COLUMNS[meaning] if one in names), None)
        if wanted not in names and called is not None:
            names[names.index(called)] = wanted
    return names


def read_weak(
    path: Path, *, subset: str | None = "training", report: Report = raise_error
) -> Annotations:
    """Read weak labels: the segments of a video with labels are unknown, others have none.

    A video may have a row for each of its labels. The columns may be called as in a table of own
    videos (`video,labels,split`); the subset is what to call the split where none is named.

    Raises:
        DuetalError: no such columns, a row of another number of them, or an empty name; named by
            line.
    """
    reading = Reading(path, report)
    for place, cells in _rows(reading, WEAK_HEADER):
        with reading.going_on(place):
            labels = {label.strip() for label in re.split("[,;]", cells["event_labels"])} - {""}
            name = _name(cells, reading)
            # Without a label, none of the classes is in it.
            split = cells.get("split") or subset
            row = MarkedVideo(name, None if labels else [], None, split, list(map(intern, labels)))
            before = reading.videos.setdefault(name, row)
            if before is not row:
                if not (labels and before.labels):
                    raise ValueError(f"{name!r} is listed twice, and not each time with a label")
                before.labels += row.labels
    return reading.annotations()


def write_weak(path: Path, annotations: Annotations) -> None:
    """Write weak labels, atomically: of each video its labels, and nothing of its segments.

    Raises:
        DuetalError: a label holds a comma or semicolon, which separate labels; or the file can't be
            written.
    """
    for label in annotations.classes:
        if re.search("[,;]", label):
            cause = f"cannot write: the label {label!r} holds a sign that separates labels"
            raise DuetalError(cause, file=path)
    rows = ((video.name, ",".join(video.labels)) for video in annotations)
    write_rows(path, written_delimiter(path), WEAK_HEADER, rows)


def read_strong(path: Path, *, report: Report = raise_error) -> Annotations:
    """Read strong labels; no video has a subset or a duration.

    Raises:
        DuetalError: a column is missing, or a row has no name, or a time without a label, or
            one that is not a finite number; named by line.
    """
    reading = Reading(path, report)
    delimiter = delimiter_of(path)
    for place, cells in _rows(reading, STRONG_HEADER):
        with reading.going_on(place):
            name, events = _name(cells, reading), []
            onset, offset, label = (cells[column] for column in STRONG_HEADER[1:])
            if label:
                start, end = (finite(seconds_in(time, delimiter)) for time in (onset, offset))
                events = [Marked(start, end, intern(label))]
            elif onset or offset:
                raise ValueError("no event label")
            reading.intervals_of(name).extend(events)
    return reading.annotations()


def write_strong(path: Path, annotations: Annotations) -> None:
    """Write strong labels, atomically; videos whose segments are unknown are left out.

    Raises:
        DuetalError: the file can't be written.
    """
    rows: list[tuple[object, ...]] = []
    for video in annotations:
        if video.segments is not None:
            rows += [(video.name, s.start, s.end, s.label) for s in video.segments]
            if not video.segments:
                rows.append((video.name, "", "", ""))
    write_rows(path, written_delimiter(path), STRONG_HEADER, rows)


def _rows(reading: Reading, header: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    return read_rows(
        reading.path,
        delimiter_of(reading.path),
        header,
        known=("split",),
        left_out=reading.left_out,
        report=reading.report,
        columns_of=weak_columns_of if header is WEAK_HEADER else plain_columns,
    )


def _name(cells: dict[str, str], reading: Reading) -> str:
    name = cells["filename"]
    if not name:
        raise ValueError("no file name")
    return reading.named(name)
