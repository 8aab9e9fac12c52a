"""Text line by line, and tables: columns by name, one row at a time."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import not_text, opened, refuse_large, replacing, text_encoding

#: Characters that a line may have; a row's cells are all held at once.
_LONGEST_LINE = 2**20
_HEAD = 2**16
_DELIMITER_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons"}
DELIMITERS = tuple(_DELIMITER_NAMES)
_QUOTED = re.compile(r'"[^"]*"')
#: By such a first line Excel tells itself what stands between columns.
SEPARATOR_LINE = re.compile(r'\A"?sep=([\t,;])"?(?:\r?\n|$)', re.IGNORECASE)
_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:[.,][0-9]*)?)")
_WITH_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


def head(path: Path) -> str:
    """The first 64 KiB of a file as text, without a byte order mark and leading space.

    Raises:
        DuetalError: missing, unreadable, or binary.
    """
    with opened(path) as file:
        data = file.read(_HEAD)
    encoding = text_encoding(data)
    if b"\0" in data and encoding != "utf-16":
        hint = "; of a workbook, save the sheet as CSV" if data.startswith(b"PK") else ""
        if b"\0" in data[:2] and any(data[:2]):
            hint = ", or UTF-16 without its mark: save it as UTF-8"
        raise DuetalError(f"a binary file, not text{hint}", file=path)
    return data.decode(encoding, errors="replace").lstrip()


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends as they are; the file is never held whole.

    Raises:
        DuetalError: missing, unreadable, too large, neither UTF-8 nor UTF-16 with its mark, or with
            a line that is too long.
    """
    refuse_large(path)
    with opened(path) as file:
        encoding = text_encoding(file.read(2))
        file.seek(0)
        text = io.TextIOWrapper(file, encoding=encoding, newline="")
        try:
            for line in text:
                if len(line) > _LONGEST_LINE:
                    cause = f"has a line of more than {_LONGEST_LINE:,} characters"
                    raise DuetalError(cause, file=path)
                yield line
        except UnicodeDecodeError as error:
            # What was decoded last ends where the file was read up to.
            byte = file.tell() - len(error.object) + error.start
            raise not_text(path, byte) from error


def read_cells(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row of a table, and the number of the line that the row ends in.

    Raises:
        DuetalError: as `read_lines`, or quotes that don't match or enclose too much; named by line.
    """
    reader = csv.reader(read_lines(path), delimiter=delimiter, strict=True)
    begun = False
    try:
        for fields in reader:
            # Empty lines may come before the header.
            empty = not begun and not any(map(str.strip, fields))
            if not empty and (begun or not SEPARATOR_LINE.fullmatch(delimiter.join(fields))):
                begun = True
                yield reader.line_num, fields
    except csv.Error as error:
        raise DuetalError(str(error), file=path, place=f"line {reader.line_num}") from error


def written_delimiter(path: Path) -> str:
    """What stands between the columns of a table to write: a comma for `.csv`, else a tab."""
    return "," if path.suffix.lower() == ".csv" else "\t"


def delimiter_of(path: Path) -> str:
    """What stands between the columns of a table, by its first line: a tab, comma or semicolon."""
    line = next(filter(str.strip, read_lines(path)), "")
    separator = SEPARATOR_LINE.match(line)
    if separator:
        return separator[1]
    line = _QUOTED.sub("", line)
    return max((written_delimiter(path), *DELIMITERS), key=line.count)


def seconds_in(cell: str, delimiter: str) -> float:
    """A time in a cell: seconds, `mm:ss` or `hh:mm:ss`, any with a fraction.

    Raises:
        ValueError: it is none of these.
    """
    clock = _CLOCK.fullmatch(cell.strip())
    if clock is None:
        return number_in(cell, delimiter)
    hours, minutes, seconds = clock[1], int(clock[2]), float(clock[3].replace(",", "."))
    if seconds >= 60 or (hours is not None and minutes >= 60):
        raise ValueError(f"{cell!r} is no time: there are 60 minutes and seconds")
    return 3600 * int(hours or 0) + 60 * minutes + seconds


def number_in(cell: str, delimiter: str) -> float:
    """A number in a cell, with a decimal point or comma.

    Raises:
        ValueError: it is none; or between commas it is one that may have its thousands marked.
    """
    written = cell
    if _WITH_COMMA.fullmatch(cell.strip()):
        if delimiter == "," and _THOUSANDS.fullmatch(cell.strip()):
            raise ValueError(f"{cell!r} may be in thousands: write numbers with a decimal point")
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{written!r} is no number") from None


def plain_columns(header: Sequence[str]) -> list[str]:
    """The names in a header in small letters, without spaces around."""
    return [name.strip().lower() for name in header]


def read_rows(
    path: Path,
    delimiter: str,
    required: Sequence[str],
    *,
    known: Sequence[str] = (),
    left_out: Counter[str] | None = None,
    report: Report = raise_error,
    columns_of: Callable[[Sequence[str]], list[str]] = plain_columns,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a table whose first line names its columns: each row's place, and its cells by column.

    Cells are stripped; empty rows are left out. The columns `required` have to be there, in any
    order and among others; names of columns are in small letters. `left_out` counts the cells that
    hold something in columns neither `required` nor `known`, `report` takes the error of each row
    of another number of cells. `columns_of` makes the columns' names of those in the header.

    Raises:
        DuetalError: as `read_cells`, a required column missing or a column named twice, or a row of
            another number of cells; named by line.
    """
    rows = read_cells(path, delimiter)
    line, header = next(rows, (1, []))
    columns = columns_of(header)
    if not set(required) <= set(columns) or len(set(columns)) != len(columns):
        separator = f" with {_DELIMITER_NAMES[delimiter]} between"
        wanted = ", ".join(repr(name) for name in required) + separator
        cause = f"expected a header with the columns {wanted}"
        raise DuetalError(cause, file=path, place=f"line {line}")
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
