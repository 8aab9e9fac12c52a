"""Simple methods to compare with: label-only chance, and a linear per-snippet MIL classifier."""

from duetal.baselines.chance import guess_by_labels
from duetal.baselines.linear import LinearClassifier, LinearSettings, train_linear

__all__ = ["LinearClassifier", "LinearSettings", "guess_by_labels", "train_linear"]
