"""From probabilities to detections, against loops over snippets written from the definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.localization.localization_settings import LocalizationSettings, Scoring
from duetal.localization.proposals import (
    VideoDetections,
    assemble,
    find_intervals,
    highest_inside,
    localize_video,
    log_contrast,
    outer_inner_contrast,
    select_classes,
    smooth,
)

GRID = TimeGrid(fps=25, stride=16, window=16)
SNIPPET = 16 / 25


def curve_of(*values):
    return np.array(values, dtype=float)


def slow_intervals(curve, thresholds):
    found = set()
    for threshold in thresholds:
        begin = None
        for t, value in enumerate([*curve, -math.inf]):
            if value > threshold and begin is None:
                begin = t
            elif not value > threshold and begin is not None:
                found.add((begin, t))
                begin = None
    return sorted(found)


def slow_contrast(curve, a, b, margin):
    width = math.ceil(margin * (b - a))
    outer = [curve[t] for t in range(len(curve)) if a - width <= t < a or b <= t < b + width]
    return sum(curve[a:b]) / (b - a) - (sum(outer) / len(outer) if outer else 0.0)


def slow_log_contrast(curve, a, b, margin):
    """FreeZAD's score as its definition says it, halved."""

    def decayed_mean(outside):  # from the border outwards
        weights = [1 / math.log(1 + i) for i in range(1, len(outside) + 1)]
        total = sum(w * value for w, value in zip(weights, outside, strict=True))
        return total / sum(weights) if outside else 0.0

    width = math.ceil(margin * (b - a))
    before = [curve[t] for t in range(a - 1, max(0, a - width) - 1, -1)]
    after = [curve[t] for t in range(b, min(len(curve), b + width))]
    inside = curve[a:b]
    outside = decayed_mean(before) + decayed_mean(after)
    return (sum(inside) / (b - a) + max(inside) - 0.2 * outside) / 2


curves = hnp.arrays(
    np.float64,
    st.integers(0, 40),
    elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1),
)


@settings(max_examples=200, deadline=None)
@given(curves, st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), min_size=1, max_size=9))
def test_intervals_and_their_scores_equal_the_slow_ones(curve, thresholds):
    first, stop = find_intervals(curve, thresholds)
    pairs = list(zip(first.tolist(), stop.tolist(), strict=True))
    assert pairs == slow_intervals(curve, thresholds)
    assert highest_inside(curve, first, stop).tolist() == [max(curve[a:b]) for a, b in pairs]
    for margin in (0.0, 0.25, 1.0):
        np.testing.assert_allclose(
            outer_inner_contrast(curve, first, stop, margin),
            [slow_contrast(curve, a, b, margin) for a, b in pairs],
            atol=1e-12,
        )
        np.testing.assert_allclose(
            log_contrast(curve, first, stop, margin),
            [slow_log_contrast(curve, a, b, margin) for a, b in pairs],
            atol=1e-12,
        )


