"""Medians of the pixels around each, in Triton; `tvl1_torch.median` explains the algorithm."""

import triton
import triton.language as tl


@triton.jit
def _at(image, y, x, height, width):
    """Pixels of an image whose border is repeated beyond it."""
    y = tl.minimum(tl.maximum(y, 0), height - 1)
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    return tl.load(image + y * width + x)


@triton.jit
def _column(image, y, x, height, width, side):
    """The pixels around a place in its column, three or five."""
    values = ()
    for k in tl.static_range(side):
        values += (_at(image, y + k - side // 2, x, height, width),)
    return values


@triton.jit
def median_3(image, y, x, height, width):
    """Median of 3 x 3 pixels."""
    a0, a1, a2 = _sorted_3(*_column(image, y, x - 1, height, width, 3))
    b0, b1, b2 = _sorted_3(*_column(image, y, x, height, width, 3))
    c0, c1, c2 = _sorted_3(*_column(image, y, x + 1, height, width, 3))
    a0, b0, c0 = _sorted_3(a0, b0, c0)
    a1, b1, c1 = _sorted_3(a1, b1, c1)
    a2, b2, c2 = _sorted_3(a2, b2, c2)
    middle = _middle_3(c0, b1, a2)
    return _middle_3(tl.maximum(b0, a1), middle, tl.minimum(c1, b2))


@triton.jit
def median_5(image, y, x, height, width):
    """Median of 5 x 5 pixels."""
    a0, a1, a2, a3, a4 = _sorted_5(*_column(image, y, x - 2, height, width, 5))
    b0, b1, b2, b3, b4 = _sorted_5(*_column(image, y, x - 1, height, width, 5))
    c0, c1, c2, c3, c4 = _sorted_5(*_column(image, y, x, height, width, 5))
    d0, d1, d2, d3, d4 = _sorted_5(*_column(image, y, x + 1, height, width, 5))
    e0, e1, e2, e3, e4 = _sorted_5(*_column(image, y, x + 2, height, width, 5))
    a0, b0, c0, d0, e0 = _sorted_5(a0, b0, c0, d0, e0)
    a1, b1, c1, d1, e1 = _sorted_5(a1, b1, c1, d1, e1)
    a2, b2, c2, d2, e2 = _sorted_5(a2, b2, c2, d2, e2)
    a3, b3, c3, d3, e3 = _sorted_5(a3, b3, c3, d3, e3)
    a4, b4, c4, d4, e4 = _sorted_5(a4, b4, c4, d4, e4)
    greatest = tl.maximum(tl.maximum(d0, c1), tl.maximum(b2, a3))
    _, _, middle, _, _ = _sorted_5(e0, d1, c2, b3, a4)
    least = tl.minimum(tl.minimum(e1, d2), tl.minimum(c3, b4))
    return _middle_3(greatest, middle, least)


@triton.jit
def _middle_3(a, b, c):
    """The middle one of three values."""
    return tl.maximum(tl.minimum(a, b), tl.minimum(tl.maximum(a, b), c))


@triton.jit
def _sorted_3(a, b, c):
    """Three values in order."""
    a, c = tl.minimum(a, c), tl.maximum(a, c)
    a, b = tl.minimum(a, b), tl.maximum(a, b)
    b, c = tl.minimum(b, c), tl.maximum(b, c)
    return a, b, c


@triton.jit
def _sorted_5(a, b, c, d, e):
    """Five values in order, by nine exchanges."""
    a, d = tl.minimum(a, d), tl.maximum(a, d)
    b, e = tl.minimum(b, e), tl.maximum(b, e)
    a, c = tl.minimum(a, c), tl.maximum(a, c)
    b, d = tl.minimum(b, d), tl.maximum(b, d)
    a, b = tl.minimum(a, b), tl.maximum(a, b)
    c, e = tl.minimum(c, e), tl.maximum(c, e)
    b, c = tl.minimum(b, c), tl.maximum(b, c)
    d, e = tl.minimum(d, e), tl.maximum(d, e)
    c, d = tl.minimum(c, d), tl.maximum(c, d)
    return a, b, c, d, e
