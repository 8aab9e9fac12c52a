"""What some forms need to know that is not in their files."""

from dataclasses import dataclass
from pathlib import Path

from duetal.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What some forms need to know that is not in their files; the others ignore it.

    Args:
        fps: frames per second of the videos, for forms that count frames.
        media_root: the folder or address under which an annotation tool finds the videos.
        media_suffix: the suffix of the videos' files.
        tier: the tier (ELAN) or attribute (VIA) that holds the labels, where there are several.
    """

    fps: float | None = None
    media_root: str = ""
    media_suffix: str = ".mp4"
    tier: str | None = None

    def required_fps(self, path: Path) -> float:
        """The frames per second.

        Raises:
            UsageError: they were not given.
        """
        if self.fps is None:
            cause = "times are in frames: give frames per second (duetal convert --fps)"
            raise UsageError(cause, file=path)
        return self.fps


DEFAULT_OPTIONS = FormatOptions()
