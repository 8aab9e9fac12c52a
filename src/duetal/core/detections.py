"""What a model found: which action, from when to when, how sure."""

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
        external_data: facts about how the detections came to be, as a results file states them;
            `selection` is the rule that chose the checkpoint.
        left_out: what the source says beside this, one line each with a count.
    """

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    video: NDArray[np.int64]
    label: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    score: NDArray[np.float64]
    source: Path | None = None
    external_data: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

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
        finite = np.isfinite(self.start) & np.isfinite(self.end) & np.isfinite(self.score)
        bad = np.flatnonzero(~finite)
        if len(bad):
            place = f"video {self.videos[self.video[bad[0]]]!r}"
            cause = "a detection's segment or score is not a finite number"
            raise DuetalError(cause, file=self.source, place=place)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Detections":
        """The chosen rows, in the given order; videos and classes unchanged."""
        return replace(
            self,
            video=self.video[rows],
            label=self.label[rows],
            start=self.start[rows],
            end=self.end[rows],
            score=self.score[rows],
        )

    @staticmethod
    def from_rows(
        rows: Iterable[tuple[str, str, float, float, float]],
        *,
        videos: Iterable[str] = (),
        classes: Iterable[str] = (),
        source: Path | None = None,
        on_name: Callable[[str], object] = lambda _: None,
    ) -> "Detections":
        """Build from `(video, label, start, end, score)` rows; unseen names are appended.

        Args:
            rows: in seconds.
            videos: those to begin with.
            classes: those to begin with.
            source: the file they are from.
            on_name: called with each unseen name of a video or class before it is kept.
        """
        video_index = {name: i for i, name in enumerate(dict.fromkeys(videos))}
        class_index = {name: i for i, name in enumerate(dict.fromkeys(classes))}

        def index(indices: dict[str, int], name: str) -> int:
            known = indices.get(name)
            if known is None:
                on_name(name)
                known = indices[name] = len(indices)
            return known

        # Arrays of machine numbers: a list of Python's would take four times the memory.
        columns = (array("q"), array("q"), array("d"), array("d"), array("d"))
        for video, label, start, end, score in rows:
            columns[0].append(index(video_index, video))
            columns[1].append(index(class_index, label))
            columns[2].append(start)
            columns[3].append(end)
            columns[4].append(score)
        return Detections(
            tuple(video_index),
            tuple(class_index),
            # They share the arrays' memory.
            np.frombuffer(columns[0], dtype=np.int64),
            np.frombuffer(columns[1], dtype=np.int64),
            np.frombuffer(columns[2], dtype=np.float64),
            np.frombuffer(columns[3], dtype=np.float64),
            np.frombuffer(columns[4], dtype=np.float64),
            source,
        )
