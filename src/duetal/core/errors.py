"""Errors for users: one line with the file, the place in it and the cause."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class DuetalError(Exception):
    """A fault outside the program: a file, its content, a value in it.

    The command line prints it as one line and exits with `exit_code`.

    Args:
        cause: what is wrong, in one line.
        file: the file at fault, when there is one.
        place: where in the file: a line, a key, a video, a row.
    """

    exit_code = 1

    def __init__(self, cause: str, *, file: Path | str | None = None, place: str | None = None):
        self.cause = cause
        self.file = None if file is None else Path(file)
        self.place = place
        parts = [str(part) for part in (file, place, cause) if part is not None]
        # A name from outside may hold a newline; the message stays one line.
        super().__init__(": ".join(parts).replace("\r", "\\r").replace("\n", "\\n"))


class UsageError(DuetalError):
    """A wrong call or setting: an unknown key, an impossible value."""

    exit_code = 2


#: Called with an error after which reading goes on without the faulty item.
Report = Callable[[DuetalError], object]


def raise_error(error: DuetalError) -> NoReturn:
    """The default report: stop at the first error."""
    raise error


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Report a DuetalError of the block, and leave the block, instead of raising it."""
    try:
        yield
    except DuetalError as error:
        report(error)


def first_line(error: object) -> str:
    """The first line of an error or its message; the name of its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """Such as "unknown setting 'batchsize'; the nearest is 'batch_size'"."""
    nearest = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.0)
    hint = f"; the nearest is {nearest[0]!r}" if nearest else ""
    return f"unknown {what} {name!r}{hint}"
