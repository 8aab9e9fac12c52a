"""Frames counted from 1, as annotation tools show them, and seconds.

An interval from frame a to frame b contains both: it begins when a appears, `(a - 1) / fps`, and
ends when b disappears, `b / fps`. (The time grid of the features is another matter: `core.grid`.)
"""


def seconds_of(first: float, last: float, fps: float) -> tuple[float, float]:
    """Start and end in seconds of the interval from the first to the last frame."""
    return (first - 1) / fps, last / fps


def frames_of(start: float, end: float, fps: float) -> tuple[int, int]:
    """The first and last frame of the interval nearest to the given one; one frame at least."""
    first = max(1, round(start * fps) + 1)
    return first, max(first, round(end * fps))
