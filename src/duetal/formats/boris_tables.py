"""BORIS's exported tables: aggregated events (a row each) and tabular events (START and STOP)."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report
from duetal.core.files import read_text
from duetal.formats.delimited import lines
from duetal.formats.json_values import FAULTS, a_finite_number, located
from duetal.formats.marked import Marked, MarkedVideo, as_annotations
from duetal.formats.media import video_name

#: The header of older exports stands below some lines about the observation.
_HEADER_WITHIN = 100
_FILE_COLUMNS = ("media file name", "media file path", "media file")
_LENGTH_COLUMNS = ("media duration (s)", "total length")
#: What stands in the column of a media file where there is none.
_NO_FILE = frozenset({"", "NA", "Not found"})


def read_table(path: Path, report: Report) -> Annotations:
    """Read an export of aggregated or of tabular events.

    Raises:
        DuetalError: a row that is not of the form; named by line.
    """
    rows = _rows(path)
    columns = _header(rows)
    if columns is None:
        raise DuetalError("not a table of BORIS's: no column 'Behavior'", file=path)
    table = _Table(path)
    for number, fields in rows:
        if not any(fields):
            continue
        cells = dict(zip(columns, fields, strict=False))
        try:
            table.add(cells)
        except FAULTS as error:
            report(located(error, path, f"line {number}"))
        except DuetalError as error:
            report(DuetalError(error.cause, file=path, place=f"line {number}"))
    return table.annotations()


class _Table:
    def __init__(self, path: Path):
        self._path = path
        self._videos: dict[str, list[Marked]] = {}
        self._durations: dict[str, float] = {}
        self._files: dict[str, str] = {}
        self._begun: dict[tuple[str, ...], float] = {}
        self._left_out: Counter[str] = Counter()

    def add(self, cells: Mapping[str, str]) -> None:
        """Take one row."""
        place = next((cells[column] for column in _FILE_COLUMNS if cells.get(column)), "")
        if place in _NO_FILE:
            self._left_out["events without a media file"] += 1
            return
        name = video_name(place)
        observation = cells.get("observation id", "")
        if self._files.setdefault(observation, name) != name:
            # The times go on from file to file, and the table does not say how long each is.
            cause = f"observation {observation!r} has several media files: convert the project"
            raise DuetalError(cause)
        marked = self._videos.setdefault(intern(name), [])
        length = next((cells[column] for column in _LENGTH_COLUMNS if cells.get(column)), "NA")
        if length != "NA" and not length.startswith("player"):
            self._durations[name] = a_finite_number(length)
        offset = a_finite_number(cells.get("time offset (s)") or "0")
        behavior = intern(cells["behavior"])
        if not behavior:
            raise ValueError("an event without a behavior")
        self._left_out["comments"] += any(cells[key] != "" for key in cells if "comment" in key)
        self._left_out["subjects of events"] += cells.get("subject", "") not in (
            "",
            "No focal subject",
        )
        modifiers = tuple(cells[key] for key in cells if key.startswith("modifier"))
        self._left_out["modifiers of events"] += any(modifiers)
        if "start (s)" in cells:
            self._add_aggregated(cells, behavior, offset, marked)
        else:
            key = (observation, cells.get("subject", ""), behavior, *modifiers)
            self._add_tabular(cells, key, behavior, offset, marked)

    def _add_aggregated(
        self, cells: Mapping[str, str], behavior: str, offset: float, marked: list[Marked]
    ) -> None:
        if cells.get("behavior type", "STATE") != "STATE":
            self._left_out["point events"] += 1
        elif "NA" in (cells["start (s)"], cells["stop (s)"]):
            self._left_out["states without an end"] += 1
        else:
            start, end = a_finite_number(cells["start (s)"]), a_finite_number(cells["stop (s)"])
            marked.append(Marked(start - offset, end - offset, behavior))

    def _add_tabular(
        self,
        cells: Mapping[str, str],
        key: tuple[str, ...],
        behavior: str,
        offset: float,
        marked: list[Marked],
    ) -> None:
        status = cells.get("status") or cells.get("behavior type", "")
        time = a_finite_number(cells["time"]) - offset
        if status == "START":
            self._left_out["states without an end"] += key in self._begun
            self._begun[key] = time
        elif status == "STOP":
            if key not in self._begun:
                raise ValueError(f"{behavior!r} stops, and has not begun")
            marked.append(Marked(self._begun.pop(key), time, behavior))
        else:
            self._left_out["point events"] += 1

    def annotations(self) -> Annotations:
        """What the rows say together."""
        self._left_out["states without an end"] += len(self._begun)
        listed = (
            MarkedVideo(name, sorted(marked), self._durations.get(name))
            for name, marked in self._videos.items()
        )
        return as_annotations(listed, self._path, left_out=self._left_out)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, and its cells, stripped."""
    text = read_text(path)
    delimiter = "\t" if "\t" in text[:10_000] else ","
    reader = csv.reader(lines(text), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise DuetalError(str(error), file=path, place=f"line {reader.line_num}") from error


def _header(rows: Iterator[tuple[int, list[str]]]) -> list[str] | None:
    """The names of the columns in small letters, once `rows` have come to them."""
    for number, fields in rows:
        names = [field.lower() for field in fields]
        if "behavior" in names and ({"time", "start (s)"} & set(names)):
            return names
        if number > _HEADER_WITHIN:
            break
    return None
