"""How much a video's label tells of a class that its other labels do not tell.

Where two classes nearly always occur together, labels alone can hardly say which is which: a
network that has swapped them is contradicted by the few videos that have one alone. So each label
is weighed by the inverse of its probability given the video's other labels, as surveys and causal
inference weigh samples (stabilised inverse propensity weights: Robins, Hernán and Brumback,
"Marginal structural models and causal inference in epidemiology", 2000).
"""

import numpy as np
from numpy.typing import NDArray

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
    distinct, rows, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    weights = np.ones(distinct.shape)
    for column, present in enumerate(distinct.T):
        others = np.delete(distinct, column, axis=1).astype(float)
        given = _propensity(others, present, counts)
        prior = np.average(present, weights=counts)
        told = np.where(present, prior / given, (1 - prior) / (1 - given))
        told = told.clip(_LEAST, _LARGEST)
        for side in (present, ~present):
            if side.any():
                told[side] /= np.average(told[side], weights=counts[side])
        weights[:, column] = told
    # Rounded, so that the order in which a machine adds does not show.
    return weights[rows].round(4).astype(np.float32)


def _propensity(
    others: NDArray[np.float64], present: NDArray[np.bool_], counts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(M,) probability of a label given the others (M, K - 1): a logistic regression with a ridge.

    Row m stands for `counts[m]` videos.
    """
    centred = others - np.average(others, axis=0, weights=counts)
    inputs = np.column_stack([np.ones(len(centred)), centred])
    ridge = np.full(inputs.shape[1], _RIDGE)
    ridge[0] = 1e-6  # Of the constant: a class that all videos have is no division by 0.
    found = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-(inputs @ found).clip(-30, 30)))
        slope = inputs.T @ (counts * (probability - present)) + ridge * found
        curvature = inputs.T * (counts * probability * (1 - probability)) @ inputs
        step = np.linalg.solve(curvature + np.diag(ridge), slope).clip(-2, 2)
        found -= step
        if np.abs(step).max() < _CONVERGED:
            break
    return np.asarray(1 / (1 + np.exp(-(inputs @ found).clip(-30, 30))))
