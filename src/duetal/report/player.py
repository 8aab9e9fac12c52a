"""Render found actions as one HTML page on which the videos play over their timelines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.detections import Detections
from duetal.core.files import write_text
from duetal.core.grid import TimeGrid
from duetal.report.columns import quantise
from duetal.report.curves import MAX_CLASSES, MAX_POINTS
from duetal.report.html import Assets, render, versions
from duetal.report.marks import BranchMarks
from duetal.report.signals import BRANCHES

STYLES = ("style.css", "player.css")
#: The best detections of one video that the page holds.
MAX_SHOWN = 400
#: Where the videos may come from: the place of the page, and files where the page is one.
MEDIA = "'self' file:"


@dataclass(frozen=True)
class PlayedVideo:
    """What the page knows of a video besides its detections.

    Args:
        name: as the detections name it.
        duration: seconds.
        url: where it can be played from, percent-encoded, relative to the page; None where it
            can't be: its timeline is shown all the same.
        offset: what a player's clock says at the video's first picture, which our seconds count
            from.
        note: what a viewer should know of what is played, such as that it is a copy.
        curves: (T, K) probabilities by branch, K as the detections' classes.
    """

    name: str
    duration: float
    url: str | None = None
    offset: float = 0.0
    note: str = ""
    curves: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlayerPage:
    """The page but for its videos.

    Args:
        title: what was run.
        branch: whose detections these are; of none by name, those of all branches together.
        facts: what stands at the page's end, by name.
        failures: videos in which nothing was looked for, and why.
        floor: detections that score below are hidden until the reader lowers it.
        grid: of the curves.
    """

    title: str
    branch: str
    facts: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[tuple[str, str]] = ()
    floor: float = 0.0
    grid: TimeGrid = field(default_factory=TimeGrid)

    def write(self, path: Path, classes: Sequence[str], videos: Sequence[dict[str, Any]]) -> None:
        """Write the page.

        Args:
            path: the HTML file.
            classes: names, by the indices that `videos` speak of.
            videos: what `embed` gave of each.

        Raises:
            DuetalError: it can't be written.
        """
        found = [row for video in videos for row in video["detections"]]
        names = dict.fromkeys(branch for video in videos for branch in video["scores"])
        branches = BranchMarks.of([*BRANCHES, *names])
        with_curves, mark = branches.only(names), branches.mark(self.branch)
        data = {
            "classes": list(classes),
            "grid": {key: getattr(self.grid, key) for key in ("fps", "stride", "window")},
            "branches": with_curves.data(),
            "mark": mark,
            "floor": self.floor,
            "best": max((row[3] for row in found), default=1.0),
            "videos": list(videos),
        }
        html = render(
            "player.html.j2",
            Assets.read(STYLES, "player_page.js", media=MEDIA),
            data,
            page=self,
            videos=videos,
            found=sum(len(video["detections"]) + video["left"] for video in videos),
            left=sum(video["left"] for video in videos),
            branches=with_curves,
            mark=mark,
            max_shown=MAX_SHOWN,
            versions=versions(),
        )
        write_text(path, html)


def embed(
    video: PlayedVideo, detections: Detections, spoken: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """A video as the page holds it.

    Args:
        video: the video.
        detections: its own alone.
        spoken: (N,) which of them are written over the picture; all unless given.

    Returns:
        `{"name", "url", "offset", "duration", "note", "pool": snippets per point,
        "classes": [class, …] surest first, "scores": {branch: {class: base64 of one
        byte per point}}, "detections": [[class, start, end, score, spoken], …] by start,
        "left": how many more there are}`, classes as indices, times in seconds.
    """
    best_first = np.argsort(-detections.score, kind="stable")
    shown = best_first[:MAX_SHOWN]
    classes = list(dict.fromkeys(detections.label[shown].tolist()))
    curves = {branch: np.asarray(values, np.float32) for branch, values in video.curves.items()}
    length = max(map(len, curves.values()), default=0)
    if not classes and length:
        # Nothing was found: the curves of the class that came nearest say why.
        top = [values.max(axis=0) for values in curves.values() if len(values)]
        classes = [int(np.max(top, axis=0).argmax())]
    pool = max(1, math.ceil(length / MAX_POINTS))
    said = np.ones(len(detections), dtype=np.bool_) if spoken is None else spoken
    by_start = shown[np.lexsort((-detections.score[shown], detections.start[shown]))]
    return {
        "name": video.name,
        "url": video.url,
        "offset": round(video.offset, 6),
        "duration": round(video.duration, 3),
        "note": video.note,
        "pool": pool,
        "classes": classes,
        "scores": {
            branch: {label: quantise(values[:, label], pool) for label in classes[:MAX_CLASSES]}
            for branch, values in curves.items()
        },
        "detections": [_row(detections, row, bool(said[row])) for row in by_start],
        "left": len(detections) - len(shown),
    }


def _row(detections: Detections, row: int, spoken: bool) -> list[float]:
    """A detection as the scripts read it, to the millisecond."""
    start, end = round(float(detections.start[row]), 3), round(float(detections.end[row]), 3)
    score = float(f"{detections.score[row]:.4g}")
    return [int(detections.label[row]), start, end, score, int(spoken)]
