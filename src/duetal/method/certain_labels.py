"""The snippets of which a person has said what happens there: no teacher overrules them.

A segment is foreground. A stretch that was looked through is background, but for its segments. A
point is foreground, and grows by a branch's scores, as point supervision has it (SF-Net: Ma et al.,
ECCV 2020; Lee and Byun, "Learning action completeness from points for weakly-supervised temporal
action localization", ICCV 2021): where all actions have a point, the snippets between two of them
that score least are background.
"""

from collections.abc import Callable

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field

from duetal.core.array_types import Singles
from duetal.core.known_times import ClassTimes
from duetal.core.settings_section import Settings
from duetal.core.weak_videos import WeakVideos
from duetal.method.pseudo_labels import BACKGROUND, FLAT, FOREGROUND, IGNORED, PseudoLabels


class KnownLossSettings(Settings):
    """What is made of known times; a part of the section of the loss."""

    known_weight: float = Field(5.0, ge=0, le=1_000_000)
    """[D] Weight of the loss on the snippets of known times, where `labels.use` asks for them."""
    point_high: float = Field(0.9, gt=0, le=1)
    """[D] A point's action goes on as far as the scores stay above this share of the point's, of
    its stretch's lowest (0) to its own (1)."""
    point_low: float = Field(0.5, ge=0, lt=1)
    """[D] In a stretch that was looked through, an action ends where the scores fall below this
    share; behind is background. Between the two shares nothing is taught."""


def make_certain_labels(
    videos: WeakVideos,
    score: Callable[[str], Singles],
    settings: KnownLossSettings,
    fabric: Fabric | None = None,
) -> PseudoLabels:
    """The labels of known times, IGNORED where nothing is known.

    `score` gives the probabilities (T, K) of a video, by which points grow; it is called for videos
    with points alone. The processes of `fabric`, all of which call this, divide the videos.
    """
    lengths = [videos.length(name) for name in videos.names]
    silent = np.array([name not in videos.times for name in videos.names])

    def label(index: int) -> NDArray[np.int8]:
        name, classes = videos.names[index], np.flatnonzero(videos.possible[index])
        labels = np.full((lengths[index], len(classes)), IGNORED, dtype=np.int8)
        times = videos.times.get(name)
        if times is None:
            return labels
        curves = score(name) if times.points else None
        for column, k in enumerate(classes):
            known = times.of_class(int(k), videos.grid, len(labels))
            labels[:, column] = fixed = fixed_labels(known)
            if curves is not None and len(known.points):
                labels[:, column] = grown(fixed, known, curves[:, k], settings)
        return labels

    return PseudoLabels(lengths, videos.possible, silent).fill(label, fabric)


def fixed_labels(known: ClassTimes) -> NDArray[np.int8]:
    """(T,) what is known of a class whatever a branch says of it.

    A looked-through stretch that holds a point has an action of unknown borders: it is IGNORED.
    """
    labels = np.full(len(known.complete), IGNORED, dtype=np.int8)
    labels[known.complete & ~_with_points(known)] = BACKGROUND
    labels[known.absent] = BACKGROUND
    labels[known.segments] = FOREGROUND
    labels[known.points] = FOREGROUND
    return labels


def _with_points(known: ClassTimes) -> NDArray[np.bool_]:
    """(T,) the looked-through stretches, between segments, that hold a point."""
    free = known.complete & ~known.segments
    stretch = np.cumsum(np.diff(free, prepend=False))
    return free & np.isin(stretch, stretch[known.points])


def grown(
    fixed: NDArray[np.int8], known: ClassTimes, curve: Singles, settings: KnownLossSettings
) -> NDArray[np.int8]:
    """(T,) the labels with those around the points of a class, by its scores (T,).

    A point's stretch reaches to what is known beside it; where two points of a looked-through
    stretch meet, to the lowest snippet between them, which is background.
    """
    labels = fixed.copy()
    searched = _with_points(known)
    walls = np.flatnonzero(fixed != IGNORED)
    for point in known.points:
        at = np.searchsorted(walls, point)
        sides = []
        for step, wall in ((-1, walls[at - 1] if at else -1), (1, [*walls, len(fixed)][at + 1])):
            side = np.arange(point + step, wall, step)
            if wall in known.points and searched[side].all() and len(side):
                lowest = int(np.argmin(curve[side]))
                labels[side[lowest]] = BACKGROUND
                side = side[:lowest]
            sides.append(side)
        whole = np.concatenate(sides)
        lowest_score = min(curve[whole], default=curve[point])
        height = curve[point] - lowest_score
        if height < FLAT:
            continue
        for side in sides:
            share = (curve[side] - lowest_score) / height
            inside = np.logical_and.accumulate(share >= settings.point_high)
            outside = np.logical_or.accumulate(share < settings.point_low)
            labels[side[inside]] = FOREGROUND
            labels[side[outside & searched[side]]] = BACKGROUND
    return labels
