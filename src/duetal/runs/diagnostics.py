"""Precision and recall of scores and pseudo-labels by snippet, computed after training."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.method.pseudo_labels import BACKGROUND, FOREGROUND
from duetal.results import checkpoints
from duetal.results.schema import PseudoLabelScores, SnippetScores

#: Scores are stretched to 0..1 over each video's present classes; above this is "action".
THRESHOLD = 0.5


@dataclass
class Hits:
    """Counts of predicted, true, and predicted true snippets."""

    predicted: int = 0
    true: int = 0
    both: int = 0

    def add(self, predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> None:
        """Count more snippets."""
        self.predicted += int(predicted.sum())
        self.true += int(true.sum())
        self.both += int((predicted & true).sum())

    @property
    def precision(self) -> float | None:
        """The true share of predicted snippets; None where none is predicted."""
        return self.both / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The predicted share of true snippets; None where none is true."""
        return self.both / self.true if self.true else None


@dataclass
class SnippetCounter:
    """Precision and recall of a stage's scores over the snippets of present classes."""

    grid: TimeGrid
    classes: tuple[str, ...]
    hits: Hits = field(default_factory=Hits)

    def add(self, scores: NDArray[np.floating], video: VideoAnnotation) -> None:
        """Count a video with known segments; `scores` are its (T, K) probabilities."""
        truth, present = snippet_truth(video, self.classes, len(scores), self.grid)
        if not present.any():
            return
        chosen = np.asarray(scores[:, present], dtype=np.float64)
        low, high = chosen.min(), chosen.max()
        stretched = (chosen - low) / max(high - low, 1e-12)
        self.hits.add(stretched > THRESHOLD, truth[:, present])

    def scores(self) -> SnippetScores:
        """Precision, recall and F1; a stage without a positive snippet has precision 0."""
        precision, recall = self.hits.precision or 0.0, self.hits.recall or 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return SnippetScores(precision=precision, recall=recall, f1=f1)


@dataclass
class PseudoLabelCounter:
    """Precision and recall of pseudo-labels over the snippets of present classes."""

    grid: TimeGrid
    classes: tuple[str, ...]
    foreground: Hits = field(default_factory=Hits)
    background: Hits = field(default_factory=Hits)

    def add(self, labels: NDArray[np.int8], video: VideoAnnotation) -> None:
        """Count a training video with known segments; `labels` are (T, K) pseudo-labels."""
        truth, present = snippet_truth(video, self.classes, len(labels), self.grid)
        chosen, true = labels[:, present], truth[:, present]
        self.foreground.add(chosen == FOREGROUND, true)
        self.background.add(chosen == BACKGROUND, ~true)

    def scores(self) -> PseudoLabelScores:
        """Precision and recall of both sets; None where there was nothing to count."""
        return PseudoLabelScores(
            foreground_precision=self.foreground.precision,
            foreground_recall=self.foreground.recall,
            background_precision=self.background.precision,
            background_recall=self.background.recall,
        )


def snippet_truth(
    video: VideoAnnotation, classes: tuple[str, ...], length: int, grid: TimeGrid
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(T, K) whether a snippet's centre is in a segment of the class; (K,) which classes occur."""
    truth = np.zeros((length, len(classes)), dtype=np.bool_)
    segments = video.segments or ()
    present = np.isin(classes, [segment.label for segment in segments])
    for column in np.flatnonzero(present):
        own = [segment for segment in segments if segment.label == classes[column]]
        starts, ends = np.array([(segment.start, segment.end) for segment in own]).T
        truth[:, column] = grid.cover(starts, ends, length)
    return truth, present


def read_pseudo_labels(path: Path) -> dict[str, NDArray[np.int8]]:
    """The pseudo-labels of a phase, by training video.

    Raises:
        DuetalError: missing or damaged.
    """
    tensors = checkpoints.load(path).tensors
    labels = {name: tensor.numpy() for name, tensor in tensors.items()}
    if any(array.ndim != 2 or array.dtype != np.int8 for array in labels.values()):
        raise DuetalError("holds no pseudo-labels", file=path)
    return labels
