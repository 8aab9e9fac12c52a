"""Display matrices, sizes and drawing."""

from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.simulation.clips import Scene
from duetal.video.decoding.geometry import Geometry, RGBConverter, quarter_turns, resized


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
def test_the_short_side_is_exact_and_the_long_one_in_proportion(width, height, short_side):
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
    converter = RGBConverter((64, 48), Geometry())
    for size in ((64, 48), (100, 20), (64, 48)):
        frame = VideoFrame.from_ndarray(Scene(size).picture(0), format="rgb24")
        assert converter.convert(frame).shape == (48, 64, 3)
