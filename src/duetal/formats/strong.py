"""Strong labels as a table, the form of DESED and DCASE: a row per event, in seconds.

    filename	onset	offset	event_label
    Y00pbt6aJV8Y_350_360.wav	0.163	0.665	Speech
    Y0a0XVjwKhsk_30_40.wav

A file without events has one row, whose other cells are empty. Tab-separated; a `.csv` file is
comma-separated. A file suffix (`.mp4`, `.wav`) is not part of a video's name.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats.delimited import Row, delimiter_of, read_rows, write_rows
from duetal.formats.json_values import a_finite_number, faults_at
from duetal.formats.marked import counted
from duetal.formats.media import without_suffix
from duetal.formats.memory import SEGMENT, TUPLE, VIDEO, Memory, changed_in_place, string_size
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

HEADER = ("filename", "onset", "offset", "event_label")


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read strong labels; no video has a subset or a duration.

    Args:
        path: a `.csv` file is comma-separated, any other tab-separated.
        options: not used.
        report: takes the error of each row that can't be used.

    Raises:
        DuetalError: a column is missing, or a row has no name, or a time without a label, or
            one that is not a finite number; or more memory than is allowed; named by line.
    """
    memory = Memory(path)
    report = memory.reporting(report)
    videos: dict[str, list[Segment]] = {}
    left_out: Counter[str] = Counter()
    columns: list[str] = []
    for row in read_rows(
        path, delimiter_of(path), HEADER, memory, on_header=columns.extend, report=report
    ):
        try:
            name, times, label = _event(row, path)
        except DuetalError as error:
            report(error)
            continue
        if name not in videos:
            memory.keep(string_size(name) + VIDEO + TUPLE)
            videos[name] = []
        if times is not None:
            memory.keep(SEGMENT)
            videos[name].append(Segment(*times, memory.keep_label(label)))
        if len(columns) > len(HEADER):
            left_out.update(name for name in columns if name not in HEADER and row.cells[name])

    def annotation(name: str, segments: list[Segment]) -> VideoAnnotation:
        labels = memory.keep_labels(segment.label for segment in segments)
        return VideoAnnotation(name, labels=labels, segments=tuple(segments))

    known = changed_in_place(videos, annotation)
    return Annotations(known, memory.classes, path, left_out=counted(left_out))


def write_annotations(
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

    write_rows(path, delimiter_of(path), HEADER, rows())


def _event(row: Row, path: Path) -> tuple[str, tuple[float, float] | None, str]:
    """The video, the times in seconds, and the label; no times where nothing happens."""
    name = without_suffix(row.cells["filename"])
    onset, offset, label = (row.cells[column] for column in HEADER[1:])
    if not name:
        raise DuetalError("no file name", file=path, place=row.place)
    if not (onset or offset or label):
        return name, None, ""
    if not label:
        raise DuetalError("no event label", file=path, place=row.place)
    with faults_at(path, row.place):
        return name, (a_finite_number(onset), a_finite_number(offset)), label
