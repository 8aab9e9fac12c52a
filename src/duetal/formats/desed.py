"""Weak and strong labels as tables, the forms of DESED and DCASE.

    filename	event_labels
    video_validation_0000051	Billiards
    video_validation_0000171.mp4	CricketBowling,CricketShot

    filename	onset	offset	event_label
    Y00pbt6aJV8Y_350_360.wav	0.163	0.665	Speech
    Y0a0XVjwKhsk_30_40.wav

Strong labels have a row per event, in seconds; a file without events has one row, whose other cells
are empty. Tables are tab-separated; a `.csv` file is comma-separated, with several labels in
quotes. A file suffix (`.mp4`, `.wav`) is not part of a video's name.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.formats.delimited import Row, delimiter_of, read_rows, write_rows
from duetal.formats.json_values import a_finite_number, faults_at
from duetal.formats.marked import Marked, MarkedVideo, as_annotations
from duetal.formats.media import without_suffix
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

WEAK_HEADER = ("filename", "event_labels")
STRONG_HEADER = ("filename", "onset", "offset", "event_label")


def read_weak(
    path: Path,
    *,
    options: FormatOptions = DEFAULT_OPTIONS,
    subset: str | None = "training",
    report: Report = raise_error,
) -> Annotations:
    """Read weak labels; no video has segments.

    Args:
        path: a `.csv` file is comma-separated, any other tab-separated.
        options: not used.
        subset: what to call the split, which such a table does not name.
        report: takes the error of each row that can't be used.

    Raises:
        DuetalError: no such columns, a row of another number of them, an empty name, or a name
            that was there before; named by line.
    """
    videos: dict[str, MarkedVideo] = {}
    left_out: Counter[str] = Counter()
    rows = read_rows(path, delimiter_of(path), WEAK_HEADER, left_out=left_out, report=report)
    for row in rows:
        name = without_suffix(row.cells["filename"])
        if not name or name in videos:
            cause = f"{name!r} is listed twice" if name else "no file name"
            report(DuetalError(cause, file=path, place=row.place))
            continue
        labels = {label.strip() for label in row.cells["event_labels"].split(",")} - {""}
        videos[name] = MarkedVideo(name, None, subset=subset, labels=tuple(map(intern, labels)))
    listed = (videos.pop(name) for name in list(videos))
    return as_annotations(listed, path, left_out=left_out)


def write_weak(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write weak labels, atomically: of each video its labels, and nothing of its segments.

    Raises:
        DuetalError: a label holds a comma, which separates labels; or the file can't be written.
    """
    for label in annotations.classes:
        if "," in label:
            cause = f"cannot write: the label {label!r} holds a comma, which separates labels"
            raise DuetalError(cause, file=path)
    rows = ((video.name, ",".join(video.labels)) for video in annotations)
    write_rows(path, delimiter_of(path), WEAK_HEADER, rows)


def read_strong(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read strong labels; no video has a subset or a duration.

    Raises:
        DuetalError: a column is missing, or a row has no name, or a time without a label, or
            one that is not a finite number; named by line.
    """
    videos: dict[str, list[Marked]] = {}
    left_out: Counter[str] = Counter()
    rows = read_rows(path, delimiter_of(path), STRONG_HEADER, left_out=left_out, report=report)
    for row in rows:
        with reporting(report):
            name, event = _event(row, path)
            events = videos.setdefault(name, [])
            if event is not None:
                events.append(event)
    listed = (MarkedVideo(name, videos.pop(name)) for name in list(videos))
    return as_annotations(listed, path, left_out=left_out)


def write_strong(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write strong labels, atomically; videos whose segments are unknown are left out.

    Raises:
        DuetalError: the file can't be written.
    """

    def rows() -> Iterator[tuple[object, ...]]:
        for video in annotations:
            if video.segments is not None:
                for segment in video.segments:
                    yield video.name, segment.start, segment.end, segment.label
                if not video.segments:
                    yield video.name, "", "", ""

    write_rows(path, delimiter_of(path), STRONG_HEADER, rows())


def _event(row: Row, path: Path) -> tuple[str, Marked | None]:
    """A row's video and event; none where nothing happens."""
    name = without_suffix(row.cells["filename"])
    onset, offset, label = (row.cells[column] for column in STRONG_HEADER[1:])
    if not name:
        raise DuetalError("no file name", file=path, place=row.place)
    if not (onset or offset or label):
        return name, None
    if not label:
        raise DuetalError("no event label", file=path, place=row.place)
    with faults_at(path, row.place):
        return name, Marked(a_finite_number(onset), a_finite_number(offset), intern(label))
