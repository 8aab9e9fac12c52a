"""Text line by line, and tables: columns by name, one row at a time."""

import csv
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import replacing
from duetal.formats.memory import CELL, PLACE, Memory

#: A column: its name, twice, its place in a few lists and sets, and its cell in each row.
COLUMN = 2 * CELL + 3 * PLACE + CELL

_NO_TEXT = sys.getsizeof("")
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Args:
        place: its line, for error messages.
        cells: by the name of the column, stripped.
    """

    place: str
    cells: Mapping[str, str]


def lines(text: str) -> Iterator[str]:
    """The lines of a text with their ends, one at a time."""
    return (found[0] for found in _LINE.finditer(text))


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file with their ends as they are; the file is never held whole.

    Raises:
        DuetalError: missing, unreadable, or not UTF-8.
    """
    try:
        with (
            path.open("rb") as file,
            io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text,
        ):
            try:
                yield from text
            except UnicodeDecodeError as error:
                # What was decoded last ends where the file was read up to.
                byte = file.tell() - len(error.object) + error.start
                raise DuetalError("not UTF-8 text", file=path, place=f"byte {byte}") from error
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error


def read_cells(path: Path, delimiter: str, memory: Memory) -> Iterator[list[str]]:
    """The cells of each row of a table; `memory.line` is the line that the row ends in.

    Raises:
        DuetalError: unreadable, not UTF-8, or quotes that don't match or enclose too much; or a
            row of so many cells that it takes more memory than is allowed; named by line.
    """
    row = 0

    def counted() -> Iterator[str]:
        nonlocal row
        for line in read_lines(path):
            memory.line += 1
            # The line and its cells are there together; in quotes, a row goes on in further lines.
            row += CELL * line.count(delimiter) + 2 * (sys.getsizeof(line) - _NO_TEXT)
            memory.hold(row)
            yield line

    reader = csv.reader(counted(), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            row = 0
            yield fields
    except csv.Error as error:
        raise DuetalError(str(error), file=path, place=f"line {memory.line}") from error


def delimiter_of(path: Path) -> str:
    """A comma for `.csv`, else a tab."""
    return "," if path.suffix.lower() == ".csv" else "\t"


def read_rows(
    path: Path,
    delimiter: str,
    required: Sequence[str],
    memory: Memory,
    *,
    on_header: Callable[[Sequence[str]], object] = lambda _: None,
    report: Report = raise_error,
) -> Iterator[Row]:
    """Read the rows of a table whose first line names its columns; empty rows are left out.

    Args:
        path: the file.
        delimiter: between cells.
        required: columns that have to be there, in any order and among others, in small letters.
        memory: what reading may take, and the line that is being read.
        on_header: takes the names of all columns, in small letters.
        report: takes the error of each row of another number of cells.

    Raises:
        DuetalError: unreadable, not UTF-8, a required column missing or a column named twice, or a
            row of another number of cells; or more memory than is allowed; named by line.
    """
    rows = read_cells(path, delimiter, memory)
    header = next(rows, [])
    memory.keep(COLUMN * len(header))
    columns = [name.strip().lower() for name in header]
    missing = [name for name in required if name not in columns]
    if missing or len(set(columns)) != len(columns):
        separator = " with commas between" if delimiter == "," else " with tabs between"
        wanted = ", ".join(repr(name) for name in required) + separator
        cause = f"expected a header with the columns {wanted}"
        raise DuetalError(cause, file=path, place="line 1")
    on_header(columns)
    for fields in rows:
        if not fields:
            continue
        place = f"line {memory.line}"
        if len(fields) == len(columns):
            cells = dict(zip(columns, map(str.strip, fields), strict=True))
            if any(cells.values()):
                yield Row(place, cells)
        elif any(map(str.strip, fields)):
            names = ", ".join(columns)
            cause = f"expected {len(columns)} columns ({names}), found {len(fields)}"
            report(DuetalError(cause, file=path, place=place))


def write_rows(
    path: Path, delimiter: str, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table, atomically; numbers are read back as they were.

    Raises:
        DuetalError: it can't be written, or a cell holds half a surrogate pair.
    """
    end = "\r\n" if delimiter == "," else "\n"
    with replacing(path) as temporary:
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
                writer.writerow(header)
                writer.writerows(rows)
        except UnicodeEncodeError as error:
            cause = "cannot write: a name holds half a character"
            raise DuetalError(cause, file=path) from error
