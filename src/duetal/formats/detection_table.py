"""Detections as a table that any spreadsheet and `pandas.read_csv` open.

    video,label,start,end,score
    video_test_0000004,HighJump,3.2,6.4,0.873

Comma-separated (RFC 4180), UTF-8, one detection a row, seconds. A video without detections has no
row, so that only JSON tells it from a video that was not looked at.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.core.files import replacing
from duetal.formats.delimited import read_cells
from duetal.formats.memory import DETECTION, Memory
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

HEADER = ["video", "label", "start", "end", "score"]


def write_detections(
    path: Path, detections: Detections, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write a table, atomically, in row order; numbers are read back as they were.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    detections.require_finite()
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    columns = (detections.start, detections.end, detections.score)
    writer.writerows(
        zip(
            (detections.videos[index] for index in detections.video),
            (detections.classes[index] for index in detections.label),
            *(column.tolist() for column in columns),
            strict=True,
        )
    )
    # As bytes: a text file's own idea of line ends would change the names that hold one. Half a
    # surrogate pair, which JSON can name a video by, has no bytes.
    with replacing(path) as temporary:
        temporary.write_bytes(text.getvalue().encode("utf-8", "replace"))


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read a table; videos and classes are in the order in which they come.

    Raises:
        DuetalError: unreadable, not UTF-8, another header, a row of other than five columns, or a
            segment or score that is not a finite number, or more memory than is allowed; named by
            line.
    """
    memory = Memory(path)
    detections = Detections.from_rows(_rows(path, memory), source=path, on_name=memory.keep_name)
    detections.require_finite()
    return detections


def _rows(path: Path, memory: Memory) -> Iterator[tuple[str, str, float, float, float]]:
    rows = read_cells(path, ",", memory)
    _check_header(next(rows, []), path)
    for fields in rows:
        if fields:
            memory.keep(DETECTION)
            yield _row(fields, path, f"line {memory.line}")


def _check_header(fields: list[str], path: Path) -> None:
    if [field.strip().lower() for field in fields] != HEADER:
        cause = f"expected the header {','.join(HEADER)}"
        raise DuetalError(cause, file=path, place="line 1")


def _row(fields: list[str], path: Path, place: str) -> tuple[str, str, float, float, float]:
    if len(fields) != len(HEADER):
        cause = f"expected {len(HEADER)} columns ({', '.join(HEADER)}), found {len(fields)}"
        raise DuetalError(cause, file=path, place=place)
    video, label, *numbers = fields
    try:
        start, end, score = map(float, numbers)
    except ValueError as error:
        raise DuetalError(str(error), file=path, place=place) from error
    return video, label, start, end, score
