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

The label is the behavior. A `Source` names the media files of each player, and `Media duration (s)`
their lengths: `player #1:v1.mp4;v2.mp4|player #2:w.mp4`, `30.000;20.000|50.000`.
https://www.boris.unito.it/user_guide/export_events/
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, UsageError, raise_error, unknown
from duetal.core.video_names import video_name
from duetal.formats.delimited import head, read_cells, seconds_in
from duetal.formats.json_values import (
    a_list,
    a_string,
    an_object,
    consumed,
    drained,
    finite,
    optional,
)
from duetal.formats.marked import Marked, MarkedVideo, Reading, of_milliseconds
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

#: The header of older exports stands below some lines about the observation.
_HEADER_WITHIN = 100
_FILE_COLUMNS = ("media file name", "media file path", "media file")
_LENGTH_COLUMNS = ("media duration (s)", "total length")
#: What stands in the column of a media file where there is none.
_SOURCE = re.compile(r"player #([0-9]+):(.+)")
_LENGTH = re.compile(r"[0-9.,]+")
#: No subject, or one that stands for a further action of a class at the same time.
_NOBODY = re.compile(r"(?:No focal subject|overlap [0-9]+)?")
_NO_FILE = frozenset({"", "NA", "Not found"})
_ABOUT = {
    "description": "descriptions of observations",
    "independent_variables": "independent variables of observations",
}
#: Times beyond are those of a clock that counts from 1970, not of a video.
_EARLIEST_CLOCK = 1e8


class _MediaFile(NamedTuple):
    """A video of the first player; its length and what the clock showed at its beginning, if known.

    The clock counts from 1970, and is there where event times do so too.
    """

    name: str
    length: float | None = None
    clock: float | None = None


