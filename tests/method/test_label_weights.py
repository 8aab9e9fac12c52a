"""The weights of labels: what others tell of them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from duetal.method.label_weights import label_weights


def table(**counts: int) -> NDArray[np.bool_]:
    """As many rows of each pattern, such as `b10=3`, as are counted."""
    return np.array([[c == "1" for c in p[1:]] for p, n in counts.items() for _ in range(n)])


def test_the_videos_that_have_one_of_a_pair_alone_count_for_more() -> None:
    """Of 252 videos 80 have both, 13 and 9 one of them: those 22 tell the two classes apart."""
    labels = table(b11=80, b10=13, b01=9, b00=150)
    weights = label_weights(labels)
    for column in range(2):
        alone, both = labels[:, column] & ~labels[:, 1 - column], labels.all(axis=1)
        assert weights[alone, column].min() > 2 * weights[both, column].max()
        other = ~labels[:, column] & labels[:, 1 - column]
        neither = ~labels.any(axis=1)
        assert weights[other, column].min() > 2 * weights[neither, column].max()


@pytest.mark.parametrize(
    "labels",
    [
        table(b11=60, b10=140, b01=90, b00=210),  # Independent: 0.4 and 0.3.
        table(b100=50, b010=90, b001=20),  # One class each.
        table(b1=5),
        table(b0=5),
        table(b11=5),
        table(b101=1),
    ],
    ids=["independent", "one each", "all", "none", "both", "one video"],
)
def test_labels_that_tell_nothing_of_each_other_count_alike(labels: NDArray[np.bool_]) -> None:
    np.testing.assert_allclose(label_weights(labels), 1, atol=0.25)


def test_the_mean_weight_of_each_side_is_1() -> None:
    labels = np.random.default_rng(0).random((60, 5)) < [0.1, 0.3, 0.5, 0.7, 0.9]
    labels[:, 1] |= labels[:, 0]
    weights = label_weights(labels)
    assert weights.dtype == np.float32
    assert np.isfinite(weights).all()
    for side in (labels, ~labels):
        np.testing.assert_allclose((weights * side).sum(axis=0) / side.sum(axis=0), 1, atol=1e-3)


def test_the_regressions_are_those_of_a_dense_solver() -> None:
    random = np.random.default_rng(0)
    labels = random.random((80, 4)) < [0.2, 0.4, 0.6, 0.8]
    labels[:, 1] |= labels[:, 0]
    expected = np.ones(labels.shape)
    for column, present in enumerate(labels.T):
        others = np.delete(labels, column, axis=1).astype(float)
        inputs = np.column_stack([np.ones(len(others)), others - others.mean(axis=0)])
        ridge, found = np.diag([1e-6, 10.0, 10.0, 10.0]), np.zeros(4)
        for _ in range(100):
            likely = 1 / (1 + np.exp(-inputs @ found))
            curvature = inputs.T * (likely * (1 - likely)) @ inputs + ridge
            found -= np.linalg.solve(curvature, inputs.T @ (likely - present) + ridge @ found)
        prior = present.mean()
        told = np.where(present, prior / likely, (1 - prior) / (1 - likely)).clip(0.1, 10)
        for side in (present, ~present):
            told[side] /= told[side].mean()
        expected[:, column] = told
    np.testing.assert_allclose(label_weights(labels), expected, atol=1e-4)