@settings(max_examples=100, deadline=None)
@given(curves, st.sampled_from([1, 3, 5, 101]))
def test_smoothing_is_a_moving_average_with_repeated_ends(curve, size):
    last = len(curve) - 1
    around = range(-(size // 2), size // 2 + 1)
    means = [np.mean([curve[min(max(t + i, 0), last)] for i in around]) for t in range(len(curve))]
    np.testing.assert_allclose(smooth(curve, size), means, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    curves,
    st.builds(
        LocalizationSettings,
        min_max=st.booleans(),
        scoring=st.sampled_from(list(Scoring)),
        smoothing=st.sampled_from([1, 5]),
        scale_by_video_probability=st.booleans(),
        nms_method=st.sampled_from(["gaussian", "linear", "hard"]),
        max_per_class=st.sampled_from([None, 3]),
    ),
    st.none() | st.floats(0.1, 30),
)
def test_what_every_result_must_satisfy(curve, chosen, duration):
    probabilities = np.column_stack([curve, curve[::-1]])
    found = localize_video(probabilities, np.array([0.9, 0.5]), GRID, chosen, duration=duration)
    ends_at = len(curve) * SNIPPET if duration is None else min(duration, len(curve) * SNIPPET)
    assert (np.diff(found.score) <= 0).all()
    assert (found.score >= chosen.min_score).all()
    assert (found.score <= 1 + 1e-9).all()  # a mean is a difference of sums
    assert (found.start < found.end).all()
    assert (found.start >= 0).all()
    assert (found.end <= ends_at + 1e-9).all()
    np.testing.assert_allclose(found.start / SNIPPET, np.round(found.start / SNIPPET), atol=1e-9)
    if chosen.max_per_class:
        assert (np.bincount(found.label) <= chosen.max_per_class).all()


def rows(found):
    return [
        (int(k), round(float(a) / SNIPPET, 6), round(float(b) / SNIPPET, 6), round(float(s), 6))
        for k, a, b, s in zip(found.label, found.start, found.end, found.score, strict=True)
    ]


def decayed(score, iou):
    return round(score * math.exp(-(iou**2) / 0.3), 6)


# Stretched to 0..1 it is 0 1/2 1 1/2 0 0 0 3/8 0: at 0.3, [1, 4) and [7, 8); at 0.6, [2, 3).
PEAKS = curve_of(0.1, 0.5, 0.9, 0.5, 0.1, 0.1, 0.1, 0.4, 0.1)
BASE = {"thresholds": (0.3, 0.6)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Contrast of [1, 4) is 1.9/3 - 0.1 = 0.53, of [2, 3) it is 0.9 - 0.5 = 0.4: the wide first.
        ({}, [(0, 1, 4, 0.9), (0, 2, 3, decayed(0.9, 1 / 3)), (0, 7, 8, 0.4)]),
        (
            {"scale_by_video_probability": True},
            [(0, 1, 4, 0.72), (0, 2, 3, decayed(0.72, 1 / 3)), (0, 7, 8, 0.32)],
        ),
        # Without a margin the narrow one has the higher mean.
        ({"margin": 0.0}, [(0, 2, 3, 0.9), (0, 1, 4, decayed(0.9, 1 / 3)), (0, 7, 8, 0.4)]),
        (
            {"scoring": "contrast"},
            [(0, 1, 4, 0.533333), (0, 7, 8, 0.3), (0, 2, 3, decayed(0.4, 1 / 3))],
        ),
        ({"min_max": False, "thresholds": (0.6,)}, [(0, 2, 3, 0.9)]),
        ({"min_max": False, "thresholds": (0.4,)}, [(0, 1, 4, 0.9)]),
        ({"min_max": False, "thresholds": (0.9,)}, []),
        ({"nms_method": "hard", "nms_iou_threshold": 0.3}, [(0, 1, 4, 0.9), (0, 7, 8, 0.4)]),
        ({"max_per_class": 1}, [(0, 1, 4, 0.9)]),
        ({"min_score": 0.7}, [(0, 1, 4, 0.9)]),
    ],
)
def test_by_hand(changes, expected):
    chosen = LocalizationSettings(**{**BASE, **changes})
    found = localize_video(PEAKS[:, None], curve_of(0.8), GRID, chosen)
    assert sorted(rows(found)) == sorted(expected)


def test_the_literal_preset_cuts_raw_probabilities_once_and_scores_by_the_maximum():
    found = localize_video(PEAKS[:, None], curve_of(0.8), GRID, LocalizationSettings().literal(0.3))
    assert rows(found) == [(0, 1, 4, 0.9), (0, 7, 8, 0.4)]


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.1, 0.3, 0.9], [1, 2]),
        ([0.1, 0.2, 0.15], [1]),  # none above 0.2: the best
        ([0.1, 0.1], [0]),
        ([], []),
    ],
)
def test_select_classes(probabilities, expected):
    assert select_classes(np.array(probabilities), 0.2).tolist() == expected


def test_classes_do_not_suppress_each_other():
    both = np.column_stack([PEAKS, PEAKS])
    found = localize_video(both, curve_of(0.8, 0.8), GRID, LocalizationSettings(**BASE))
    alone = localize_video(PEAKS[:, None], curve_of(0.8), GRID, LocalizationSettings(**BASE))
    for label in (0, 1):
        assert found.score[found.label == label].tolist() == alone.score.tolist()


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([], []),
        ([0.7], [(0, 0, 1, 0.7)]),
        ([0.7, 0.7, 0.7], [(0, 0, 3, 0.7)]),  # flat: the whole video
        ([0.0, 0.0, 0.0], []),  # below the least score
    ],
)
def test_short_and_flat_curves(curve, expected):
    probabilities = np.array(curve).reshape(-1, 1)
    chosen = LocalizationSettings()
    assert rows(localize_video(probabilities, curve_of(0.8), GRID, chosen)) == expected


def test_no_classes():
    found = localize_video(np.empty((5, 0)), np.empty(0), GRID, LocalizationSettings())
    assert len(found) == 0


