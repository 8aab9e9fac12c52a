"""Training videos held out from training, whose labels judge it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import FeatureReader, Read, WeakVideos, expect_reads, whole_videos
from duetal.method.sampling import random_seed

#: A probe reads no more of a dataset: videos, and snippets of each.
_MOST_VIDEOS, _MOST_SNIPPETS = 400, 500


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
    if not held or len(held) == len(videos.names):
        cause = "no training video can be held out: each is the only one of a class"
        raise DuetalError(cause, file=videos.source)
    kept = sorted(set(range(len(videos.names))).difference(held))
    return rows(videos, kept), rows(videos, sorted(held))


def rows(videos: WeakVideos, chosen: Sequence[int]) -> WeakVideos:
    """Some of the videos."""
    names = tuple(videos.names[row] for row in chosen)
    unknown = None if videos.unknown is None else videos.unknown[list(chosen)]
    return replace(videos, names=names, labels=videos.labels[list(chosen)], unknown=unknown)


def folds(videos: WeakVideos, count: int, seed: int) -> Iterator[tuple[WeakVideos, WeakVideos]]:
    """Split at random into `count` parts; each time one is held out, the others are trained on."""
    order = np.random.default_rng(random_seed(seed, "folds")).permutation(len(videos.names))
    for number in range(min(count, len(order))):
        out = order[number::count]
        yield rows(videos, sorted(np.setdiff1d(order, out))), rows(videos, sorted(out))


@dataclass(frozen=True)
class Thinned:
    """A stream of which every n-th snippet of a long video is read."""

    stream: FeatureReader

    @property
    def dim(self) -> int:
        """C."""
        return self.stream.dim

    def length(self, name: str) -> int:
        """T of what is read."""
        return -(-self.stream.length(name) // self._step(name))

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """(T, C) features of what is read of a video."""
        return self.stream.read(name)[:: self._step(name)][start:stop]

    def expect(self, reads: Iterable[Read]) -> None:
        """Be told which videos are read from now on; they are read whole."""
        expect_reads(self.stream, whole_videos(name for name, _, _ in reads))

    def path(self, name: str) -> Path:
        """The file with a video's features."""
        return self.stream.path(name)

    def _step(self, name: str) -> int:
        return -(-self.stream.length(name) // _MOST_SNIPPETS)


def thinned(videos: WeakVideos, seed: int) -> WeakVideos:
    """What a probe reads of the videos: all of a small dataset, a sample of a large one."""
    streams = {name: Thinned(stream) for name, stream in videos.streams.items()}
    order = np.random.default_rng(random_seed(seed, "probe")).permutation(len(videos.names))
    return rows(replace(videos, streams=streams), sorted(order[:_MOST_VIDEOS]))


def class_ap(
    scores: NDArray[np.floating],
    labels: NDArray[np.bool_],
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """(K,) average precision of the ranking of videos by each class; NaN where no video has it.

    It is the mean, over the videos that have the class, of the precision among the videos that
    score at least as high. `scores` are (N, K) video-level probabilities, `labels` (N, K) whether
    the video has the class; `weights` (N, K) say as how many videos each counts.
    """
    weights = np.ones(labels.shape) if weights is None else weights
    found = np.full(labels.shape[1], np.nan)
    for column in np.flatnonzero(labels.any(axis=0)):
        has, weight = labels[:, column], weights[:, column]
        at_least = scores[:, column][None, :] >= scores[has, column][:, None]
        precision = (at_least * (has * weight)).sum(axis=1) / (at_least * weight).sum(axis=1)
        found[column] = np.average(precision, weights=weight[has])
    return found


def video_mean_ap(
    scores: NDArray[np.floating],
    labels: NDArray[np.bool_],
    weights: NDArray[np.floating] | None = None,
) -> float:
    """Mean of `class_ap` over the classes that a video has; 0 where there is none."""
    return float(np.nanmean(class_ap(scores, labels, weights))) if labels.any() else 0.0
