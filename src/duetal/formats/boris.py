"""BORIS, the event-logging software: projects, and exported tables of events.

A project (`.boris`) is JSON. An observation has media files and events `[time, subject, behavior,
modifier, comment, …]`; a state event begins at one entry and ends at the next of the same subject,
behavior and modifiers:

    {"behaviors_conf": {"0": {"type": "State event", "code": "run", …}},
     "observations": {"first": {"type": "MEDIA", "file": {"1": ["v1.mp4"]}, "time offset": 0.0,
        "media_info": {"length": {"v1.mp4": 359.96}}, "events": [[3.3, "", "run", "", ""], …]}}}

An export of aggregated events is a table with a row per event, one of tabular events a table with a
row per START and STOP, in older versions below a few lines about the observation:

    Observation id … Subject  Behavior … Behavior type  Start (s)  Stop (s) … Media file name …
    Observation id … Subject  Behavior … Behavior type  Time  Media file name …

The label is the behavior. BORIS is read, not written: an import of detections would need a project
with an ethogram. https://www.boris.unito.it/user_guide/export_events/
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats.delimited import head, read_cells
from duetal.formats.json_values import (
    FAULTS,
    a_finite_number,
    a_list,
    a_string,
    an_object,
    consumed,
    faults_at,
    located,
    read_document,
)
from duetal.formats.marked import Marked, MarkedVideo, as_annotations
from duetal.formats.media import video_name
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

#: The header of older exports stands below some lines about the observation.
_HEADER_WITHIN = 100
_FILE_COLUMNS = ("media file name", "media file path", "media file")
_LENGTH_COLUMNS = ("media duration (s)", "total length")
#: What stands in the column of a media file where there is none.
_NO_FILE = frozenset({"", "NA", "Not found"})


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read the state events of a project, or of a table exported from one.

    Left out, and counted, are point events, states without an end, modifiers, subjects and
    comments, observations without a media file, and players beyond the first.

    Raises:
        DuetalError: not of these forms; or in a project a time in a second media file while the
            first one's length is unknown; names the observation or line.
    """
    return (_read_project if head(path).startswith("{") else _read_table)(path, report)


def _read_project(path: Path, report: Report) -> Annotations:
    document = read_document(path, report)
    behaviors, observations = (
        document.get(key) if isinstance(document, dict) else None
        for key in ("behaviors_conf", "observations")
    )
    if not isinstance(behaviors, dict) or not isinstance(observations, dict):
        raise DuetalError("not a BORIS project: no 'observations' or 'behaviors_conf'", file=path)
    states: dict[str, bool] = {}
    for key, behavior in behaviors.items():
        try:
            kind = a_string(an_object(behavior)["type"], "'type'").upper()
            states[a_string(behavior["code"], "'code'")] = "STATE" in kind
        except FAULTS as error:
            report(located(error, path, f"behaviors_conf {key!r}"))
    found = _Found()
    for key in list(observations):
        value = observations.pop(key)
        try:
            if an_object(value).get("type") != "MEDIA":
                found.left_out["observations without media files"] += 1
                continue
            observation = _observation(value, found.left_out)
        except FAULTS as error:
            report(located(error, path, f"observations {key!r}"))
            continue
        for name, length in observation.media:
            found.videos.setdefault(name, [])
            if length is not None:
                found.durations[name] = length
        with faults_at(path, f"observation {key!r}"):
            for name, one in observation.states(states, found.left_out):
                found.videos[name].append(one)
    return found.annotations(path, [code for code, is_state in states.items() if is_state])


@dataclass
class _Found:
    """What the observations or rows add up to; those of one video are joined."""

    videos: dict[str, list[Marked]] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def annotations(self, path: Path, classes: Iterable[str] = ()) -> Annotations:
        """The videos as an annotation."""
        listed = (
            MarkedVideo(name, sorted(self.videos.pop(name)), self.durations.get(name))
            for name in list(self.videos)
        )
        return as_annotations(listed, path, classes=classes, left_out=self.left_out)


@dataclass
class _Observation:
    """An observation: its first player's files with their lengths, and its events."""

    media: list[tuple[str, float | None]]
    events: list[tuple[float, str, str, str]]

    def states(self, known: Mapping[str, bool], left_out: Counter[str]) -> list[tuple[str, Marked]]:
        """The state events, each with the name of its video."""
        begun: dict[tuple[str, str, str], float] = {}
        found = []
        for time, *about in self.events:
            subject, behavior, modifiers = about
            if not known.get(behavior, False):
                left_out["point events"] += 1
                continue
            left_out["subjects of events"] += bool(subject)
            left_out["modifiers of events"] += bool(modifiers)
            start = begun.pop((subject, behavior, modifiers), None)
            if start is None:
                begun[subject, behavior, modifiers] = time
                continue
            name, offset = self._place(start)
            if self._place(time, end=True)[0] != name:
                left_out["events that go on in the next media file"] += 1
                continue
            found.append((name, Marked(start - offset, time - offset, intern(behavior))))
        left_out["states without an end"] += len(begun)
        return found

    def _place(self, time: float, *, end: bool = False) -> tuple[str, float]:
        """The video that is shown at a time of the observation, and when it begins."""
        begin = 0.0
        for name, length in self.media[:-1]:
            if length is None:
                raise ValueError(f"the length of {name!r} is unknown")
            if time < begin + length or (end and time == begin + length):
                return name, begin
            begin += length
        return self.media[-1][0], begin


