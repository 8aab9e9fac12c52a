"""Tables as text: columns by name, one row at a time."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import read_text, replacing

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


@dataclass(frozen=True)
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


def delimiter_of(path: Path) -> str:
    """A comma for `.csv`, else a tab."""
    return "," if path.suffix.lower() == ".csv" else "\t"


def read_rows(
    path: Path,
    delimiter: str,
    required: Sequence[str],
    *,
    on_header: Callable[[Sequence[str]], object] = lambda _: None,
    report: Report = raise_error,
) -> Iterator[Row]:
    """Read the rows of a table whose first line names its columns; empty rows are left out.

    Args:
        path: the file.
        delimiter: between cells.
        required: columns that have to be there, in any order and among others, in small letters.
        on_header: takes the names of all columns, in small letters.
        report: takes the error of each row of another number of cells.

    Raises:
        DuetalError: unreadable, not UTF-8, a required column missing or a column named twice, or a
            row of another number of cells; named by line.
    """
    reader = csv.reader(lines(read_text(path)), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in required if name not in columns]
        if missing or len(set(columns)) != len(columns):
            separator = " with commas between" if delimiter == "," else " with tabs between"
            wanted = ", ".join(repr(name) for name in required) + separator
            cause = f"expected a header with the columns {wanted}"
            raise DuetalError(cause, file=path, place="line 1")
        on_header(columns)
        for fields in reader:
            place = f"line {reader.line_num}"
            if len(fields) == len(columns):
                cells = dict(zip(columns, (field.strip() for field in fields), strict=True))
                if any(cells.values()):
                    yield Row(place, cells)
            elif any(field.strip() for field in fields):
                names = ", ".join(columns)
                cause = f"expected {len(columns)} columns ({names}), found {len(fields)}"
                report(DuetalError(cause, file=path, place=place))
    except csv.Error as error:
        raise DuetalError(str(error), file=path, place=f"line {reader.line_num}") from error


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
