"""Render detected actions as one HTML page that plays the videos above their timelines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.detections import Detections
from duetal.core.files import without_folders, write_text
from duetal.core.grid import TimeGrid
from duetal.pages.columns import quantise
from duetal.pages.curves import MAX_CLASSES, MAX_POINTS
from duetal.pages.html import render
from duetal.pages.marks import BranchMarks

STYLES = ("style.css", "player.css")
#: The best detections of one video that the page holds.
MAX_SHOWN = 400
#: Sources of the videos: the page's own, and files if the page is a file.
MEDIA = "'self' file:"


@dataclass(frozen=True)
class PlayedVideo:
    """A video on the page, without its detections."""

    name: str  #: As the detections name it.
    duration: float  #: Seconds from the begin of the first picture to the end of the last.
    #: Its address, percent-encoded, relative to the page; None if it can't be played: its timeline
    #: is still shown.
    url: str | None = None
    begin: float = 0.0  #: Seconds of the first picture on the clock of the detections.
    offset: float = 0.0  #: Seconds of the first picture on the clock of the file that is played.
    rate: float = 25.0  #: Pictures a second.
    note: str = ""  #: A remark on the file that is played, such as that it is a copy.
    #: (T, K) probabilities by branch, K as the detections' classes.
    curves: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlayerPage:
    """The page without its videos."""

    title: str  #: Of the run.
    branch: str  #: That the detections come from; any other name: all branches together.
    facts: Mapping[str, str] = field(default_factory=dict)  #: At the page's end, by name.
    files: Sequence[str] = ()  #: The detections' files, relative to the page.
    failures: Sequence[tuple[str, str]] = ()  #: Videos that could not be processed, and why.
    floor: float = 0.0  #: Detections that score below are hidden until the reader lowers it.
    grid: TimeGrid = field(default_factory=TimeGrid)  #: Of the curves.
    #: Title by name of each branch of the run, in its order.
    branches: Mapping[str, str] = field(default_factory=dict)

    def write(self, path: Path, classes: Sequence[str], videos: Sequence[dict[str, Any]]) -> None:
        """Write the HTML page of videos, results of `embed`, and of the classes by index.

        Raises:
            DuetalError: it can't be written.
        """
        found = [row for video in videos for row in video["detections"]]
        names = dict.fromkeys(branch for video in videos for branch in video["scores"])
        known = dict(self.branches) or {name: name.upper() for name in names}
        branches = BranchMarks.of(known)
        with_curves, mark = branches.only(names), branches.mark(self.branch)
        data = {
            "classes": list(classes),
            "grid": asdict(self.grid),
            "branches": with_curves.data(),
            "mark": mark,
            "floor": self.floor,
            "best": max((row[3] for row in found), default=1.0),
            "videos": list(videos),
        }
        html = render(
            "player.html.j2",
            data,
            styles=STYLES,
            script="player_page.js",
            media=MEDIA,
            page=replace(
                self,
                facts={name: without_folders(value) for name, value in self.facts.items()},
                failures=[(name, without_folders(reason)) for name, reason in self.failures],
            ),
            videos=videos,
            found=sum(len(video["detections"]) + video["left"] for video in videos),
            left=sum(video["left"] for video in videos),
            branches=with_curves,
            mark=mark,
            max_shown=MAX_SHOWN,
        )
        write_text(path, html)


def embed(
    video: PlayedVideo, detections: Detections, overlaid: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """A video as the page embeds it, with its own detections alone.

    `overlaid` is (N,) whether each is written over the picture; all are unless given.

    Returns:
        `{"name", "url", "begin", "offset", "fps", "duration", "note", "pool": snippets per
        point, "classes": [class, …] highest-scoring first, "scores": {branch: {class: base64 of one
        byte per point}}, "detections": [[class, start, end, score, overlaid], …] by start,
        "left": how many more there are}`, classes as indices, times in seconds.
    """
    best_first = np.argsort(-detections.score, kind="stable")
    shown = best_first[:MAX_SHOWN]
    classes = list(dict.fromkeys(detections.label[shown].tolist()))
    curves = {branch: np.asarray(values, np.float32) for branch, values in video.curves.items()}
    length = max(map(len, curves.values()), default=0)
    if not classes and length:
        # Nothing was found: show the curves of the class that came nearest.
        top = [values.max(axis=0) for values in curves.values() if len(values)]
        classes = [int(np.max(top, axis=0).argmax())]
    pool = max(1, math.ceil(length / MAX_POINTS))
    over = np.ones(len(detections), dtype=np.bool_) if overlaid is None else overlaid
    by_start = shown[np.lexsort((-detections.score[shown], detections.start[shown]))]
    return {
        "name": video.name,
        "url": video.url,
        "begin": round(video.begin, 6),
        "offset": round(video.offset, 6),
        "fps": round(video.rate, 6),
        "duration": round(video.begin + video.duration, 3),
        "note": without_folders(video.note),
        "pool": pool,
        "classes": classes,
        "scores": {
            branch: {label: quantise(values[:, label], pool) for label in classes[:MAX_CLASSES]}
            for branch, values in curves.items()
        },
        "detections": [_row(detections, row, bool(over[row])) for row in by_start],
        "left": len(detections) - len(shown),
    }


def _row(detections: Detections, row: int, overlaid: bool) -> list[float]:
    """A detection as the scripts read it, to the millisecond."""
    start, end = round(float(detections.start[row]), 3), round(float(detections.end[row]), 3)
    score = float(f"{detections.score[row]:.4g}")
    return [int(detections.label[row]), start, end, score, int(overlaid)]
