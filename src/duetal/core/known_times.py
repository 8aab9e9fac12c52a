"""When things happen in a training video, as far as a person has said so."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from duetal.core.grid import TimeGrid
from duetal.core.settings_section import Settings


class LabelUse(StrEnum):
    """Which labels of the training videos are learnt from."""

    VIDEO = "video"
    POINTS = "points"
    SEGMENTS = "segments"


class LabelSettings(Settings):
    """Which labels are learnt from."""

    use: LabelUse = LabelUse.VIDEO
    """[D] `video`: which classes each video contains, and no time of anything. `points`: also
    moments inside of actions, and stretches that were looked through. `segments`: also actions from
    start to end. Each takes what the training table says or, where that has no times, the
    annotations."""


@dataclass(frozen=True, slots=True)
class KnownTimes:
    """What is known of one video: seconds after its first snippet begins, classes by index.

    Of each class all is known in the stretches of `complete`, and nothing outside of them.
    """

    points: tuple[tuple[float, int], ...] = ()  #: A moment inside of an action.
    segments: tuple[tuple[float, float, int], ...] = ()  #: Actions.
    absent: tuple[tuple[float, float, int], ...] = ()  #: Stretches without a class.
    #: Stretches in which nothing of a class happens but its points and segments.
    complete: tuple[tuple[float, float, int], ...] = ()

    def of_class(self, column: int, grid: TimeGrid, length: int) -> "ClassTimes":
        """What is known of a class, on a grid of T = `length` snippets."""

        def covered(rows: tuple[tuple[float, float, int], ...]) -> NDArray[np.bool_]:
            own = [(start, end) for start, end, label in rows if label == column]
            starts, ends = np.array(own, dtype=np.float64).reshape(-1, 2).T
            found = grid.cover(starts, ends, length)
            # What is shorter than a snippet is of the nearest one.
            bounded = np.isfinite(starts) & np.isfinite(ends)
            found[grid.nearest((starts[bounded] + ends[bounded]) / 2, length)] = True
            return found

        points = grid.nearest(np.array([at for at, k in self.points if k == column]), length)
        return ClassTimes(
            np.unique(points), covered(self.segments), covered(self.absent), covered(self.complete)
        )


@dataclass(frozen=True, slots=True)
class ClassTimes:
    """What is known of one class in one video, in snippets."""

    points: NDArray[np.intp]  #: (P,) rising.
    segments: NDArray[np.bool_]  #: (T,) inside of an action.
    absent: NDArray[np.bool_]  #: (T,) outside of all.
    complete: NDArray[np.bool_]  #: (T,) outside of all but the points' and the segments'.
