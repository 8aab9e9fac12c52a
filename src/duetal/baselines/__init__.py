"""Simple methods to compare with: label-only chance, linear MIL, and a ceiling on true segments."""

from duetal.baselines.chance import guess_by_labels
from duetal.baselines.linear import LinearClassifier, LinearSettings, train_linear
from duetal.baselines.supervised import SupervisedClassifier, SupervisedSettings, train_supervised

__all__ = [
    "LinearClassifier",
    "LinearSettings",
    "SupervisedClassifier",
    "SupervisedSettings",
    "guess_by_labels",
    "train_linear",
    "train_supervised",
]