def _observation(value: dict[str, Any], left_out: Counter[str]) -> _Observation:
    players = an_object(value["file"], "'file'")
    files = [a_string(file, "a file") for file in a_list(players["1"], "player 1")]
    if not files:
        raise ValueError("player 1 has no file")
    left_out["further players"] += sum(bool(players[key]) for key in players if key != "1")
    info = an_object(value.get("media_info", {}), "'media_info'")
    lengths = an_object(info.get("length", {}), "'length'")
    offset = a_finite_number(value.get("time offset", 0.0))
    events = []
    for _, event in consumed(a_list(value["events"], "'events'")):
        time, subject, behavior, modifiers = a_list(event, "an event")[:4]
        about = [
            intern(a_string(one, "part of an event")) for one in (subject, behavior, modifiers)
        ]
        events.append((a_finite_number(time) - offset, about[0], about[1], about[2]))
        left_out["comments"] += len(event) > 4 and bool(event[4])
    media = [
        (video_name(file), a_finite_number(lengths[file]) if file in lengths else None)
        for file in files
    ]
    return _Observation(media, sorted(events, key=lambda event: event[0]))


def _read_table(path: Path, report: Report) -> Annotations:
    """Read an export of aggregated or of tabular events.

    Raises:
        DuetalError: a row that is not of the form; named by line.
    """
    delimiter = "\t" if "\t" in head(path)[:10_000] else ","
    rows = read_cells(path, delimiter)
    columns = _header(rows)
    if columns is None:
        raise DuetalError("not a table of BORIS's: no column 'Behavior'", file=path)
    table = _EventTable()
    for line, fields in rows:
        cells = dict(zip(columns, map(str.strip, fields), strict=False))
        try:
            if any(cells.values()):
                table.add(cells)
        except FAULTS as error:
            report(located(error, path, f"line {line}"))
    table.left_out["states without an end"] += len(table.begun)
    return table.annotations(path)


def _header(rows: Iterator[tuple[int, list[str]]]) -> list[str] | None:
    """The names of the columns in small letters, once `rows` have come to them."""
    for line, fields in rows:
        names = [field.strip().lower() for field in fields]
        if "behavior" in names and ({"time", "start (s)"} & set(names)):
            return names
        if line > _HEADER_WITHIN:
            break
    return None


@dataclass
class _EventTable(_Found):
    """A table, row by row."""

    files: dict[str, str] = field(default_factory=dict)
    begun: dict[tuple[str, ...], float] = field(default_factory=dict)

    def add(self, cells: Mapping[str, str]) -> None:
        """Take one row."""
        place = next((cells[column] for column in _FILE_COLUMNS if cells.get(column)), "")
        if place in _NO_FILE:
            self.left_out["events without a media file"] += 1
            return
        name = video_name(place)
        observation = intern(cells.get("observation id", ""))
        if self.files.setdefault(observation, name) != name:
            # The times go on from file to file, and the table does not hold how long each is.
            cause = f"observation {observation!r} has several media files: convert the project"
            raise ValueError(cause)
        marked = self.videos.setdefault(name, [])
        length = next((cells[column] for column in _LENGTH_COLUMNS if cells.get(column)), "NA")
        if length != "NA" and not length.startswith("player"):
            self.durations[name] = a_finite_number(length)
        offset = a_finite_number(cells.get("time offset (s)") or "0")
        behavior = intern(cells["behavior"])
        if not behavior:
            raise ValueError("an event without a behavior")
        subject = intern(cells.get("subject", ""))
        modifiers = tuple(intern(cells[key]) for key in cells if key.startswith("modifier"))
        self.left_out["comments"] += any(cells[key] != "" for key in cells if "comment" in key)
        self.left_out["subjects of events"] += subject not in ("", "No focal subject")
        self.left_out["modifiers of events"] += any(modifiers)
        if "start (s)" in cells:
            times = self._aggregated(cells)
        else:
            times = self._tabular(cells, (observation, subject, behavior, *modifiers))
        if times is not None:
            marked.append(Marked(times[0] - offset, times[1] - offset, behavior))

    def _aggregated(self, cells: Mapping[str, str]) -> tuple[float, float] | None:
        if cells.get("behavior type", "STATE") != "STATE":
            self.left_out["point events"] += 1
        elif "NA" in (cells["start (s)"], cells["stop (s)"]):
            self.left_out["states without an end"] += 1
        else:
            return a_finite_number(cells["start (s)"]), a_finite_number(cells["stop (s)"])
        return None

    def _tabular(
        self, cells: Mapping[str, str], key: tuple[str, ...]
    ) -> tuple[float, float] | None:
        status = cells.get("status") or cells.get("behavior type", "")
        time = a_finite_number(cells["time"])
        if status == "START":
            self.left_out["states without an end"] += key in self.begun
            self.begun[key] = time
        elif status == "STOP":
            if key not in self.begun:
                raise ValueError(f"{key[2]!r} stops, and has not begun")
            return self.begun.pop(key), time
        else:
            self.left_out["point events"] += 1
        return None
