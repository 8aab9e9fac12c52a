"""Weak labels as a table of two columns, the form of DESED and DCASE.

    filename	event_labels
    video_validation_0000051	Billiards
    video_validation_0000171.mp4	CricketBowling,CricketShot

Tab-separated, or comma-separated with the labels quoted. A file suffix (`.mp4`, `.wav`) is not
part of a video's name.
"""

from collections import Counter
from pathlib import Path

from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats.delimited import delimiter_of, read_rows, write_rows
from duetal.formats.marked import counted
from duetal.formats.media import without_suffix
from duetal.formats.memory import CELL, VIDEO, Memory, string_size
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

HEADER = ("filename", "event_labels")


def read_annotations(
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
            that was there before; or more memory than is allowed; named by line.
    """
    memory = Memory(path)
    report = memory.reporting(report)
    videos: dict[str, VideoAnnotation] = {}
    left_out: Counter[str] = Counter()
    columns: list[str] = []
    for row in read_rows(
        path, delimiter_of(path), HEADER, memory, on_header=columns.extend, report=report
    ):
        name = without_suffix(row.cells["filename"])
        if not name or name in videos:
            cause = f"{name!r} is listed twice" if name else "no file name"
            report(DuetalError(cause, file=path, place=row.place))
        else:
            memory.keep(string_size(name) + VIDEO)
            labels = _labels(row.cells["event_labels"], memory)
            videos[name] = VideoAnnotation(name, subset, labels=labels)
        left_out.update(name for name in columns if name not in HEADER and row.cells[name])
    return Annotations(videos, memory.classes, path, left_out=counted(left_out))


def write_annotations(
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
    write_rows(path, delimiter_of(path), HEADER, rows)


def _labels(cell: str, memory: Memory) -> tuple[str, ...]:
    memory.hold(3 * CELL * cell.count(","))
    return memory.keep_labels({label.strip() for label in cell.split(",")} - {""})
