"""Detections of a video that has not ended: each is given once, when its action has ended.

What has come of the video, up to a chosen length, is localized again and again as a video of its
own. A detection that ends `delay` seconds before the newest snippet has been seen with all that
surrounds it. It is given, and stays, unless a better one of its class that overlaps it has not
ended: then it may be a fragment of that. So the more delay, the more the result is that of the
whole video, and memory depends on the length that is kept alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.core.array_types import Floats, Ints
from duetal.core.errors import UsageError
from duetal.core.grid import TimeGrid
from duetal.localization.proposals import VideoDetections, temporal_iou
from duetal.runs.localizing import open_localizer
from duetal.runs.run import Run
from duetal.runs.stage_scoring import Localized

#: Looks in the time of one delay.
_LOOKS = 4


@dataclass(frozen=True, slots=True)
class LiveDetection:
    """An action that has ended."""

    label: str
    start: float  #: Seconds of the stream.
    end: float
    score: float
    told: float  #: Seconds of the stream up to which it had been seen when this was told.


class LiveStream:
    """The newest snippets of one stream of features, as the video that they are by now."""

    def __init__(self, dim: int, kept: int = 0, place: Path = Path("live")):
        self.dim, self._kept, self._place = dim, kept, place
        self._rows = np.empty((0, dim), np.float32)

    def add(self, rows: NDArray[np.floating]) -> None:
        """Take the next rows (n, C)."""
        self._rows = np.concatenate([self._rows, rows.astype(np.float32)])[-self._kept :]

    def length(self, name: str) -> int:
        """Snippets that are kept."""
        return len(self._rows)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """(T, C) of the snippets that are kept."""
        return self._rows[start:stop]

    def path(self, name: str) -> Path:
        """Where they come from."""
        return self._place


@dataclass(eq=False)
class LiveVideo:
    """The newest snippets of all streams; `duetal.runs.stage_scoring.Videos`."""

    source: Path
    streams: Mapping[str, LiveStream]
    grid: TimeGrid
    begin: float = 0.0  #: Seconds at which the first snippet begins.
    text_encoder: str | None = None
    seen: int = 0  #: Snippets that have come.

    def length(self) -> int:
        """Snippets that are kept."""
        return next(iter(self.streams.values())).length("")

    def offset(self, name: str) -> float:
        """Seconds at which the first snippet that is kept begins."""
        return self.begin + (self.seen - self.length()) * self.grid.seconds_per_snippet

    def duration(self, name: str) -> None:
        """Not known."""


class LiveLocalizer:
    """Finds actions with a trained run while the features of a video come.

    Args:
        run: the trained run.
        stages: its checkpoints that find the actions, as of `localize`.
        delay: seconds after an action's end by which it is told, at the latest.
        history: seconds of the video that are kept.
        begin: seconds on the clock of the detections at which the video begins.
        source: the video, for error messages.
        device: where to compute.
        literal: see `LocalizationSettings.literal`.

    Raises:
        UsageError: a delay in which no end can be seen, or that is longer than half of the history.
        DuetalError: a checkpoint that is damaged or does not fit.
    """

    def __init__(
        self,
        run: Run,
        stages: list[str],
        *,
        delay: float = 4.0,
        history: float = 120.0,
        begin: float = 0.0,
        source: Path = Path("live"),
        device: torch.device | str = "cpu",
        literal: bool = False,
    ):
        grid = run.model.grid
        step = grid.seconds_per_snippet
        least = 2 * step
        if not least <= delay <= history / 2:
            cause = f"must be from {least:g} s (two snippets) to half of the {history:g} s kept"
            raise UsageError(f"delay: {cause}, not {delay:g}")
        self.run, self.delay = run, delay
        #: Snippets between two looks.
        self.every = max(1, int(delay / step / _LOOKS))
        kept = int(np.ceil(history / step))
        dims = {branch.name: branch.dim for branch in run.model.branches}
        streams = {name: LiveStream(dim, kept, source) for name, dim in dims.items()}
        self._video = LiveVideo(source, streams, grid, begin)
        settings = run.config.localization
        self._settings = settings.literal() if literal else settings
        self._open: Callable[[], Callable[[str], Localized]] = lambda: open_localizer(
            run, stages, self._video, settings=self._settings, names=("live",), device=device
        )
        # What counts over a video has to count anew.
        self._localizer = None if run.make_scorer else self._open()
        self._waiting = 0  # Snippets that have come since the last look.
        self._settled = -np.inf  # What ended until then has been told.
        #: Label, start and end of what was told and is not yet forgotten.
        self.remembered: list[tuple[int, float, float]] = []

    @property
    def seconds(self) -> float:
        """Seconds of the stream that have come."""
        return self._video.begin + float(self._video.grid.edge(np.array(self._video.seen)))

    @property
    def kept(self) -> int:
        """Snippets that are kept."""
        return self._video.length()

    def add(self, rows: Mapping[str, NDArray[np.floating]] | None) -> list[LiveDetection]:
        """Take the features (C,) of the next snippet by branch; give what has ended.

        None is a snippet that was lost: it looks like the one before.
        """
        for name, stream in self._video.streams.items():
            stream.add(stream.read("", -1) if rows is None else rows[name][None])
        self._video.seen += 1
        self._waiting += 1
        if self._waiting < self.every or not self._video.length():
            return []
        return self._look(self.seconds - self.delay + self.every * self._step)

    def finish(self) -> list[LiveDetection]:
        """The stream has ended; give what is left."""
        return self._look(np.inf) if self._video.length() else []

    @property
    def _step(self) -> float:
        return self._video.grid.seconds_per_snippet

    def _look(self, settled: float) -> list[LiveDetection]:
        """Localize what is kept; give what ended until `settled`, and had not been told before."""
        self._waiting = 0
        localizer = self._localizer or self._open()
        found = localizer("live").detections
        now = self.seconds
        new = [row for row in range(len(found)) if self._is_settled(found, row, settled)]
        label, start, end = found.label[new], found.start[new], found.end[new]
        score = found.score[new] * self._kept_of(label, start, end)
        self._settled = settled
        oldest = self._video.offset("live")
        told = list(zip(label.tolist(), start.tolist(), end.tolist(), strict=True))
        self.remembered = [one for one in self.remembered if one[2] > oldest] + told
        return [
            LiveDetection(self.run.model.classes[one[0]], one[1], one[2], value, now)
            for one, value in zip(told, score.tolist(), strict=True)
            if value >= self._settings.min_score
        ]

    def _is_settled(self, found: VideoDetections, row: int, until: float) -> bool:
        """Whether a detection ended in the time that is new, and no better one takes it in."""
        if not self._settled < found.end[row] <= until:
            return False
        shares = (found.start < found.end[row]) & (found.label == found.label[row])
        return not bool((shares & (found.end > until) & (found.score > found.score[row])).any())

    def _kept_of(self, label: Ints, start: Floats, end: Floats) -> Floats:
        """(N,) what is left of the scores of detections beside those that have been told."""
        told = np.array(self.remembered, dtype=np.float64).reshape(-1, 3)
        tiou = temporal_iou(start, end, told[:, 1], told[:, 2]) * (label[:, None] == told[:, 0])
        return np.asarray(np.exp(-(tiou**2).sum(axis=1) / self._settings.nms_sigma))