_Media = list[_MediaFile]
#: Time, subject, behavior and modifiers.
_Event = tuple[float, str, str, str]


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read the state events of a project, or of a table exported from one.

    A point event is a segment of no length. The independent variable that the option `tier` names
    gives the labels of the videos of a project, with commas between them: of classes that occur at
    times that are unknown. Left out, and counted, are states without an end, modifiers, subjects
    and comments, observations without a media file, and players beyond the first.

    Raises:
        DuetalError: not of these forms; or in a project a time in a second media file while the
            first one's length is unknown; names the observation or line.
        UsageError: there is no variable of the name given.
    """
    reading = Reading(path, report, options)
    if head(path).startswith("{"):
        _read_project(reading)
    else:
        _read_table(reading)
    for video in reading.videos.values():
        if video.intervals is not None:
            video.intervals.sort()
    return reading.partial_annotations()


def _read_project(reading: Reading) -> None:
    parts = ("behaviors_conf", "observations")
    document, behaviors, observations = reading.objects("a BORIS project", *parts)
    variable = reading.options.tier
    with reading.faults_at("independent_variables"):
        listed = an_object(document.get("independent_variables") or {})
        names = [a_string(an_object(one)["label"], "'label'") for one in listed.values()]
    if variable is not None and variable not in names:
        raise UsageError(unknown("independent variable", variable, names), file=reading.path)
    states: dict[str, bool] = {}
    for key, behavior in behaviors.items():
        with reading.going_on(f"behaviors_conf {key!r}"):
            kind = a_string(an_object(behavior)["type"], "'type'").upper()
            states[a_string(behavior["code"], "'code'")] = "STATE" in kind
    reading.classes = list(states)
    for key, value in drained(observations):
        with reading.going_on(f"observations {key!r}"):
            if an_object(value).get("type") != "MEDIA":
                reading.left_out["observations without media files"] += 1
                continue
            labels = _labels_of(value, variable)
            reading.left_out.update(what for about, what in _ABOUT.items() if value.get(about))
            media = _media(value, reading.left_out)
            events = _events(value, reading.left_out)
            with reading.faults_at(f"observation {key!r}"):
                found = _states(media, events, states, reading.left_out)
            for one in media:
                _note_length(reading, one.name, one.length)
            for name, state in found:
                reading.intervals_of(name).append(state)
            for one in media:
                reading.videos[one.name].labels += labels
    for video in reading.videos.values():
        video.say(video.labels, reading.left_out)


def _labels_of(observation: dict[str, Any], variable: str | None) -> list[str]:
    """The labels that an independent variable gives an observation, which is taken out of it."""
    variables = an_object(observation.get("independent_variables") or {}, "the variables")
    said = variables.pop(variable, None) if variable is not None else None
    labels = map(str.strip, a_string(said or "", repr(variable)).split(","))
    return [intern(label) for label in labels if label]


def _note_length(reading: Reading, name: str, length: float | None) -> None:
    """Take note of a video, and of its length where that is known."""
    video = reading.videos.setdefault(name, MarkedVideo(name, []))
    video.duration = video.duration if length is None else length


def _media(observation: dict[str, Any], left_out: Counter[str]) -> _Media:
    players = an_object(observation["file"], "'file'")
    files = [a_string(file, "a file") for file in a_list(players["1"], "player 1")]
    if not files:
        raise ValueError("player 1 has no file")
    left_out["further players"] += sum(bool(players[key]) for key in players if key != "1")
    info = an_object(observation.get("media_info") or {}, "'media_info'")
    lengths = an_object(info.get("length") or {}, "'length'")
    lengths = {file: length for file, length in lengths.items() if length != "NA"}
    clocks: dict[str, Any] = {}
    if observation.get("media_creation_date_as_offset"):
        clocks = an_object(info.get("media_creation_time", {}), "'media_creation_time'")
        for file in files:
            if clocks.get(file) in (None, "NA"):
                raise ValueError(f"times count from when {file!r} was made, which is unknown")
    known = ([optional(one.get(file), finite) for one in (lengths, clocks)] for file in files)
    return [_MediaFile(video_name(file), *facts) for file, facts in zip(files, known, strict=True)]


def _events(observation: dict[str, Any], left_out: Counter[str]) -> list[_Event]:
    """The events by time."""
    offset = optional(observation.get("time offset"), finite) or 0.0
    events = []
    for _, event in consumed(a_list(observation["events"], "'events'")):
        time, *about = a_list(event, "an event")[:4]
        subject, behavior, modifiers = (intern(a_string(one, "part of an event")) for one in about)
        events.append((finite(time) - offset, subject, behavior, modifiers))
        left_out["comments"] += len(event) > 4 and bool(event[4])
    return sorted(events, key=itemgetter(0))


def _states(
    media: _Media, events: Iterable[_Event], known: Mapping[str, bool], left_out: Counter[str]
) -> list[tuple[str, Marked]]:
    """The state events, each with the name of its video."""
    begun: dict[tuple[str, str, str], float] = {}
    found = []
    for time, subject, behavior, modifiers in events:
        if behavior not in known:
            left_out["events of unknown behaviors"] += 1
            continue
        left_out["subjects of events"] += not _NOBODY.fullmatch(subject)
        left_out["modifiers of events"] += bool(modifiers)
        start = begun.pop((subject, behavior, modifiers), None)
        if not known[behavior]:
            # A point event is a moment inside of an action.
            start = time
        if start is None:
            begun[subject, behavior, modifiers] = time
            continue
        name, offset = _shown_at(start, media)
        if _shown_at(time, media, end=True)[0] != name:
            left_out["events that go on in the next media file"] += 1
            continue
        found.append(
            (name, Marked(*of_milliseconds(start - offset, time - offset), intern(behavior)))
        )
    left_out["states without an end"] += len(begun)
    return found


def _shown_at(time: float, media: _Media, *, end: bool = False) -> tuple[str, float]:
    """The video that is shown at a time of the observation, and when it begins."""
    if media[0].clock is not None:
        shown, clock = media[0].name, media[0].clock
        for one in media:
            if one.clock is not None and (one.clock < time or (one.clock == time and not end)):
                shown, clock = one.name, one.clock
        return shown, clock
    begin = 0.0
    for one in media[:-1]:
        if one.length is None:
            raise ValueError(f"the length of {one.name!r} is unknown")
        if time < begin + one.length or (end and time == begin + one.length):
            return one.name, begin
        begin += one.length
    return media[-1].name, begin


def _read_table(reading: Reading) -> None:
    """Read an export of aggregated or of tabular events."""
    path = reading.path
    # A name or a comment may hold any of them.
    lines = [line for line in head(path)[:10_000].splitlines() if "behavior" in line.lower()]
    delimiter = max("\t", ";", ",", key=lambda sign: max((n.count(sign) for n in lines), default=0))
    rows = read_cells(path, delimiter)
    columns = _header(rows)
    if columns is None:
        raise DuetalError("not a table of BORIS's: no column 'Behavior'", file=path)
    table = _EventTable(reading, delimiter)
    for line, fields in rows:
        cells = dict(zip(columns, map(str.strip, fields), strict=False))
        with reading.going_on(f"line {line}"):
            if any(cells.values()):
                table.add(cells)
    reading.left_out["states without an end"] += len(table.begun)


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
class _EventTable:
    """A table, row by row."""

    reading: Reading
    delimiter: str
    media: dict[str, _Media] = field(default_factory=dict)
    begun: dict[tuple[str, ...], float] = field(default_factory=dict)

    def add(self, cells: dict[str, str]) -> None:
        """Take one row."""
        left_out = self.reading.left_out
        observation = intern(cells.get("observation id", ""))
        media = self._media(observation, cells)
        if not media:
            left_out["events without a media file"] += 1
            return
        offset = finite(cells.get("time offset (s)") or "0")
        behavior = intern(cells["behavior"])
        if not behavior:
            raise ValueError("an event without a behavior")
        subject = intern(cells.get("subject", ""))
        modifiers = tuple(intern(cells[key]) for key in cells if key.startswith("modifier"))
        left_out["comments"] += any(cells[key] != "" for key in cells if "comment" in key)
        left_out["subjects of events"] += not _NOBODY.fullmatch(subject)
        left_out["modifiers of events"] += any(modifiers)
        if "start (s)" in cells:
            times = self._aggregated(cells)
        else:
            times = self._tabular(cells, (observation, subject, behavior, *modifiers))
        if times is None:
            return
        if times[0] > _EARLIEST_CLOCK:
            raise ValueError("times count from when the video was made: convert the project")
        start, end = times[0] - offset, times[1] - offset
        name, begin = _shown_at(start, media)
        if _shown_at(end, media, end=True)[0] != name:
            left_out["events that go on in the next media file"] += 1
            return
        self.reading.intervals_of(name).append(
            Marked(*of_milliseconds(start - begin, end - begin), behavior)
        )

    def _media(self, observation: str, cells: dict[str, str]) -> _Media:
        """The files of the first player: those of the source, or the one that the row names."""
        lengths = re.split(r"[|;]", _first_of(_LENGTH_COLUMNS, cells))
        place = _first_of(_FILE_COLUMNS, cells)
        named = [] if place in _NO_FILE else [("1", place)]
        if 1 < len(lengths) == len(places := place.split("|")):
            named = [(str(player), file.strip()) for player, file in enumerate(places, 1)]
        for cell in (place, cells.get("source", "")):
            sources = [_SOURCE.fullmatch(part.strip()) for part in cell.split("|")]
            if all(sources):
                named = [(one[1], name) for one in sources if one for name in one[2].split(";")]
        if len(lengths) != len(named):
            lengths = [""] * len(named)
        media = [
            _MediaFile(video_name(place), self._time(length) if _LENGTH.fullmatch(length) else None)
            for (player, place), length in zip(named, lengths, strict=True)
            if player == "1"
        ]
        if media and observation not in self.media:
            self.reading.left_out["further players"] += len({player for player, _ in named}) - 1
            for one in media:
                _note_length(self.reading, one.name, one.length)
        if media and self.media.setdefault(observation, media) != media:
            # The times go on from file to file, and the table does not hold how long each is.
            cause = f"observation {observation!r} has several media files: convert the project"
            raise ValueError(cause)
        return media

    def _time(self, cell: str) -> float:
        return finite(seconds_in(cell, self.delimiter))

    def _aggregated(self, cells: dict[str, str]) -> tuple[float, float] | None:
        if cells.get("behavior type", "STATE") != "STATE":
            return (time := self._time(cells["start (s)"])), time
        if "NA" in (cells["start (s)"], cells["stop (s)"]):
            self.reading.left_out["states without an end"] += 1
        else:
            return self._time(cells["start (s)"]), self._time(cells["stop (s)"])
        return None

    def _tabular(self, cells: dict[str, str], key: tuple[str, ...]) -> tuple[float, float] | None:
        status = cells.get("status") or cells.get("behavior type", "")
        time = self._time(cells["time"])
        if status == "START":
            self.reading.left_out["states without an end"] += key in self.begun
            self.begun[key] = time
        elif status == "STOP":
            if key not in self.begun:
                raise ValueError(f"{key[2]!r} stops, and has not begun")
            return self.begun.pop(key), time
        else:
            return time, time
        return None


def _first_of(columns: Iterable[str], cells: Mapping[str, str]) -> str:
    """The first of these cells that holds something."""
    return next((cells[column] for column in columns if cells.get(column)), "")
