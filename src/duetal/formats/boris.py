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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats.boris_tables import read_table
from duetal.formats.json_stream import members
from duetal.formats.json_values import (
    FAULTS,
    a_finite_number,
    a_list,
    a_string,
    an_object,
    consumed,
    faults_at,
    located,
)
from duetal.formats.marked import Marked, MarkedVideo, as_annotations
from duetal.formats.media import video_name
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions
from duetal.formats.sniffing import head


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read the state events of a project, or of a table exported from one.

    Left out, and counted, are point events, states without an end, modifiers, subjects and
    comments, observations without a media file, and players beyond the first.

    Args:
        path: a `.boris` project, or a table separated by tabs or commas.
        options: not used.
        report: takes the error of each observation that is malformed.

    Raises:
        DuetalError: not of these forms; or in a project a time in a second media file while the
            first one's length is unknown; names the observation or line.
    """
    if not head(path).startswith("{"):
        return read_table(path, report)
    project = _Project()
    for keys, value in members(path, {"observations", "behaviors_conf"}, report=report):
        if len(keys) == 1:
            project.parts.add(str(keys[0]))
        elif len(keys) == 2:
            try:
                project.add(str(keys[0]), str(keys[1]), an_object(value))
            except FAULTS as error:
                report(located(error, path, f"{keys[0]} {keys[1]!r}"))
    if not project.parts >= {"observations", "behaviors_conf"}:
        raise DuetalError("not a BORIS project: no 'observations' or 'behaviors_conf'", file=path)
    return project.annotations(path)


@dataclass
class _Project:
    parts: set[str] = field(default_factory=set)
    states: dict[str, bool] = field(default_factory=dict)
    observations: list["_Observation"] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, part: str, key: str, value: dict[str, Any]) -> None:
        """Take one behavior of the ethogram, or one observation."""
        if part == "behaviors_conf":
            kind = a_string(value["type"], "'type'").upper()
            self.states[a_string(value["code"], "'code'")] = "STATE" in kind
        elif value.get("type") != "MEDIA":
            self.left_out["observations without media files"] += 1
        else:
            self.observations.append(_observation(key, value, self.left_out))

    def annotations(self, path: Path) -> Annotations:
        """Bring the observations together, those of one video as one."""
        videos: dict[str, list[Marked]] = {}
        durations: dict[str, float] = {}
        for observation in self.observations:
            for name, length in observation.media:
                videos.setdefault(name, [])
                if length is not None:
                    durations[name] = length
            with faults_at(path, f"observation {observation.name!r}"):
                for name, marked in observation.states(self.states, self.left_out):
                    videos[name].append(marked)
        states = [code for code, is_state in self.states.items() if is_state]
        listed = (
            MarkedVideo(name, sorted(videos.pop(name)), durations.get(name))
            for name in list(videos)
        )
        return as_annotations(listed, path, classes=states, left_out=self.left_out)


@dataclass
class _Observation:
    """An observation: its first player's files with their lengths, and its events."""

    name: str
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


def _observation(key: str, value: dict[str, Any], left_out: Counter[str]) -> _Observation:
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
    return _Observation(key, media, sorted(events, key=lambda event: event[0]))
