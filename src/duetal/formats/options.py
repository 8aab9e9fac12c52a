"""What some forms need to know that is not in their files, and frames by their rate."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from duetal.core.errors import DuetalError, UsageError
from duetal.core.video_names import composed
from duetal.formats.delimited import read_lines
from duetal.formats.json_values import a_string


class FrameClock(NamedTuple):
    """How a video's own pictures are counted: so many a second, from when on a player's clock."""

    rate: float  #: Pictures a second.
    offset: float = 0.0  #: Seconds that a player's clock shows at the first picture.


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What some forms need to know that is not in their files; the others ignore it."""

    #: Frames per second of the videos, for forms that count frames.
    fps: float | None = None
    #: The clocks of videos by their names, for forms that count each video's own frames; they
    #: count before `fps`.
    videos: Mapping[str, FrameClock] = field(default_factory=dict)
    #: The folder or address under which an annotation tool finds the videos.
    media_root: str = ""
    #: The suffix of the videos' files.
    media_suffix: str = ".mp4"
    #: What holds the labels: ELAN's tier, the attribute of VIA or CVAT, FiftyOne's field, Label
    #: Studio's control, BORIS's independent variable.
    tier: str | None = None

    #: The classes by their numbers, for files that name them so.
    classes: Mapping[int, str] | None = None

    def label(self, value: Any) -> str:
        """The class that a label names; by its number, if the classes were given.

        Raises:
            TypeError, ValueError: it is no name, or the number of no class.
        """
        spelled = isinstance(value, str) and value.isdecimal() and self.classes is not None
        if type(value) is not int and not spelled:
            return intern(composed(a_string(value, "'label'")))
        if self.classes is None:
            cause = f"{value} is the number of a class: give the list of classes"
            raise ValueError(f"{cause} (duetal convert --class-list)")
        if int(value) not in self.classes:
            raise ValueError(f"{value} is the number of no class in the list")
        return self.classes[int(value)]

    def required_fps(self, path: Path) -> float:
        """The frames per second. Raises a UsageError where they were not given."""
        if self.fps is None:
            cause = "times are in frames: give frames per second (duetal convert --fps)"
            raise UsageError(cause, file=path)
        return self.fps

    def clock(self, name: str) -> FrameClock | None:
        """How the frames of a video are counted; None where that is not known."""
        return self.videos.get(name) or (None if self.fps is None else FrameClock(self.fps))

    def required_clock(self, name: str, path: Path) -> FrameClock:
        """How the frames of a video are counted. Raises a UsageError where that is not known."""
        clock = self.clock(name)
        if clock is None:
            cause = "times are in frames: give the videos (duetal convert --videos), or --fps"
            raise UsageError(cause, file=path, place=f"video {name!r}")
        return clock


DEFAULT_OPTIONS = FormatOptions()


def read_class_numbers(path: Path) -> dict[int, str]:
    """Read a list of classes, one a line: with its number before it, or numbered from 0.

    Raises:
        DuetalError: unreadable, empty, or with a number twice.
    """
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    found = [re.fullmatch(r"([0-9]{1,9})[\s,;:]+(.+)", line) for line in lines]
    pairs = [(int(one[1]), intern(one[2])) for one in found if one]
    if len(pairs) < len(lines):
        pairs = list(enumerate(map(intern, lines)))
    if not pairs or len(dict(pairs)) < len(pairs):
        cause = "gives a number to two classes" if pairs else "is empty"
        raise DuetalError(cause, file=path)
    return dict(pairs)


def seconds_of(first: float, last: float, fps: float) -> tuple[float, float]:
    """Start and end in seconds of the interval from the first to the last frame, counted from 1.

    The interval contains both: it begins when the first appears and ends when the last disappears.
    A single frame is a moment: its middle. (The time grid of the features is another matter:
    `core.grid`.)
    """
    start, end = (first - 1) / fps, last / fps
    return (start, end) if last > first else ((start + end) / 2,) * 2


def frames_of(start: float, end: float, fps: float) -> tuple[int, int]:
    """The first and last frame of the interval nearest to the given one; a moment's is its own."""
    if end <= start:
        return (max(1, math.floor(start * fps) + 1),) * 2
    first = max(1, round(start * fps) + 1)
    return first, max(first, round(end * fps))
