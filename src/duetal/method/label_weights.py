"""How much a video's label tells of a class that its other labels do not tell.

Where two classes nearly always occur together, labels alone can hardly say which is which: a
network that has swapped them is contradicted by the few videos that have one alone. So each label
is weighed by the inverse of its probability given the video's other labels, as surveys and causal
inference weigh samples (stabilised inverse propensity weights: Robins, Hernán and Brumback,
"Marginal structural models and causal inference in epidemiology", 2000).
"""

import math

import numpy as np
from numpy.typing import NDArray

from duetal.core.array_types import Floats, Ints
from duetal.core.compiled import compiled

#: Strength of the ridge on the coefficients of other labels: some videos are chance.
_RIDGE = 10.0
#: The least and the largest weight, before their mean is brought to 1.
_LEAST, _LARGEST = 0.1, 10.0
#: Newton steps at most, and the largest change of a coefficient that counts as none.
_STEPS, _CONVERGED = 50, 1e-6


def label_weights(labels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N, K) weights of the labels (N, K) of N videos.

    Over the videos that have a class, and over those that lack it, the mean weight is 1: classes
    whose labels do not depend on each other keep weights of 1.
    """
    packed, rows, counts = np.unique(
        np.packbits(labels, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    distinct = np.unpackbits(packed, axis=1, count=labels.shape[1]).astype(bool)
    propensity = _Propensity(distinct, counts)
    weights = np.ones(distinct.shape, np.float32)
    for column, present in enumerate(distinct.T):
        given = propensity.given_others(column)
        prior = np.average(present, weights=counts)
        told = np.where(present, prior / given, (1 - prior) / (1 - given))
        told = told.clip(_LEAST, _LARGEST)
        for side in (present, ~present):
            if side.any():
                told[side] /= np.average(told[side], weights=counts[side])
        # Rounded, so that the order in which a machine adds does not show.
        weights[:, column] = told.round(4)
    return weights[rows]


class _Propensity:
    """The probability of each label given the others: logistic regressions with a ridge.

    Videos have few of many classes. So the sums over videos go through the labels that are there,
    not through a matrix (M, K): of 100,000 videos that takes minutes, and gigabytes.

    Args:
        distinct: (M, K) labels.
        counts: (M,) the videos that have them.
    """

    def __init__(self, distinct: NDArray[np.bool_], counts: NDArray[np.intp]):
        self._distinct, self._counts = distinct, counts.astype(float)
        self._starts = np.concatenate([[0], distinct.sum(axis=1).cumsum()])
        #: The labels of each row, one row after the other; 0 is the constant.
        self._columns = np.nonzero(distinct)[1] + 1
        self._means = np.concatenate([[0], np.average(distinct, axis=0, weights=counts)])

    def given_others(self, label: int) -> Floats:
        """(M,) probability of a label given the others of each row."""
        size = len(self._means)
        present, own = self._distinct[:, label].astype(float), label + 1
        means = self._means.copy()
        means[own] = 0.0
        ridge = np.full(size, _RIDGE)
        ridge[0] = 1e-6  # Of the constant: a class that all videos have is no division by 0.
        found, slope, gram = np.zeros(size), np.zeros(size), np.zeros((size, size))
        probability = np.zeros(len(present))
        rows = (self._starts, self._columns, own, present, self._counts)
        for _ in range(_STEPS):
            _add_up(*rows, found, found[0] - means @ found, probability, slope, gram)
            # Those of inputs from which the means are subtracted.
            centred = slope - means * slope[0]
            total = np.triu(gram) + np.triu(gram, 1).T
            cross = np.outer(means, total[0])
            curvature = total - cross - cross.T + np.outer(means, means) * total[0, 0]
            gradient = centred + ridge * found
            step = np.linalg.solve(curvature + np.diag(ridge), gradient).clip(-2, 2)
            found -= step
            if np.abs(step).max() < _CONVERGED:
                break
        _add_up(*rows, found, found[0] - means @ found, probability, slope, gram)
        return probability


@compiled(error_model="numpy")
def _add_up(
    starts: Ints,
    columns: Ints,
    own: int,
    present: Floats,
    counts: Floats,
    found: Floats,
    constant: float,
    probability: Floats,
    slope: Floats,
    gram: Floats,
) -> None:
    """The probabilities by the coefficients `found`, and the sums of a Newton step.

    Fills `probability` (M,), `slope` (K + 1,) with the derivative of the log-likelihood, and the
    upper triangle of `gram` (K + 1, K + 1) with the second one; nothing of the label `own`.
    """
    slope[:] = 0.0
    gram[:] = 0.0
    for row in range(len(counts)):
        value = constant
        for at in range(starts[row], starts[row + 1]):
            if columns[at] != own:
                value += found[columns[at]]
        likely = 1 / (1 + math.exp(-min(max(value, -30.0), 30.0)))
        probability[row] = likely
        error, weight = counts[row] * (likely - present[row]), counts[row] * likely * (1 - likely)
        slope[0] += error
        gram[0, 0] += weight
        for at in range(starts[row], starts[row + 1]):
            second = columns[at]
            if second == own:
                continue
            slope[second] += error
            gram[0, second] += weight
            for before in range(starts[row], at + 1):
                if columns[before] != own:
                    gram[columns[before], second] += weight
