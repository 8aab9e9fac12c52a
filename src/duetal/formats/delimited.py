"""Text line by line, and tables: columns by name, one row at a time."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import refuse_large, refuse_special, replacing

#: Characters that a line may have; a row's cells are all held at once.
_LONGEST_LINE = 2**20
_HEAD = 2**16


def head(path: Path) -> str:
    """The first 64 KiB of a file as text, without a byte order mark and leading space.

    Raises:
        DuetalError: missing, unreadable, or binary.
    """
    try:
        refuse_special(path)
        with path.open("rb") as file:
            data = file.read(_HEAD)
    except FileNotFoundError as error:
        raise DuetalError("no such file or folder", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    if b"\0" in data:
        raise DuetalError("a binary file, not text", file=path)
    return data.decode("utf-8-sig", errors="replace").lstrip()


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file with their ends as they are; the file is never held whole.

    Raises:
        DuetalError: missing, unreadable, not UTF-8, too large, or with a line that is too long.
    """
    refuse_large(path)
    try:
        with (
            path.open("rb") as file,
            io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text,
        ):
            try:
                for line in text:
                    if len(line) > _LONGEST_LINE:
                        cause = f"has a line of more than {_LONGEST_LINE:,} characters"
                        raise DuetalError(cause, file=path)
                    yield line
            except UnicodeDecodeError as error:
                # What was decoded last ends where the file was read up to.
                byte = file.tell() - len(error.object) + error.start
                raise DuetalError("not UTF-8 text", file=path, place=f"byte {byte}") from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error


def read_cells(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row of a table, and the number of the line that the row ends in.

    Raises:
        DuetalError: as `read_lines`, or quotes that don't match or enclose too much; named by line.
    """
    reader = csv.reader(read_lines(path), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise DuetalError(str(error), file=path, place=f"line {reader.line_num}") from error


def delimiter_of(path: Path) -> str:
    """A comma for `.csv`, else a tab."""
    return "," if path.suffix.lower() == ".csv" else "\t"


def read_rows(
    path: Path,
    delimiter: str,
    required: Sequence[str],
    *,
    known: Sequence[str] = (),
    left_out: Counter[str] | None = None,
    report: Report = raise_error,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a table whose first line names its columns: each row's place, and its cells by column.

    Cells are stripped; empty rows are left out. The columns `required` have to be there, in any
    order and among others; names of columns are in small letters. `left_out` counts the cells that
    hold something in columns neither `required` nor `known`, `report` takes the error of each row
    of another number of cells.

    Raises:
        DuetalError: as `read_cells`, a required column missing or a column named twice, or a row of
            another number of cells; named by line.
    """
    rows = read_cells(path, delimiter)
    columns = [name.strip().lower() for name in next(rows, (1, []))[1]]
    if not set(required) <= set(columns) or len(set(columns)) != len(columns):
        separator = " with commas between" if delimiter == "," else " with tabs between"
        wanted = ", ".join(repr(name) for name in required) + separator
        cause = f"expected a header with the columns {wanted}"
        raise DuetalError(cause, file=path, place="line 1")
    others = [name for name in columns if name not in (*required, *known)]
    for line, fields in rows:
        stripped = [field.strip() for field in fields]
        if not any(stripped):
            continue
        if len(fields) != len(columns):
            names = ", ".join(columns)
            cause = f"expected {len(columns)} columns ({names}), found {len(fields)}"
            report(DuetalError(cause, file=path, place=f"line {line}"))
            continue
        cells = dict(zip(columns, stripped, strict=True))
        if left_out is not None:
            left_out.update(name for name in others if cells[name])
        yield f"line {line}", cells


def write_rows(
    path: Path,
    delimiter: str,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    errors: str = "strict",
) -> None:
    """Write a table, atomically; numbers are read back as they were.

    Errors "replace" write "?" for half a surrogate pair, which JSON can name a video by.

    Raises:
        DuetalError: it can't be written, or a cell holds half a surrogate pair.
    """
    end = "\r\n" if delimiter == "," else "\n"
    with replacing(path) as temporary:
        try:
            with temporary.open("w", encoding="utf-8", errors=errors, newline="") as file:
                writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
                writer.writerow(header)
                writer.writerows(rows)
        except UnicodeEncodeError as error:
            cause = "cannot write: a name holds half a character"
            raise DuetalError(cause, file=path) from error
