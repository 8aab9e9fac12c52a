"""Reading JSON: a file as a whole, and values of an expected kind."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import read_json, refuse_large

_T = TypeVar("_T")
#: What a value of the wrong kind raises.
FAULTS = (KeyError, TypeError, ValueError, OverflowError)


def read_document(path: Path, report: Report = raise_error) -> Any:
    """Read a JSON file; reports each key that an object has twice, of which the last counts.

    Raises:
        DuetalError: missing, unreadable, too large, nested too deeply, not UTF-8 or not JSON, with
            line and column.
    """
    refuse_large(path)
    return read_json(path, unique_keys=True, report=report)


def located(error: Exception, path: Path, place: str) -> DuetalError:
    """One of the `FAULTS` as an error that names its file and place."""
    cause = f"no key {error}" if isinstance(error, KeyError) else str(error)
    return DuetalError(cause, file=path, place=place)


def consumed(values: list[Any]) -> Iterator[tuple[int, Any]]:
    """The values with their indices; each is removed from the list, to free its memory early."""
    for index, value in enumerate(values):
        values[index] = None
        yield index, value


def drained(members: dict[str, _T]) -> Iterator[tuple[str, _T]]:
    """The keys and values; each is removed from the dictionary, to free its memory early."""
    for key in list(members):
        yield key, members.pop(key)


def optional(value: Any, read: Callable[..., _T], *what: str) -> _T | None:
    """What `read`, one of the functions below, makes of a value; None of None."""
    return None if value is None else read(value, *what)


def an_object(value: Any, what: str = "this") -> dict[str, Any]:
    """The value, which is an object. Raises a TypeError that names it otherwise."""
    if not isinstance(value, dict):
        raise TypeError(f"{what} is not an object")
    return value


def a_list(value: Any, what: str = "this") -> list[Any]:
    """The value, which is a list. Raises a TypeError that names it otherwise."""
    if not isinstance(value, list):
        raise TypeError(f"{what} is not a list")
    return value


def a_string(value: Any, what: str = "this") -> str:
    """The value, which is a string. Raises a TypeError that names it otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is not a string")
    return value


def a_number(value: Any) -> float:
    """The value as a number, which it is or spells. Raises a TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{shortened(value)} is not a number")
    return float(value)


def finite(value: Any) -> float:
    """The value, which is a finite number. Raises a TypeError or ValueError otherwise."""
    number = a_number(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def shortened(value: Any) -> str:
    """The value as Python writes it, cut to what fits an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
