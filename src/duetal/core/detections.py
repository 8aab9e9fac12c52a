"""What a model found: which action, from when to when, how sure."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError


@dataclass(frozen=True)
class Detections:
    """Detections of many videos, one row each, as columns.

    Args:
        videos: names of the videos that were looked at, with or without detections.
        classes: class names.
        video: (N,) indices into `videos`.
        label: (N,) indices into `classes`.
        start: (N,) seconds.
        end: (N,) seconds.
        score: (N,) confidence, higher is surer.
        source: the file it was read from, for error messages.
    """

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    video: NDArray[np.int64]
    label: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    score: NDArray[np.float64]
    source: Path | None = None

    def __post_init__(self) -> None:
        sizes = {len(c) for c in (self.video, self.label, self.start, self.end, self.score)}
        if len(sizes) != 1:
            raise ValueError(f"columns of different lengths: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.score)

    def require_finite(self) -> None:
        """Check that every segment and score is a number: NaN has no order to sort by.

        Raises:
            DuetalError: one is NaN or infinite; names its video.
        """
        columns = np.stack([self.start, self.end, self.score])
        bad = np.flatnonzero(~np.isfinite(columns).all(axis=0))
        if len(bad):
            place = f"video {self.videos[self.video[bad[0]]]!r}"
            cause = "a detection's segment or score is not a finite number"
            raise DuetalError(cause, file=self.source, place=place)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Detections":
        """The chosen rows, in the given order; videos and classes unchanged."""
        return Detections(
            self.videos,
            self.classes,
            self.video[rows],
            self.label[rows],
            self.start[rows],
            self.end[rows],
            self.score[rows],
            self.source,
        )

    @staticmethod
    def from_rows(
        rows: Iterable[tuple[str, str, float, float, float]],
        *,
        videos: Iterable[str] = (),
        classes: Iterable[str] = (),
        source: Path | None = None,
    ) -> "Detections":
        """Build from `(video, label, start, end, score)` rows; unseen names are appended."""
        video_index = {name: i for i, name in enumerate(videos)}
        class_index = {name: i for i, name in enumerate(classes)}
        columns: tuple[list[int], list[int], list[float], list[float], list[float]]
        columns = ([], [], [], [], [])
        for video, label, start, end, score in rows:
            columns[0].append(video_index.setdefault(video, len(video_index)))
            columns[1].append(class_index.setdefault(label, len(class_index)))
            columns[2].append(start)
            columns[3].append(end)
            columns[4].append(score)
        return Detections(
            tuple(video_index),
            tuple(class_index),
            np.array(columns[0], dtype=np.int64),
            np.array(columns[1], dtype=np.int64),
            np.array(columns[2], dtype=np.float64),
            np.array(columns[3], dtype=np.float64),
            np.array(columns[4], dtype=np.float64),
            source,
        )
