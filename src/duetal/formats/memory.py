"""What reading a file may take in memory: ten times the file's size.

CPython needs a hundred bytes for a name of three letters and its place in a dictionary, so that a
small file made to harm becomes a large one. A reader says what it is about to keep, and is stopped
before it keeps too much. The sizes are what CPython 3.11 asks for on 64-bit machines; a dictionary
or set is counted as it is while it grows.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from duetal.core.errors import DuetalError, Report

#: Reading may take this many times the file's size, or `MEMORY_FLOOR` bytes if that is more.
MEMORY_FACTOR = 10
MEMORY_FLOOR = 8 * 2**20
TOO_LARGE = f"would take more than {MEMORY_FACTOR} times the file's size in memory"

#: A file of a few bytes takes this many on the disk; it counts in a folder of many files.
_SMALLEST_FILE = 4096

#: A name's place in a dictionary, and a value's in a list.
PLACE = 66
ITEM = 9
#: A cell of a row: a short string, and its place in the row.
CELL = 80
#: A number; a tuple, or a list, without its items.
NUMBER = 24
TUPLE = 48
LIST = 88
#: A video's annotation beside its name and segments, in a dictionary of them.
VIDEO = 80 + PLACE
#: A segment in a list that becomes a tuple.
SEGMENT = 56 + 2 * NUMBER + 2 * ITEM
#: A `Marked` interval in such a list, and the segment that is made of it.
MARKED = 72 + 56 + 2 * NUMBER + 2 * ITEM
#: A class: its places in the set and lists that bring the classes into order; and in those that
#: do so for `Marked` intervals besides.
CLASS = 160
MARKED_CLASS = 200
#: A row of detections, as columns.
DETECTION = 50
_ERROR = 1000

_Before = TypeVar("_Before")
_After = TypeVar("_After")


class Memory:
    """Counts what is kept while a file, or several that belong together, are read.

    Args:
        files: the files.

    Attributes:
        file: the one that is being read, for the error.
        line: the line that is being read, for the error.
    """

    def __init__(self, *files: Path):
        self.file = files[0] if files else None
        self.line = 0
        self._kept = 0
        size = sum(max(_size(file), _SMALLEST_FILE) for file in files)
        self._allowed = max(MEMORY_FACTOR * size, MEMORY_FLOOR)
        self._strings: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._label_sets: dict[tuple[str, ...], tuple[str, ...]] = {}

    def keep(self, size: int) -> None:
        """Count what stays until the file is read, before it is kept.

        Raises:
            DuetalError: so much is not allowed; names file and line.
        """
        self.hold(size)
        self._kept += size

    def hold(self, size: int) -> None:
        """Count what is forgotten soon.

        Raises:
            DuetalError: so much is not allowed; names file and line.
        """
        if self._kept + size > self._allowed:
            raise DuetalError(TOO_LARGE, file=self.file, place=f"line {self.line}")

    def keep_string(self, text: str) -> str:
        """Keep a string that many have; gives the one of all that are equal.

        Raises:
            DuetalError: it is new, and so much is not allowed.
        """
        known = self._strings.get(text)
        if known is None:
            self.keep(string_size(text) + PLACE)
            known = self._strings[text] = text
        return known

    def keep_name(self, name: str) -> None:
        """Keep the name of a video or class in a dictionary of indices, and in a list.

        Raises:
            DuetalError: so much is not allowed.
        """
        self.keep(string_size(name) + PLACE + NUMBER + ITEM)

    def keep_label(self, label: str, more: int = 0) -> str:
        """Keep a label; gives the string of all that are equal.

        Args:
            label: a class, if it is new.
            more: bytes that a new class takes besides.

        Raises:
            DuetalError: it is new, and so much is not allowed.
        """
        known = self._labels.get(label)
        if known is None:
            self.keep(string_size(label) + PLACE + CLASS + more)
            known = self._labels[label] = label
        return known

    def keep_labels(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Keep a video's labels, sorted, each once; gives the tuple of all that have the same.

        Raises:
            DuetalError: they are new, and so much is not allowed.
        """
        own = tuple(sorted({self.keep_label(label) for label in labels}))
        known = self._label_sets.get(own)
        if known is None:
            self.keep(TUPLE + 8 * len(own) + 2 * PLACE)
            known = self._label_sets[own] = own
        return known

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that were kept, sorted."""
        return tuple(sorted(self._labels))

    def reporting(self, report: Report) -> Report:
        """The report of errors that counts them, as whoever takes them may keep them."""

        def counted(error: DuetalError) -> None:
            self.keep(_ERROR + 2 * len(error.cause))
            report(error)

        return counted


def changed_in_place(
    values: dict[str, _Before], change: Callable[[str, _Before], _After]
) -> dict[str, _After]:
    """Change each value of a dictionary, so that old and new ones are never all there at once."""
    changed: dict[str, Any] = values
    for name, value in changed.items():
        changed[name] = change(name, value)
    return changed


def string_size(text: str) -> int:
    """The bytes of a string."""
    return sys.getsizeof(text)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # Whoever reads it says what is wrong.
