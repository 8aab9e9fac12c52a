"""How much of a video each class fills, from labels alone.

A linear classifier of snippets cannot remember videos as a network can. Trained to find its class
in half of each video, it finds as much as looks like the class and like no other video: on held-out
videos the share that it finds is close to the class's true share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from duetal.baselines import LinearSettings, train_linear
from duetal.core.weak_videos import WeakVideos
from duetal.method.sampling import random_seed
from duetal.tuning.held_out import folds, thinned

#: The linear classifier pools half of a video.
_HALF = LinearSettings(topk_ratio=2)
#: The share where no class is recognised.
_UNKNOWN = 1 / 8
#: Videos as which the mean of all classes counts.
_PRIOR = 10.0
#: The share that stays as it is found.
_MIDDLING = 0.24
#: Parts of the training videos, each held out once, and how often they are parted.
_FOLDS, _PARTITIONS = 4, 3


@dataclass(frozen=True)
class LinearProbe:
    """What linear classifiers find in training videos that they were not trained on."""

    videos: WeakVideos  # Those that were read.
    curves: Mapping[str, NDArray[np.float32]]  # (T, K) probabilities of snippets by video.
    scores: NDArray[np.float32]  # (N, K) probabilities that videos have the classes.

    def shares(self) -> NDArray[np.float64]:
        """(K,) share of a video's snippets, where the class is present, that are the class's.

        A class that is found where another one of the video is found more clearly may be that other
        one: it has the mean share of all at most.
        """
        present = self.videos.labels
        found, best = np.zeros(present.shape), np.zeros(present.shape)
        for row, name in enumerate(self.videos.names):
            curve = self.curves[name]
            inside = curve > 0.5
            highest = np.where(present[row], curve, -1.0).max(axis=1, keepdims=True)
            found[row], best[row] = inside.mean(axis=0), (inside & (curve == highest)).mean(axis=0)
        known = present & (self.scores > 0.5)
        # In a video that is not recognised little is found, in one that is, rather too much.
        rate = known.sum() / present.sum()
        every, recognised = found[present].mean(), found[known].mean() if known.any() else 0.0
        mean = every**rate * recognised ** (1 - rate) if recognised else _UNKNOWN
        total, own = ((x * present).sum(axis=0) for x in (found, best))
        shares = (total + _PRIOR * mean) / (present.sum(axis=0) + _PRIOR)
        return np.asarray(np.where(own >= total / 2, shares, np.minimum(shares, mean)))


def probe_linear(videos: WeakVideos, stream: str, seed: int) -> LinearProbe:
    """Classify each training video by its features in a stream, in turn held out from training.

    It is the mean over several partitions: one decides by chance what two classes share.
    """
    read = thinned(videos, seed)
    streams = {stream: read.streams[stream]}
    size = len(read.classes)
    curves: dict[str, NDArray[np.float32]] = {
        name: np.zeros((read.length(name), size), dtype=np.float32) for name in read.names
    }
    scores = np.zeros((len(read.names), size), dtype=np.float32)
    row = {name: number for number, name in enumerate(read.names)}
    for turn in range(_PARTITIONS):
        for trained, held in folds(read, _FOLDS, random_seed(seed, "partition", turn)):
            classifier = train_linear(replace(trained, streams=streams), _HALF, seed=seed + turn)
            for name in held.names:
                curve, score = classifier.score(streams[stream].read(name))
                curves[name] += curve / _PARTITIONS
                scores[row[name]] += score / _PARTITIONS
    return LinearProbe(read, curves, scores)


def pooled_ratios(shares: NDArray[np.float64]) -> tuple[float, ...]:
    """`losses.class_ratios` of the shares (K,) of classes, from 2 to 16.

    The linear classifier is drawn to a middling share: it finds short actions too long, and long
    ones too short. The square undoes it, and leaves a share of 24 % as it is.
    """
    ratios = _MIDDLING / np.maximum(shares, 1e-3) ** 2
    return tuple(round(float(ratio), 2) for ratio in np.clip(ratios, 2, 16))
