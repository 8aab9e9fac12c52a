"""Which checkpoint of each branch a finished run uses; the test set never chooses.

It is the last one, or that of best video-level mAP on training videos held out from training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos
from duetal.method.sampling import random_seed
from duetal.results.schema import StageRecord

LAST_RULE = "last checkpoint of each branch; the test set chose nothing"
#: It is filled with the number of held-out videos.
HELDOUT_RULE = (
    "of each branch the checkpoint with the best video-level mAP on {} training videos held out "
    "from training; the test set chose nothing"
)


def hold_out(videos: WeakVideos, fraction: float, seed: int) -> tuple[WeakVideos, WeakVideos]:
    """Split training videos at random into those to train on and those held out.

    Every class keeps a video to train on, so fewer than `fraction` may be held out.

    Raises:
        DuetalError: every video is the only one of a class.
    """
    wanted = max(1, round(fraction * len(videos.names)))
    left = videos.labels.sum(axis=0)
    held: list[int] = []
    order = np.random.default_rng(random_seed(seed, "heldout")).permutation(len(videos.names))
    for row in order:
        if len(held) < wanted and (left[videos.labels[row]] > 1).all():
            held.append(int(row))
            left -= videos.labels[row]
    if not held:
        cause = "no training video can be held out: each is the only one of a class"
        raise DuetalError(cause, file=videos.source)
    kept = sorted(set(range(len(videos.names))).difference(held))
    return _rows(videos, kept), _rows(videos, sorted(held))


def _rows(videos: WeakVideos, rows: list[int]) -> WeakVideos:
    names = tuple(videos.names[row] for row in rows)
    return replace(videos, names=names, labels=videos.labels[rows])


def video_mean_ap(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Mean average precision of the ranking of videos by class.

    The average precision of a class is the mean, over the videos that have it, of the precision
    among the videos that score at least as high. Classes that no video has are left out. `scores`
    are (N, K) video-level probabilities, `labels` (N, K) whether the video has the class.
    """
    found = []
    for column in np.flatnonzero(labels.any(axis=0)):
        right = scores[labels[:, column], column]
        at_least = scores[:, column][None, :] >= right[:, None]
        found.append(float(np.mean(at_least[:, labels[:, column]].sum(1) / at_least.sum(1))))
    return float(np.mean(found)) if found else 0.0


def last_stages(stages: Sequence[StageRecord]) -> dict[str, str]:
    """The last checkpoint of each branch, by the branch's name."""
    return {stage.branch: stage.name for stage in stages}


def best_stages(stages: Sequence[StageRecord], mean_ap: Mapping[str, float]) -> dict[str, str]:
    """Of each branch the checkpoint of the best mAP, by the branch's name; of equal ones the later.

    `stages` are in order of training.
    """
    best: dict[str, str] = {}
    for stage in stages:
        if mean_ap[stage.name] >= mean_ap[best.setdefault(stage.branch, stage.name)]:
            best[stage.branch] = stage.name
    return best