def test_detections_end_with_the_video():
    curve = curve_of(0.1, 0.9, 0.9, 0.1, 0.8)[:, None]
    chosen = LocalizationSettings(thresholds=(0.5,))
    found = localize_video(curve, curve_of(0.8), GRID, chosen, duration=1.5)
    assert (found.start.tolist(), found.end.tolist()) == ([SNIPPET], [1.5])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_single_and_half_precision_give_the_same_intervals(kind):
    curve = np.round(np.random.default_rng(1).uniform(0, 1, 64) * 64) / 64  # exact in float16
    chosen = LocalizationSettings()
    expected = localize_video(curve[:, None], curve_of(0.5), GRID, chosen)
    found = localize_video(curve[:, None].astype(kind), np.array([0.5], kind), GRID, chosen)
    assert rows(found) == rows(expected)


def test_a_video_of_ten_hours():
    length = 10 * 3600 * 25 // 16
    probabilities = np.random.default_rng(0).uniform(0, 1, (length, 2)).astype(np.float32)
    found = localize_video(probabilities, curve_of(0.5, 0.04), GRID, LocalizationSettings())
    assert len(found) > 10_000
    assert set(found.label.tolist()) == {0}
    assert found.end.max() <= length * SNIPPET


@pytest.mark.parametrize(
    ("stride", "window", "starts", "ends"),
    [
        (10, 10, 2.0, 4.0),
        (10, 30, 3.0, 5.0),  # Snippets 2 and 3 see seconds 2 to 6; their centres are 3.5 and 4.5.
        (10, 4, 1.7, 3.7),
    ],
)
def test_borders_are_midway_between_centres(stride, window, starts, ends):
    curve = curve_of(0, 0, 1, 1, 0, 0)[:, None]
    grid, one = TimeGrid(10, stride, window), LocalizationSettings(thresholds=(0.5,))
    found = localize_video(curve, curve_of(0.8), grid, one, offset=7.0)
    assert (found.start.tolist(), found.end.tolist()) == ([7 + starts], [7 + ends])


@pytest.mark.parametrize(
    ("probabilities", "video_probabilities", "duration", "message"),
    [
        ([[0.5], [math.nan]], [0.5], None, "nan at snippet 1, class 0 is no probability"),
        ([[0.5], [7.5]], [0.5], None, "7.5 at snippet 1, class 0 is no probability"),
        ([[0.5], [0.5]], [-math.inf], None, "-inf at class 0 is no probability"),
        ([[0.5], [0.5]], [0.5, 0.5], None, r"probabilities \(2, 1\) of snippets"),
        ([0.5, 0.5], [0.5], None, r"must be \(T, K\) and \(K,\)"),
        ([[0.5]], [0.5], 0.0, "duration of 0.0 seconds"),
        ([[0.5]], [0.5], math.nan, "duration of nan seconds"),
    ],
)
def test_bad_input_names_the_video(probabilities, video_probabilities, duration, message):
    with pytest.raises(DuetalError, match=f"^video 'clip': .*{message}"):
        localize_video(
            np.array(probabilities),
            np.array(video_probabilities),
            GRID,
            LocalizationSettings(),
            duration=duration,
            name="clip",
        )


def test_assemble_keeps_videos_without_detections():
    nothing = VideoDetections(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
    some = localize_video(PEAKS[:, None], curve_of(0.8), GRID, LocalizationSettings(**BASE))
    found = assemble([nothing, some, nothing], ["a", "b", "c"], ["Diving"])
    assert found.videos == ("a", "b", "c")
    assert found.classes == ("Diving",)
    assert found.video.tolist() == [1, 1, 1]
    assert found.score.tolist() == some.score.tolist()
    assert len(assemble([], [], ["Diving"])) == 0


def test_assemble_refuses_results_without_a_video():
    with pytest.raises(ValueError, match="zip"):
        assemble([], ["a"], ["Diving"])


def test_of_a_video_the_best_are_kept_and_it_is_said():
    rng = np.random.default_rng(0)
    minutes = 20
    length = round(minutes * 60 / SNIPPET)
    probabilities = rng.uniform(size=(length, 4))
    video = curve_of(0.9, 0.8, 0.1, 0.7)
    everything = LocalizationSettings(max_per_minute=None)
    whole = localize_video(probabilities, video, GRID, everything)
    found = localize_video(probabilities, video, GRID, LocalizationSettings(max_per_minute=20))
    assert (len(found), found.limited, whole.limited) == (20 * minutes, True, False)
    assert len(whole) > 2 * len(found)
    for column in ("label", "start", "end", "score"):
        np.testing.assert_array_equal(
            getattr(found, column), getattr(whole, column)[: len(found)], err_msg=column
        )
    # No fewer than 300 of a short video.
    few = LocalizationSettings(max_per_minute=20)
    short = localize_video(probabilities[:300], video, GRID, few)
    assert len(short) == 300
    assert not localize_video(probabilities[:50], video, GRID, few).limited
