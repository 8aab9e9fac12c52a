"""soft_nms against the textbook loop, written out slowly from its definition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.errors import DuetalError, UsageError
from duetal.localization.soft_nms import soft_nms

METHODS = ("gaussian", "linear", "hard")


def temporal_iou(start, end, i, j):
    inter = max(min(end[i], end[j]) - max(start[i], start[j]), 0.0)
    union = (end[i] - start[i]) + (end[j] - start[j]) - inter
    return inter / union if union > 0 else 0.0


def textbook(start, end, score, method, sigma, iou_threshold, min_score, max_kept):
    """Pick the highest, decay the rest, drop what falls below, repeat."""
    score = list(score)
    left = [i for i in range(len(score)) if score[i] >= min_score]
    kept = []
    while left and (max_kept is None or len(kept) < max_kept):
        best = max(left, key=lambda i: (score[i], -i))
        kept.append(best)
        left.remove(best)
        for i in left.copy():
            iou = temporal_iou(start, end, best, i)
            if method == "gaussian":
                score[i] *= math.exp(-(iou * iou) / sigma)
            elif iou > iou_threshold:
                if method == "hard":
                    left.remove(i)
                    continue
                score[i] *= 1 - iou
            if score[i] < min_score:
                left.remove(i)
    return kept, [score[i] for i in kept]


def assert_equals_textbook(start, end, score, **arguments):
    index, decayed = soft_nms(start, end, score, **arguments)
    expected_index, expected_score = textbook(start, end, score, **arguments)
    assert index.tolist() == expected_index
    np.testing.assert_allclose(decayed, expected_score, rtol=1e-9, atol=1e-12)


def arguments_of_soft_nms():
    return st.fixed_dictionaries(
        {
            "method": st.sampled_from(METHODS),
            "sigma": st.sampled_from([0.05, 0.3, 0.5, 2.0]),
            "iou_threshold": st.sampled_from([0.0, 0.3, 0.5, 1.0]),
            "min_score": st.sampled_from([0.0, 0.001, 0.3]),
            "max_kept": st.sampled_from([None, None, 1, 5]),
        }
    )


@st.composite
def intervals(draw, position, score):
    rows = draw(st.lists(st.tuples(position, position, score), max_size=80))
    start = np.array([min(a, b) for a, b, _ in rows], dtype=float)
    end = np.array([max(a, b) for a, b, _ in rows], dtype=float)
    return start, end, np.array([s for _, _, s in rows], dtype=float)


@settings(max_examples=150, deadline=None)
@given(
    intervals(st.floats(0, 1000), st.floats(0, 1)),
    arguments_of_soft_nms(),
)
def test_equals_the_textbook_loop(columns, arguments):
    assert_equals_textbook(*columns, **arguments)


@settings(max_examples=300, deadline=None)
@given(
    intervals(st.integers(-6, 12), st.sampled_from([0.0, 0.001, 0.25, 0.5, 1.0])),
    arguments_of_soft_nms(),
)
def test_equals_the_textbook_loop_on_ties_duplicates_and_empty_intervals(columns, arguments):
    assert_equals_textbook(*columns, **arguments)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("min_score", [0.0, 0.001])
@pytest.mark.parametrize("longest", [2.0, 30.0, 1000.0])
def test_equals_the_textbook_loop_over_many_groups(method, min_score, longest):
    rng = np.random.default_rng(7)
    start = rng.uniform(0, 1000, 600)
    end = start + np.exp(rng.uniform(-3, math.log(longest), 600))
    score = rng.uniform(0, 1, 600)
    assert_equals_textbook(
        start,
        end,
        score,
        method=method,
        sigma=0.3,
        iou_threshold=0.4,
        min_score=min_score,
        max_kept=None,
    )


@pytest.mark.parametrize(
    ("arguments", "index", "score"),
    [
        # IoU of 0 and 1 is 1/3, of 1 and 2 is 1/3, of 0 and 2 nothing.
        ({"method": "gaussian", "sigma": 0.5}, [0, 2, 1], [0.9, 0.7, 0.8 * math.exp(-4 / 9)]),
        ({"method": "linear", "iou_threshold": 0.3}, [0, 2, 1], [0.9, 0.7, 0.8 * 4 / 9]),
        ({"method": "linear", "iou_threshold": 0.4}, [0, 1, 2], [0.9, 0.8, 0.7]),
        ({"method": "hard", "iou_threshold": 0.3}, [0, 2], [0.9, 0.7]),
        ({"method": "hard", "iou_threshold": 0.4}, [0, 1, 2], [0.9, 0.8, 0.7]),
        ({"method": "linear", "iou_threshold": 0.3, "min_score": 0.5}, [0, 2], [0.9, 0.7]),
        ({"method": "gaussian", "max_kept": 1}, [0], [0.9]),
        ({"method": "gaussian", "min_score": 0.95}, [], []),
    ],
)
def test_by_hand(arguments, index, score):
    kept, decayed = soft_nms([0, 2, 4], [4, 6, 8], [0.9, 0.8, 0.7], **arguments)
    assert kept.tolist() == index
    np.testing.assert_allclose(decayed, score, rtol=1e-12)


def test_an_iou_at_the_threshold_is_left_alone():
    kept, _ = soft_nms([0, 0], [2, 4], [0.9, 0.8], method="hard", iou_threshold=0.5)
    assert kept.tolist() == [0, 1]


def test_of_equal_scores_the_lower_index_is_kept():
    kept, _ = soft_nms([5, 0, 5], [9, 4, 9], [0.5, 0.5, 0.5], method="hard")
    assert kept.tolist() == [0, 1]


def test_negative_scores_are_below_any_least_score():
    kept, _ = soft_nms([0, 5], [1, 6], [-0.5, 0.5], min_score=0.0)
    assert kept.tolist() == [1]


def test_leaves_its_input_alone():
    start, end, score = np.array([0.0, 1.0]), np.array([4.0, 5.0]), np.array([0.5, 0.9])
    soft_nms(start, end, score)
    assert (start.tolist(), end.tolist(), score.tolist()) == ([0, 1], [4, 5], [0.5, 0.9])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("method", "median"),
        ("sigma", 0),
        ("sigma", math.nan),
        ("iou_threshold", 1.5),
        ("iou_threshold", math.nan),
        ("min_score", -0.1),
        ("min_score", math.inf),
        ("max_kept", 0),
    ],
)
def test_a_setting_out_of_range_is_named(setting, value):
    with pytest.raises(UsageError, match=f"^{setting}: "):
        soft_nms([0], [1], [0.5], **{setting: value})


@pytest.mark.parametrize(
    ("start", "end", "score", "message"),
    [
        ([0, 5], [1, 4], [0.5, 0.5], "row 1: .*ends before it starts"),
        ([0, math.nan], [1, 4], [0.5, 0.5], "row 1: .*not finite"),
        ([0, 1], [1, math.inf], [0.5, 0.5], "row 1: .*not finite"),
        ([0, -1e308], [1, 1e308], [0.5, 0.5], "row 1: .*not finite"),
        ([0, 1], [1, 4], [math.nan, 0.5], "row 0: .*not finite"),
        ([0, 1], [1, 4], [0.5], "columns of one length"),
        ([[0, 1]], [[1, 4]], [[0.5, 1]], "columns of one length"),
    ],
)
def test_bad_intervals_are_refused(start, end, score, message):
    with pytest.raises(DuetalError, match=message):
        soft_nms(start, end, score)
