"""How strong each stream is, and how far they complement each other, before any training.

It reads training features and video labels alone; no network is trained but linear classifiers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from duetal.core.weak_videos import WeakVideos
from duetal.method.branches import LoadText
from duetal.method.loop import Method
from duetal.method.method_settings import MethodSettings
from duetal.method.schedule import zero_shot
from duetal.tuning.held_out import thinned, video_mean_ap
from duetal.tuning.pooling import probe_linear
from duetal.tuning.rehearsal import Rehearsal

#: Shuffles of the labels among videos, for what chance reaches.
_SHUFFLES = 20
#: Correlation of two streams' curves from which they show the same.
_SAME = 0.95


@dataclass(frozen=True)
class Probe:
    """What labels tell of the streams; mean APs in 0..1, of videos ranked by class."""

    videos: int
    snippets: int  # The median T.
    classes: tuple[str, ...]
    shares: NDArray[np.float64]  # (K,) share of a video that a class fills where it occurs.
    strength: Mapping[str, float]  # Mean AP by what ranks the videos.
    empty: tuple[str, ...]  # Streams that rank videos no better than chance.
    chance: float  # Mean AP of a ranking by chance, of 20 the highest.
    agreement: float | None  # Correlation of the streams' curves in videos of the class.

    def expectation(self) -> list[str]:
        """What to expect of training, in sentences."""
        lines = [
            f"stream {name} ranks videos no better than chance: it carries nothing of the labels, "
            "or there are too few videos to tell"
            for name in self.empty
        ]
        if self.agreement is None:
            lines.append("one stream: there is no second branch to learn from")
        elif self.agreement >= _SAME:
            lines.append("the two streams show the same: expect nothing of teaching")
        elif not self.empty:
            single = max(ap for name, ap in self.strength.items() if name != BOTH)
            gain = 100 * (self.strength[BOTH] - single)
            better = "complement each other" if gain > 1 else "hardly complement each other"
            lines.append(
                f"the streams {better}: together {gain:+.1f} points over the better one; "
                f"their curves agree by {self.agreement:.2f} (1: the same)"
            )
        return lines


BOTH = "both together"


def probe(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    load_text: LoadText,
    method: Method | None = None,
) -> Probe:
    """Probe the streams of a dataset by its training videos.

    Each linear classifier ranks videos that it was not trained on. VLP's zero-shot scores need no
    training.

    Raises:
        DuetalError: bad features, or a text encoder that can't be loaded.
    """
    method, seed = method or Method(), settings.schedule.seed
    read = thinned(videos, seed)
    found = {stream: probe_linear(videos, stream, seed) for stream in videos.streams}
    titles = {branch.name: branch.title for branch in method.branches}
    first, *others = found
    best = {name: video_mean_ap(one.scores, read.labels) for name, one in found.items()}
    strength = {f"{titles.get(name, name)}, linear": ap for name, ap in best.items()}
    chance = _chance(found[first].scores, read.labels, seed)
    agreement = None
    if others:
        scores = np.mean([one.scores for one in found.values()], axis=0)
        if "vlp" in others:
            # Untrained VLP ranks the videos by its text.
            zero = replace(method, schedule=lambda *_: [zero_shot()])
            trial = Rehearsal(fabric, settings, read, read, load_text, zero)
            stage = trial.train(settings, [zero_shot().name])
            ap = trial.mean_ap(stage)
            strength[zero_shot().stage_title] = ap
            best["vlp"] = max(best["vlp"], ap)
            scores = (scores + trial.scores[stage]) / 2
        strength[BOTH] = video_mean_ap(scores, read.labels)
        agreement = _agreement(found[first].curves, found[others[0]].curves, read)
    return Probe(
        videos=len(videos.names),
        snippets=int(np.median([videos.length(name) for name in videos.names])),
        classes=videos.classes,
        shares=found[first].shares(),
        strength=strength,
        empty=tuple(name for name, ap in best.items() if ap <= chance),
        chance=chance,
        agreement=agreement,
    )


def linear_strength(settings: MethodSettings, videos: WeakVideos) -> float:
    """Mean AP of the training videos, ranked by linear classifiers of their first stream."""
    seed = settings.schedule.seed
    found = probe_linear(videos, next(iter(videos.streams)), seed)
    return video_mean_ap(found.scores, thinned(videos, seed).labels)


def _chance(scores: NDArray[np.float32], labels: NDArray[np.bool_], seed: int) -> float:
    """The highest mean AP of the scores against labels that are shuffled among the videos."""
    generator = np.random.default_rng(seed)
    return max(video_mean_ap(scores, generator.permutation(labels)) for _ in range(_SHUFFLES))


def _agreement(
    mine: Mapping[str, NDArray[np.float32]],
    other: Mapping[str, NDArray[np.float32]],
    videos: WeakVideos,
) -> float:
    """The mean correlation of two sets of curves, over videos and the classes they have."""
    found = []
    for name, present in zip(videos.names, videos.labels, strict=True):
        for label in np.flatnonzero(present):
            a, b = mine[name][:, label], other[name][:, label]
            if len(a) > 1 and np.ptp(a) and np.ptp(b):
                found.append(float(np.corrcoef(a, b)[0, 1]))
    return float(np.mean(found)) if found else 0.0
