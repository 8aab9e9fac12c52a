"""Snippets to seconds and back; docs/time-grid.md holds examples that are run as well."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.grid import TimeGrid

GRIDS = st.builds(
    TimeGrid,
    fps=st.sampled_from([10.0, 19.62, 25.0, 29.97, 30.0]),
    stride=st.integers(1, 32),
    window=st.integers(1, 64),
)


@pytest.mark.parametrize(
    ("grid", "duration", "length"),
    [
        (TimeGrid(), 0.0, 0),
        (TimeGrid(), 0.6, 0),
        (TimeGrid(), 0.64, 1),
        (TimeGrid(), 1.25, 1),
        (TimeGrid(), 1.28, 2),
        (TimeGrid(), 60.0, 93),
        (TimeGrid(fps=30.0, stride=4, window=16), 10.0, 72),
        # 0.1 + 0.2 seconds at 10 fps are 3 frames, although the product is a hair above.
        (TimeGrid(fps=10.0, stride=1, window=1), 0.1 + 0.2, 3),
    ],
)
def test_length(grid, duration, length):
    assert grid.length(duration) == length


@given(GRIDS, st.integers(1, 500))
def test_a_video_of_exactly_its_snippets_has_that_many(grid, length):
    frames = (length - 1) * grid.stride + grid.window
    assert grid.length(frames / grid.fps) == length
    assert grid.length((frames - 1) / grid.fps) == length - 1
    assert grid.longest(length) == pytest.approx((frames + grid.stride) / grid.fps)


@given(GRIDS)
def test_starts_are_evenly_spaced_and_centres_half_a_window_later(grid):
    snippets = np.arange(50)
    assert grid.start(snippets)[0] == 0
    np.testing.assert_allclose(np.diff(grid.start(snippets)), grid.seconds_per_snippet)
    np.testing.assert_allclose(
        grid.centre(snippets) - grid.start(snippets), grid.window / 2 / grid.fps
    )


@pytest.mark.parametrize(
    ("segments", "covered"),
    [
        ([], []),
        ([(0.0, 6.4)], range(10)),
        ([(0.32, 0.96)], [0]),  # the start belongs to a segment, the end does not
        ([(0.33, 0.95)], []),  # shorter than a snippet, between two centres
        ([(1.0, 2.5), (2.0, 3.0), (6.0, 99.0)], [2, 3, 4, 9]),
        ([(2.0, 2.0), (3.0, 1.0)], []),
    ],
)
def test_cover_is_whether_the_centre_is_inside(segments, covered):
    starts, ends = (np.array([s[i] for s in segments], dtype=float) for i in (0, 1))
    assert np.flatnonzero(TimeGrid().cover(starts, ends, 10)).tolist() == list(covered)


@given(GRIDS, st.integers(0, 500))
def test_an_edge_is_midway_between_two_centres(grid, place):
    before, after = grid.centre(np.array([place - 1, place]))
    assert grid.edge(np.array([place]))[0] == pytest.approx(max((before + after) / 2, 0))
    if grid.window == grid.stride:
        assert grid.edge(np.array([place]))[0] == pytest.approx(grid.start(np.array([place]))[0])
