"""Segments that no video can have, and how many there are of each kind."""

from collections.abc import Callable, Sequence

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.array_types import Bools, Floats
from duetal.core.detections import Detections
from duetal.core.grid import TimeGrid

#: Each kind, of one segment and of several; a segment is of the first that applies.
KINDS = (
    ("ends before it begins", "end before they begin"),
    ("has no length", "have no length"),
    ("begins before its video", "begin before their video"),
    ("lies behind its video's end", "lie behind their video's end"),
    ("ends after its video", "end after their video"),
)

#: Seconds by which a segment may end after its video: durations are rounded.
SLACK = TimeGrid().seconds_per_snippet


def segment_kinds(
    start: Floats, end: Floats, duration: Floats, slack: float = SLACK
) -> dict[str, Bools]:
    """(N,) by the kinds' first names: which segments are of it.

    `start`, `end` and `duration` (of the video, infinite where it is unknown) are (N,) seconds.
    """
    tests = (
        end < start,
        end == start,
        start < 0,
        (start >= duration) & (end > duration + slack),
        end > duration + slack,
    )
    kinds = {}
    left = np.ones(len(start), dtype=np.bool_)
    for (name, _), test in zip(KINDS, tests, strict=True):
        kinds[name] = test & left
        left &= ~test
    return kinds


def describe_kinds(
    kinds: dict[str, Bools], what: str, place: Callable[[int], str], *, but: Sequence[str] = ()
) -> str:
    """Such as "1 segment ends before it begins (video 'v', 6 to 2 s)"; empty where all is well.

    `what` is one of the things counted, `place` gives where a row lies and what it is, and `but`
    are kinds that do not matter here.
    """
    parts: list[str] = []
    for one, several in KINDS:
        rows = np.flatnonzero(kinds[one])
        if not len(rows) or one in but:
            continue
        thing = "" if parts else f" {what}" if len(rows) == 1 else f" {what}s"
        first = "" if len(rows) == 1 else "the first: "
        kind = one if len(rows) == 1 else several
        parts.append(f"{len(rows):,}{thing} {kind} ({first}{place(int(rows[0]))})")
    return ", ".join(parts)


def span(start: float, end: float, duration: float = np.inf) -> str:
    """Such as "103.2 to 106.4 s of 8 s"."""
    of = f" of {duration:g} s" if np.isfinite(duration) else ""
    return f"{start:g} to {end:g} s{of}"


def segment_note(content: Annotations | Detections, *, but: Sequence[str] = ()) -> str:
    """What `describe_kinds` says of the segments of annotations, or of detections."""
    if isinstance(content, Detections):
        names = [content.videos[video] for video in content.video.tolist()]
        start, end, duration = content.start, content.end, np.full(len(content), np.inf)
    else:
        rows = [(video, segment) for video in content for segment in video.segments or ()]
        names = [video.name for video, _ in rows]
        start, end = (np.array([getattr(s, at) for _, s in rows]) for at in ("start", "end"))
        duration = np.array([np.inf if v.duration is None else v.duration for v, _ in rows])

    def place(row: int) -> str:
        return f"video {names[row]!r}, {span(start[row], end[row], duration[row])}"

    what = "detection" if isinstance(content, Detections) else "segment"
    return describe_kinds(segment_kinds(start, end, duration), what, place, but=but)
