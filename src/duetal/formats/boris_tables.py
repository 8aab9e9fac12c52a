"""BORIS's exported tables: aggregated events (a row each) and tabular events (START and STOP)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report
from duetal.formats.delimited import COLUMN, read_cells
from duetal.formats.json_values import FAULTS, a_finite_number, located
from duetal.formats.marked import Marked, MarkedVideo, as_annotations
from duetal.formats.media import video_name
from duetal.formats.memory import (
    ITEM,
    MARKED,
    MARKED_CLASS,
    NUMBER,
    PLACE,
    TUPLE,
    VIDEO,
    Memory,
    string_size,
)
from duetal.formats.sniffing import head

#: The header of older exports stands below some lines about the observation.
_HEADER_WITHIN = 100
_FILE_COLUMNS = ("media file name", "media file path", "media file")
_LENGTH_COLUMNS = ("media duration (s)", "total length")
#: What stands in the column of a media file where there is none.
_NO_FILE = frozenset({"", "NA", "Not found"})


def read_table(path: Path, report: Report) -> Annotations:
    """Read an export of aggregated or of tabular events.

    Raises:
        DuetalError: a row that is not of the form, or more memory than is allowed; named by line.
    """
    memory = Memory(path)
    report = memory.reporting(report)
    delimiter = "\t" if "\t" in head(path)[:10_000] else ","
    rows = ([cell.strip() for cell in cells] for cells in read_cells(path, delimiter, memory))
    columns = _header(rows, memory)
    if columns is None:
        raise DuetalError("not a table of BORIS's: no column 'Behavior'", file=path)
    table = _Table(path, memory)
    for fields in rows:
        if not any(fields):
            continue
        cells = dict(zip(columns, fields, strict=False))
        try:
            table.add(cells)
        except FAULTS as error:
            report(located(error, path, f"line {memory.line}"))
        except DuetalError as error:
            report(DuetalError(error.cause, file=path, place=f"line {memory.line}"))
    return table.annotations()


class _Table:
    def __init__(self, path: Path, memory: Memory):
        self._path = path
        self._memory = memory
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
        observation = self._memory.keep_string(cells.get("observation id", ""))
        if self._files.setdefault(observation, name) != name:
            # The times go on from file to file, and the table does not say how long each is.
            cause = f"observation {observation!r} has several media files: convert the project"
            raise DuetalError(cause)
        if name not in self._videos:
            self._memory.keep(string_size(name) + VIDEO + PLACE + 2 * TUPLE)
            self._videos[name] = []
        marked = self._videos[name]
        length = next((cells[column] for column in _LENGTH_COLUMNS if cells.get(column)), "NA")
        if length != "NA" and not length.startswith("player"):
            self._memory.keep(0 if name in self._durations else PLACE + NUMBER)
            self._durations[name] = a_finite_number(length)
        offset = a_finite_number(cells.get("time offset (s)") or "0")
        behavior = self._memory.keep_label(cells["behavior"], MARKED_CLASS)
        if not behavior:
            raise ValueError("an event without a behavior")
        self._left_out["comments"] += any(cells[key] != "" for key in cells if "comment" in key)
        self._left_out["subjects of events"] += cells.get("subject", "") not in (
            "",
            "No focal subject",
        )
        # What is kept of a state until it ends is the same few words over and over.
        modifiers = tuple(
            self._memory.keep_string(cells[key]) for key in cells if key.startswith("modifier")
        )
        self._left_out["modifiers of events"] += any(modifiers)
        if "start (s)" in cells:
            self._add_aggregated(cells, behavior, offset, marked)
        else:
            subject = self._memory.keep_string(cells.get("subject", ""))
            key = (observation, subject, behavior, *modifiers)
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
            self._memory.keep(MARKED)
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
            # As long as it has not ended; its interval takes no more.
            self._memory.keep(MARKED + TUPLE + ITEM * len(key))
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
            MarkedVideo(name, sorted(self._videos.pop(name)), self._durations.get(name))
            for name in list(self._videos)
        )
        return as_annotations(listed, self._path, left_out=self._left_out)


def _header(rows: Iterator[list[str]], memory: Memory) -> list[str] | None:
    """The names of the columns in small letters, once `rows` have come to them."""
    for fields in rows:
        memory.hold(COLUMN * len(fields))
        names = [field.lower() for field in fields]
        if "behavior" in names and ({"time", "start (s)"} & set(names)):
            memory.keep(COLUMN * len(fields))
            return names
        if memory.line > _HEADER_WITHIN:
            break
    return None
