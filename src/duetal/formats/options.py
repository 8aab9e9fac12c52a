"""What some forms need to know that is not in their files, and frames by their rate."""

from dataclasses import dataclass
from pathlib import Path

from duetal.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What some forms need to know that is not in their files; the others ignore it."""

    #: Frames per second of the videos, for forms that count frames.
    fps: float | None = None
    #: The folder or address under which an annotation tool finds the videos.
    media_root: str = ""
    #: The suffix of the videos' files.
    media_suffix: str = ".mp4"
    #: ELAN's tier, VIA's attribute or Label Studio's control that holds the labels.
    tier: str | None = None

    def required_fps(self, path: Path) -> float:
        """The frames per second. Raises a UsageError where they were not given."""
        if self.fps is None:
            cause = "times are in frames: give frames per second (duetal convert --fps)"
            raise UsageError(cause, file=path)
        return self.fps


DEFAULT_OPTIONS = FormatOptions()


def seconds_of(first: float, last: float, fps: float) -> tuple[float, float]:
    """Start and end in seconds of the interval from the first to the last frame, counted from 1.

    The interval contains both: it begins when the first appears and ends when the last disappears.
    (The time grid of the features is another matter: `core.grid`.)
    """
    return (first - 1) / fps, last / fps


def frames_of(start: float, end: float, fps: float) -> tuple[int, int]:
    """The first and last frame of the interval nearest to the given one; one frame at least."""
    first = max(1, round(start * fps) + 1)
    return first, max(first, round(end * fps))
