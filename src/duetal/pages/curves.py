"""Score curves and pseudo-labels of one video, reduced to what a page can show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.pages.columns import pack_labels, quantise
from duetal.pages.run_files import Signals

#: Classes of one video whose curves are embedded; those of the ground truth even beyond it.
MAX_CLASSES = 8
#: Points of one curve; a longer video's neighbouring snippets are joined by their maximum.
MAX_POINTS = 3000
#: Bytes of all curves on a page, and of all pseudo-labels.
MAX_CURVE_BYTES = 2_500_000
MAX_LABEL_BYTES = 1_000_000


@dataclass
class SignalWriter:
    """Embeds the signals of one run, video after video, within bounds."""

    signals: Signals  #: Of the run.
    index: dict[str, int]  #: The page's index of each class, to which new ones are added.
    runs: int = 1  #: How many runs share the page's bounds.
    left_out: int = 0  #: Training videos whose pseudo-labels did not fit.
    pool: int = field(init=False)  #: Snippets of a point, at least.
    _classes: int = field(init=False)
    _room: float = field(init=False)

    def __post_init__(self) -> None:
        files = self.signals.scores.values()
        points = sum(file.length(name) for file in files for name in file.videos)
        share = MAX_CURVE_BYTES / self.runs / max(points, 1)
        self._classes = min(MAX_CLASSES, max(1, math.floor(share)))
        self.pool = max(1, math.ceil(1 / share))
        self._room = MAX_LABEL_BYTES / self.runs

    def video(self, name: str, annotated: Sequence[str], found: Sequence[str]) -> dict[str, Any]:
        """The curves and pseudo-labels of one video.

        `annotated` are its classes in the ground truth, `found` the detected ones, the
        highest-scoring first.

        Returns:
            `{"snippets": T, "pool": snippets per point, "scores": {branch: {class: base64 of one
            byte per point, 255 = probability 1}}, "labelled": T, "labels": {phase: {class: base64
            of two bits per snippet}}, "begin": seconds of the first snippet, where not 0}`,
            classes as the page's indices, phases as positions; empty without signals.
        """
        known = {
            branch: scores
            for branch, file in self.signals.scores.items()
            if (scores := file.scores(name)) is not None
        }
        offset = self.signals.offsets.get(name)
        begin = {"begin": offset} if offset else {}
        return begin | self._curves(known, annotated, found) | self._labels(name)

    def _curves(
        self,
        known: Mapping[str, NDArray[np.float32]],
        annotated: Sequence[str],
        found: Sequence[str],
    ) -> dict[str, Any]:
        length = max(map(len, known.values()), default=0)
        if not length:
            return {}
        classes = self.signals.classes
        top = [classes[top_class(scores)] for scores in known.values() if scores.size]
        others = [name for name in dict.fromkeys([*top, *found]) if name not in annotated]
        shown = [*annotated, *others[: max(0, self._classes - len(annotated))]]
        columns = [(self._at(name), classes.index(name)) for name in shown if name in classes]
        pool = max(self.pool, math.ceil(length / MAX_POINTS))
        return {
            "snippets": length,
            "pool": pool,
            "scores": {
                branch: {at: quantise(scores[:, k], pool) for at, k in columns}
                for branch, scores in known.items()
            },
        }

    def _labels(self, name: str) -> dict[str, Any]:
        files = enumerate(self.signals.labels.values())
        known = {n: labels for n, file in files if (labels := file.labels(name)) is not None}
        if not known:
            return {}
        # An absent class is background everywhere and needs no column.
        own = np.flatnonzero(np.any([(labels != 0).any(axis=0) for labels in known.values()], 0))
        packed = {
            phase: {
                self._at(self.signals.classes[k]): pack_labels(labels[:, k]) for k in own.tolist()
            }
            for phase, labels in known.items()
        }
        size = sum(len(text) for by_class in packed.values() for text in by_class.values())
        if size > self._room:
            self.left_out += 1
            return {}
        self._room -= size
        return {"labelled": max(map(len, known.values())), "labels": packed}

    def _at(self, name: str) -> int:
        return self.index.setdefault(name, len(self.index))


def top_class(scores: NDArray[np.float32]) -> int:
    """The class of highest mean over its top eighth of snippets, as training pools them.

    Args:
        scores: (T, K), neither of them 0.
    """
    count = math.ceil(len(scores) / 8)
    top = np.partition(scores, len(scores) - count, axis=0)[-count:]
    return int(top.mean(axis=0).argmax())


def names_of(signals: Sequence[Signals]) -> tuple[list[str], list[str]]:
    """Videos that have scores, and videos that have pseudo-labels, each once."""
    scored = (name for s in signals for file in s.scores.values() for name in file.videos)
    labelled = (name for s in signals for file in s.labels.values() for name in file.videos)
    return list(dict.fromkeys(scored)), list(dict.fromkeys(labelled))
