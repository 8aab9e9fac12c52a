from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.simulation.clips import Scene
from duetal.video.geometry import Geometry, Painter, quarter_turns, resized
from duetal.video.timeline import Timeline

STEP = Fraction(1, 25)
STAMPS = st.lists(st.none() | st.integers(-(2**40), 2**40) | st.integers(0, 4000), max_size=60)


def place(milliseconds, **settings):
    """Milliseconds at which pictures of the given timestamps are put."""
    timeline = Timeline(STEP, **settings)
    stamps = [None if t is None else Fraction(t, 1000) for t in milliseconds]
    return [float(1000 * timeline.place(stamp)) for stamp in stamps], timeline


@pytest.mark.parametrize(
    ("stamps", "placed"),
    [
        ([0, 40, 80], [0, 40, 80]),
        ([-500, -400, 100], [0, 100, 600]),
        ([None, None, None], [0, 40, 80]),
        ([0, None, 90, None], [0, 40, 90, 130]),
        # A hold of half an hour, and what can be no hold.
        ([0, 1_800_000], [0, 1_800_000]),
        ([0, 40, 8_000_000, 120], [0, 40, 80, 120]),
        ([0, 40, 8_000_000, 8_000_040, 8_000_080], [0, 40, 80, 120, 160]),
        # Going back a little, far, and for good.
        ([0, 40, 20, 120], [0, 40, 40, 120]),
        ([5000, 5040, 0, 5120], [0, 40, 80, 120]),
        ([5000, 5040, 0, 40, 80], [0, 40, 80, 120, 160]),
        ([0, 0, 0, 0, 0], [0, 0, 0, 40, 80]),
    ],
)
def test_pictures_are_put_where_their_timestamps_can_be_believed(stamps, placed):
    assert place(stamps)[0] == placed


def test_no_picture_stands_beyond_the_declared_end():
    assert place([0, 40, 9000], declared=Fraction(10))[0] == [0, 40, 9000]
    assert place([0, 40, 13000], declared=Fraction(10))[0] == [0, 40, 80]


def test_where_the_clock_may_leap_a_hold_is_short():
    assert place([0, 40, 11000, 11040], leaps=True)[0] == [0, 40, 80, 120]
    assert place([0, 40, 9000], leaps=True)[0] == [0, 40, 9000]


@given(STAMPS, st.none() | st.integers(0, 10_000), st.booleans())
def test_time_never_goes_back_and_advances_by_what_can_be(stamps, declared, leaps):
    declared = None if declared is None else Fraction(declared, 10)
    placed, timeline = place(stamps, declared=declared, leaps=leaps)
    steps = np.diff(placed)
    assert (steps >= 0).all()
    assert (steps <= 3_600_000).all()
    assert timeline.missing == sum(stamp is None for stamp in stamps)


@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=60), st.integers(-(10**9), 10**9))
def test_timestamps_that_advance_are_kept(steps, first):
    stamps = np.cumsum([first, *steps]).tolist()
    placed, timeline = place(stamps)
    assert placed == [stamp - first for stamp in stamps]
    assert (timeline.missing, timeline.broken, timeline.reset) == (0, 0, False)


@pytest.mark.parametrize(
    ("matrix", "geometry"),
    [
        # (a, b, c, d) of libavutil/display.h, y pointing down, and how a picture is undone.
        ((1, 0, 0, 1), (0, False)),
        ((0, 1, -1, 0), (270, False)),  # A phone held upright: clockwise by 90 degrees.
        ((-1, 0, 0, -1), (180, False)),
        ((0, -1, 1, 0), (90, False)),
        ((-1, 0, 0, 1), (0, True)),
        ((1, 0, 0, -1), (180, True)),
        ((0, 1, 1, 0), (90, True)),
        ((0, 0, 0, 0), (0, False)),
        ((0.9, 0.1, -0.1, 0.9), (0, False)),
    ],
)
def test_the_display_matrix_turns_and_mirrors(matrix, geometry):
    a, b, c, d = (round(value * (1 << 16)) for value in matrix)
    rows = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], dtype=np.int32)
    assert quarter_turns(rows) == geometry
    if not any(matrix) or 0.9 in matrix:
        return
    # What the matrix does to each pixel's place is what is done to the picture.
    coded = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    shown = Geometry(Fraction(1), *geometry).upright(coded)[:, :, 0]
    y, x = np.mgrid[:3, :4]
    to_x, to_y = matrix[0] * x + matrix[2] * y, matrix[1] * x + matrix[3] * y
    moved = np.empty_like(shown)
    moved[to_y - to_y.min(), to_x - to_x.min()] = coded[:, :, 0]
    assert np.array_equal(shown, moved)


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 512))
def test_the_short_side_is_as_asked_and_the_long_one_in_proportion(width, height, short_side):
    try:
        found = resized((width, height), short_side)
    except DuetalError:
        assert max(width, height) > 16 * min(width, height)
        return
    assert min(found) == short_side
    assert max(found) == pytest.approx(
        max(width, height) * short_side / min(width, height), abs=0.5
    )
    assert (found[0] - found[1]) * (width - height) >= 0


def test_a_picture_is_drawn_at_the_size_of_the_first():
    painter = Painter((64, 48), Geometry())
    for size in ((64, 48), (100, 20), (64, 48)):
        frame = VideoFrame.from_ndarray(Scene(size).picture(0), format="rgb24")
        assert painter.draw(frame).shape == (48, 64, 3)
