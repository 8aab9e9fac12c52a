"""The time grid: the one place where snippets become seconds and seconds become snippets."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

#: What frame rates there are, and frames in a snippet: sums of others are no times.
FPS = (1e-3, 1e6)
MOST_FRAMES = 10**9


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """Snippets laid over a video of fixed frame rate.

    A field of a record or of a YAML file as it is: pydantic checks the bounds of a file's values.
    Snippet `t` covers the frames `[t * stride, t * stride + window)`. A detection that spans the
    snippets `[a, b)` lasts from `edge(a)` to `edge(b)`.
    """

    #: Frames per second after resampling.
    fps: Annotated[float, Field(ge=FPS[0], le=FPS[1])] = 25.0
    #: Frames from one snippet's start to the next one's.
    stride: Annotated[int, Field(gt=0, le=MOST_FRAMES)] = 16
    #: Frames that one snippet sees.
    window: Annotated[int, Field(gt=0, le=MOST_FRAMES)] = 16

    @property
    def seconds_per_snippet(self) -> float:
        """Seconds from one snippet's start to the next one's."""
        return self.stride / self.fps

    def start(self, snippet: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Seconds at which each snippet's window begins."""
        return np.asarray(snippet, dtype=np.float64) * self.stride / self.fps

    def centre(self, snippet: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Seconds of the middle of each snippet's window."""
        return (np.asarray(snippet, dtype=np.float64) * self.stride + self.window / 2) / self.fps

    def edge(self, place: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Seconds of places between snippets: `t` is midway between the centres of t - 1 and t.

        It is `start` where a window is as long as the stride. A longer window sees an action before
        the snippet's start reaches it, so that `start` would place every border too early. No edge
        is before the first snippet, as one of short windows would be.
        """
        return np.maximum(self.centre(np.asarray(place, dtype=np.float64) - 0.5), 0.0)

    def place(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The places between snippets whose `edge` is at these seconds; of later ones than 0."""
        return (seconds * self.fps - self.window / 2) / self.stride + 0.5

    def length(self, duration: float) -> int:
        """Snippets whose whole window lies in a video of `duration` seconds."""
        return self.snippets(self.frames(duration))

    def longest(self, length: int) -> float:
        """Seconds in which a video of `length` snippets ends at the latest."""
        return (length * self.stride + self.window) / self.fps

    def frames(self, duration: float) -> int:
        """Frames of a video of `duration` seconds, resampled to `fps`."""
        return round(duration * self.fps)

    def snippets(self, frames: int) -> int:
        """Snippets whose whole window lies in `frames` frames; the last may belong to none."""
        return max(0, (frames - self.window) // self.stride + 1)

    def nearest(self, seconds: NDArray[np.float64], length: int) -> NDArray[np.intp]:
        """The snippets of T = `length` whose centres are nearest to moments."""
        snippet = np.rint((seconds * self.fps - self.window / 2) / self.stride)
        return snippet.clip(0, length - 1).astype(np.intp)

    def cover(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], length: int
    ) -> NDArray[np.bool_]:
        """(T,) which of T = `length` snippets have their centre in a segment (seconds)."""
        centres = self.centre(np.arange(length))[:, None]
        inside = (centres >= starts) & (centres < ends)
        return np.asarray(inside.any(axis=1), dtype=np.bool_)
