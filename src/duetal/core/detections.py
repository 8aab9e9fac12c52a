"""Detections: which action, from when to when, with what score."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.tables import MAX_ROWS, data_frame, html_table

COLUMNS = ("video", "label", "start", "end", "score")


@dataclass(frozen=True, repr=False)
class Detections:
    """Detections of many videos, one row each, as columns."""

    videos: tuple[str, ...]  #: Names of the videos searched, with or without detections.
    classes: tuple[str, ...]  #: Class names.
    video: NDArray[np.int64]  #: (N,) indices into `videos`.
    label: NDArray[np.int64]  #: (N,) indices into `classes`.
    start: NDArray[np.float64]  #: (N,) seconds.
    end: NDArray[np.float64]  #: (N,) seconds.
    score: NDArray[np.float64]  #: (N,) confidence.
    source: Path | None = None  #: The file it was read from, for error messages.
    #: How the detections were made, as in a results file; `selection` is the rule that chose the
    #: checkpoint.
    external_data: Mapping[str, Any] = field(default_factory=dict)
    #: Content of the source that has no place here, one line each with a count.
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = {len(c) for c in (self.video, self.label, self.start, self.end, self.score)}
        if len(sizes) != 1:
            raise ValueError(f"columns of different lengths: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.score)

    def __repr__(self) -> str:
        return (
            f"<Detections: {len(self):,} of {len(self.classes):,} classes "
            f"in {len(self.videos):,} videos>"
        )

    def _repr_html_(self) -> str:
        best = np.argsort(-self.score, kind="stable")[:MAX_ROWS]
        rows = [
            (self.videos[video], self.classes[label], start, end, score)
            for video, label, start, end, score in zip(
                *(getattr(self, name)[best].tolist() for name in COLUMNS), strict=True
            )
        ]
        return html_table(f"{self!r}, by score".strip("<>"), COLUMNS, rows, len(self))

    def to_frame(self) -> Any:
        """The rows as a `pandas.DataFrame`: video, label, start, end (seconds), score.

        Raises:
            UsageError: pandas is not installed.
        """
        names = {
            "video": np.array(self.videos, dtype=object)[self.video],
            "label": np.array(self.classes, dtype=object)[self.label],
        }
        return data_frame({name: names.get(name, getattr(self, name)) for name in COLUMNS})

    def require_finite(self) -> None:
        """Check that every segment and score is finite.

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
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def renamed(self, videos: Mapping[str, str], classes: Mapping[str, str]) -> "Detections":
        """The same with other names of videos and classes, by their names here."""
        return replace(
            self,
            videos=tuple(videos.get(name, name) for name in self.videos),
            classes=tuple(classes.get(name, name) for name in self.classes),
        )

    @staticmethod
    def from_rows(
        rows: Iterable[tuple[str, str, float, float, float]],
        *,
        videos: Iterable[str] = (),
        classes: Iterable[str] = (),
        source: Path | None = None,
    ) -> "Detections":
        """Build from `(video, label, start, end, score)` rows, in seconds.

        `videos` and `classes` are the first names; others in the rows follow them.
        """
        video_index = {name: i for i, name in enumerate(dict.fromkeys(videos))}
        class_index = {name: i for i, name in enumerate(dict.fromkeys(classes))}
        # Arrays of machine numbers: a list of Python numbers takes four times the memory.
        columns = (array("q"), array("q"), array("d"), array("d"), array("d"))
        for video, label, start, end, score in rows:
            columns[0].append(video_index.setdefault(video, len(video_index)))
            columns[1].append(class_index.setdefault(label, len(class_index)))
            columns[2].append(start)
            columns[3].append(end)
            columns[4].append(score)
        # They share the arrays' memory.
        videos_of, labels = (np.frombuffer(column, dtype=np.int64) for column in columns[:2])
        starts, ends, scores = (np.frombuffer(column, dtype=np.float64) for column in columns[2:])
        names = tuple(video_index), tuple(class_index)
        return Detections(*names, videos_of, labels, starts, ends, scores, source)
