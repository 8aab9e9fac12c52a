"""JSON files of many videos, read one video at a time.

`json.loads` of a whole annotation file takes six to ten times the file's size, and of a file made
to harm fifty times. Here the text is held, and of its values only the one that is being looked at.
"""

import json
import re
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import read_text
from duetal.formats.memory import MEMORY_FACTOR, MEMORY_FLOOR, TOO_LARGE

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)

#: What a video costs that says nothing: its name, and its places in sets and dictionaries.
_MEMBER = 300

#: A member's place: its key or index at the top, and its key in the object there that was entered.
Keys = tuple[str | int, ...]
#: Gives members, and returns the place after the last one.
_Members = Generator[tuple[Keys, Any], None, int]


def members(
    path: Path, enter: Collection[str] = (), *, report: Report = raise_error
) -> Iterator[tuple[Keys, Any]]:
    """Read the members of the object, or list, that a JSON file is, in the file's order.

    A member named in `enter` that is an object itself is given empty, and then each member of it:
    `{"version": 1, "database": {"v1": …}}` gives `("version",), 1`, then `("database",), {}` and
    `("database", "v1"), …`.
    What is neither object nor list is given whole, under no key.

    Args:
        path: the file.
        enter: keys at the top whose objects are large.
        report: takes each key that an object has twice, of which the last counts.

    Raises:
        DuetalError: missing, unreadable, not UTF-8 or not JSON, with line and column; or a value
            that would take more than `MEMORY_FACTOR` times the file's size in memory.
    """
    reader = _Reader(path, report)
    try:
        yield from reader.members(frozenset(enter))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise DuetalError(f"not JSON: {error.msg}", file=path, place=place) from error
    except RecursionError as error:
        raise DuetalError("nested too deeply", file=path) from error


class _Reader:
    def __init__(self, path: Path, report: Report):
        self._path = path
        self._report = report
        self._text = read_text(path)
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self._allowed = max(MEMORY_FACTOR * len(self._text), MEMORY_FLOOR)
        # Where the whole could take more than is allowed, each value is looked at.
        self._dense = _memory(self._text, 0, len(self._text)) > self._allowed

    def members(self, enter: frozenset[str]) -> Iterator[tuple[Keys, Any]]:
        start = self._skip(0)
        if self._text.startswith("{", start):
            end = yield from self._members_of_object(start, enter)
        elif self._text.startswith("[", start):
            end = yield from self._items_of_list(start)
        else:
            value, end = self._value(start)
            yield (), value
        if self._skip(end) != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, self._skip(end))

    def _members_of_object(self, start: int, enter: frozenset[str], parents: Keys = ()) -> _Members:
        seen: set[str] = set()
        at = self._skip(start + 1)
        while not self._text.startswith("}", at):
            at = self._separator(at, ",") if seen else at
            key, at = self._key(at)
            if key in seen:
                self._report(DuetalError(f"{key!r} is listed twice", file=self._path))
            seen.add(key)
            if len(seen) * _MEMBER > self._allowed:
                raise self._too_large(at)
            at = self._separator(at, ":")
            if key in enter and self._text.startswith("{", at):
                yield (key,), {}
                at = yield from self._members_of_object(at, frozenset(), (key,))
            else:
                value, at = self._value(at)
                yield (*parents, key), value
            at = self._skip(at)
        return at + 1

    def _items_of_list(self, start: int) -> _Members:
        index = 0
        at = self._skip(start + 1)
        while not self._text.startswith("]", at):
            at = self._separator(at, ",") if index else at
            value, at = self._value(at)
            yield (index,), value
            at = self._skip(at)
            index += 1
        return at + 1

    def _key(self, at: int) -> tuple[str, int]:
        if not self._text.startswith('"', at):
            raise json.JSONDecodeError("Expecting property name", self._text, at)
        value, end = self._decoder.raw_decode(self._text, at)
        assert isinstance(value, str)
        return value, end

    def _separator(self, at: int, sign: str) -> int:
        at = self._skip(at)
        if not self._text.startswith(sign, at):
            raise json.JSONDecodeError(f"Expecting {sign!r}", self._text, at)
        return self._skip(at + 1)

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        assert found is not None
        return found.end()

    def _value(self, at: int) -> tuple[Any, int]:
        if self._dense and _needs_more(self._text, at, self._allowed):
            raise self._too_large(at)
        try:
            return self._decoder.raw_decode(self._text, at)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            # Python reads no integer of more than 4,300 digits, and says how to make it.
            cause = "a number of too many digits"
            raise json.JSONDecodeError(cause, self._text, at) from error

    def _too_large(self, at: int) -> DuetalError:
        return DuetalError(TOO_LARGE, file=self._path, place=f"character {at}")

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self._report(DuetalError(f"{twice!r} is listed twice", file=self._path))
        return value


def _needs_more(text: str, at: int, allowed: int) -> bool:
    """Whether the value at a place of a JSON text could take more than so many bytes."""
    depth = 0
    needed = 0
    end = at
    for token in _TOKEN.finditer(text, at):
        if token.start() != at and depth == 0:
            break
        sign = text[token.start()]
        depth += (sign in "[{") - (sign in "]}")
        needed += _COST.get(sign, 0)
        end = token.end()
        if depth <= 0 or needed > allowed:
            break
    return needed > allowed or _memory(text, at, end) > allowed


#: Bytes that CPython needs for a list, an object of up to five keys, and a short string.
_COST = {"[": 112, "{": 184, '"': 50}


def _memory(text: str, start: int, end: int) -> int:
    """At least the bytes that CPython needs for the values in a part of a JSON text.

    That is, beside lists, objects and strings, for a number in a list and for an object's sixth key
    and those after; that strings hold some of the signs only errs on the safe side.
    """
    lists, objects = text.count("[", start, end), text.count("{", start, end)
    keys, strings = text.count(":", start, end), text.count('"', start, end) // 2
    needed = _COST["["] * lists + _COST["{"] * objects + 32 * text.count(",", start, end)
    return needed + 240 * max(0, keys - 5 * objects) + _COST['"'] * max(0, strings - keys)
