"""A look at the beginning of a file, to tell what it is before it is read."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from duetal.core.errors import DuetalError
from duetal.formats.delimited import lines

_HEAD = 2**16
_JSON_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]', re.DOTALL)


def head(path: Path) -> str:
    """The first 64 KiB of a file as text, without a byte order mark and leading space.

    Raises:
        DuetalError: missing, unreadable, or binary.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD)
    except FileNotFoundError as error:
        raise DuetalError("no such file or folder", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    if b"\0" in data:
        raise DuetalError("a binary file, not text", file=path)
    return data.decode("utf-8-sig", errors="replace").lstrip()


def json_keys(text: str) -> frozenset[str]:
    """The keys of the object that a JSON text begins with, or of the first one in its list."""
    level = 2 if text.startswith("[") else 1
    depth = 0
    keys = set()
    last = ""
    for token in _JSON_TOKEN.finditer(text):
        sign = token[0]
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
            if level == 2 and depth == 1:
                break
        elif sign == ":" and depth == level:
            keys.add(last)
        last = sign.strip('"')
    return frozenset(keys)


def table_lines(text: str, delimiter: str) -> Iterator[list[str]]:
    """The cells of each line of a table, stripped and in small letters."""
    reader = csv.reader(lines(text), delimiter=delimiter)
    try:
        for fields in reader:
            yield [field.strip().lower() for field in fields]
    except csv.Error:
        return
