"""Pseudo-segments: of present classes alone, at the mean of what agrees, with their spread."""

import numpy as np
import pytest

from duetal.core.grid import TimeGrid
from duetal.core.known_times import KnownTimes
from duetal.detector.pseudo_segments import Proposals, make_pseudo_segments, merge, vote


def bump(length: int, first: int, stop: int, height: float = 0.9) -> np.ndarray:
    """A curve with one action whose borders are soft over a snippet."""
    curve = np.full(length, 0.05)
    curve[first:stop] = height
    curve[[first - 1, stop]] = height / 2
    return curve


def test_they_are_of_the_video_s_labels_alone() -> None:
    curves = np.stack([bump(40, 10, 20), bump(40, 25, 33)], axis=1)
    found = make_pseudo_segments(curves, np.array([False, True]))
    assert {segment.label for segment in found} == {1}
    assert not make_pseudo_segments(curves, np.array([False, False]))


def test_a_border_lies_between_the_thresholds_that_disagree() -> None:
    curves = bump(40, 10, 20)[:, None]
    (segment,) = make_pseudo_segments(curves, np.array([True]))
    assert 9 < segment.start < 10
    assert 20 < segment.end < 21
    assert 0 < segment.start_spread < 1
    assert segment.confidence == 1


def test_what_nothing_confirms_is_unsure() -> None:
    proposals = Proposals(np.array([0.0, 20.0]), np.array([5.0, 30.0]), np.array([0.5, 0.9]))
    _, spread = vote(proposals, 0)
    assert np.isinf(spread).all()


@pytest.mark.parametrize(("start", "kept"), [(6.0, 1), (9.0, 2)])
def test_of_segments_much_in_one_another_the_better_stays(start: float, kept: int) -> None:
    proposals = Proposals(np.array([0.0, start]), np.array([10.0, start + 6]), np.array([0.9, 0.5]))
    found = merge(0, proposals)
    assert len(found) == kept
    assert found[0].confidence == 1


def test_the_detector_says_which_of_the_teacher_s_proposals_counts() -> None:
    curve = np.maximum(bump(60, 10, 20), bump(60, 35, 45, 0.8))
    detected = {0: Proposals(np.array([35.0]), np.array([45.0]), np.array([0.9]))}
    found = make_pseudo_segments(curve[:, None], np.array([True]), detected)
    assert 34 <= found[0].start <= 36
    assert all(segment.confidence < 0.5 for segment in found if segment.start < 30)


ALL = (-np.inf, np.inf, 0)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        # Nothing is known, or nothing that speaks against one.
        (KnownTimes(), [10, 30, 45]),
        (KnownTimes(points=((33.0, 0),)), [30, 10, 45]),
        # A segment is taken as it is; what overlaps it is no other action.
        (KnownTimes(segments=((11.5, 18.0, 0),)), [11.5, 30, 45]),
        (KnownTimes(segments=((11.5, 18.0, 0),), complete=(ALL,)), [11.5]),
        (KnownTimes(absent=((28, 38, 0),)), [10, 45]),
        # Where all was looked through, each action has a point.
        (KnownTimes(points=((33.0, 0), (47.0, 0)), complete=(ALL,)), [30, 45]),
        (KnownTimes(complete=(ALL,)), []),
    ],
)
def test_a_person_s_segments_and_points_choose(times: KnownTimes, expected: list[float]) -> None:
    curve = np.maximum(bump(60, 10, 20), bump(60, 30, 36, 0.8))
    curve = np.maximum(curve, bump(60, 45, 50, 0.7))
    grid = TimeGrid(fps=1, stride=1, window=1)
    found = make_pseudo_segments(curve[:, None], np.array([True]), None, times, grid)
    sure = [one.start for one in found if one.confidence == 1]
    assert sorted(one.start for one in found) == pytest.approx(sorted(expected), abs=1)
    told = [11.5] if times.segments else [30] if times.points else []
    assert all(any(abs(start - one) <= 1 for start in sure) for one in told)
    if times.segments:
        assert (found[0].start, found[0].end) == pytest.approx((11.5, 18.0))
        assert found[0].start_spread == 0
