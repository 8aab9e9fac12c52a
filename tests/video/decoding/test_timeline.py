"""Where pictures are placed in spite of missing and broken timestamps."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.video.decoding.timeline import Timeline

STEP = Fraction(1, 25)
STAMPS = st.lists(st.none() | st.integers(-(2**40), 2**40) | st.integers(0, 4000), max_size=60)


def place(milliseconds, **settings):
    """Milliseconds at which pictures of the given timestamps are put."""
    timeline = Timeline(STEP, **settings)
    stamps = [None if t is None else Fraction(t, 1000) for t in milliseconds]
    pairs = zip(stamps, [*stamps[1:], None], strict=True) if stamps else ()
    return [
        float(1000 * timeline.place(one, None, lambda after=after: after)) for one, after in pairs
    ], timeline


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
def test_pictures_are_put_at_their_plausible_timestamps(stamps, placed):
    assert place(stamps)[0] == placed


@pytest.mark.parametrize(
    ("stamps", "indexed", "placed"),
    [
        ([0, 40, 9000], False, [0, 40, 9000]),
        # The header is wrong, not timestamps that agree; one alone may be.
        ([0, 40, 13000, 13040], False, [0, 40, 13000, 13040]),
        ([0, 40, 13000, 26000, 39000], False, [0, 40, 13000, 26000, 39000]),
        ([0, 40, 13000, 120, 160], False, [0, 40, 80, 120, 160]),
        ([0, 40, 13000], False, [0, 40, 80]),
        ([0, 40, 13000], True, [0, 40, 13000]),
    ],
)
def test_timestamps_outrank_a_declared_end(stamps, indexed, placed):
    assert place(stamps, declared=Fraction(10), indexed=indexed)[0] == placed


def test_where_another_stream_runs_on_a_long_hold_is_no_reset():
    assert place([0, 40, 11000, 11040], leaps=True, runs_on=lambda *_: True)[0][2] == 11000
    assert place([0, 40, 8_000_000], leaps=True, runs_on=lambda *_: True)[0][2] == 80


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
