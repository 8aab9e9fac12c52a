"""The compiled median filter of TV-L1 flow.

The columns of all windows of a row are sorted first, each once for the three or five windows that
it is in, and only then the windows' medians are found: by comparators throughout, which the
compiler makes work on many pixels at once. A selection with branches would do one at a time.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from duetal.core.compiled import compiled

Floats = NDArray[np.float32]

#: Rows are worked on in a multiple of this many pixels, so that no loop has a remainder.
_BLOCK = 64
#: Exchanges that sort rows: three of them, or five.
_EXCHANGES_3 = ((0, 1), (1, 2), (0, 1))
_EXCHANGES_5 = ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2))

_loop = partial(compiled, nogil=True)


@_loop()
def _order(a: float, b: float) -> tuple[float, float]:
    return min(a, b), max(a, b)


@_loop()
def _sort5(
    a: float, b: float, c: float, d: float, e: float
) -> tuple[float, float, float, float, float]:
    """The five in ascending order. The compiler leaves out what the caller ignores."""
    a, b = _order(a, b)
    d, e = _order(d, e)
    c, e = _order(c, e)
    c, d = _order(c, d)
    b, e = _order(b, e)
    a, d = _order(a, d)
    a, c = _order(a, c)
    b, d = _order(b, d)
    b, c = _order(b, c)
    return a, b, c, d, e


@_loop()
def _order_rows(ranks: Floats, low: int, high: int) -> None:
    """Make one row hold the lower of both rows' values, and the other the higher."""
    for x in range(np.uint64(ranks.shape[1])):
        ranks[low, x], ranks[high, x] = _order(ranks[low, x], ranks[high, x])


@_loop()
def _select5(ranks: Floats, median: Floats) -> None:
    """Medians of 5 × 5 pixels whose five columns are sorted.

    With its rows sorted too, the square ascends both ways. Of its 25 values only those on the
    three middle diagonals from lower left to upper right can then be the median: it is the median
    of the first diagonal's maximum, the second one's median and the third one's minimum.
    """
    r0, r1, r2, r3, r4 = ranks[0], ranks[1], ranks[2], ranks[3], ranks[4]
    for x in range(len(median)):
        _, _, _, a3, a4 = _sort5(r0[x], r0[x + 1], r0[x + 2], r0[x + 3], r0[x + 4])
        _, _, b2, b3, b4 = _sort5(r1[x], r1[x + 1], r1[x + 2], r1[x + 3], r1[x + 4])
        _, c1, c2, c3, _ = _sort5(r2[x], r2[x + 1], r2[x + 2], r2[x + 3], r2[x + 4])
        d0, d1, d2, _, _ = _sort5(r3[x], r3[x + 1], r3[x + 2], r3[x + 3], r3[x + 4])
        e0, e1, _, _, _ = _sort5(r4[x], r4[x + 1], r4[x + 2], r4[x + 3], r4[x + 4])
        first = max(max(a3, b2), max(c1, d0))
        _, _, second, _, _ = _sort5(a4, b3, c2, d1, e0)
        third = min(min(b4, c3), min(d2, e1))
        low, high = _order(first, third)
        median[x] = max(low, min(second, high))


@_loop()
def _select3(ranks: Floats, median: Floats) -> None:
    """Medians of 3 × 3 pixels whose three columns are sorted, likewise."""
    r0, r1, r2 = ranks[0], ranks[1], ranks[2]
    for x in range(len(median)):
        first = max(r0[x], max(r0[x + 1], r0[x + 2]))
        low, high = _order(r1[x], r1[x + 1])
        second = max(low, min(high, r1[x + 2]))
        third = min(r2[x], min(r2[x + 1], r2[x + 2]))
        low, high = _order(first, third)
        median[x] = max(low, min(second, high))


@_loop("void(float32[::1], uint64, uint64, int64, int64, int64)")
def median_filter(
    plane: Floats, lead: int, stride: int, height: int, width: int, side: int
) -> None:
    """Replace an image's pixels by the medians around them, the border repeated outside.

    Args:
        plane: (L,) an image laid out as a plane of `tvl1_cpu`; changed.
        lead: where its first row begins.
        stride: from one row to the next.
        height: its rows.
        width: its columns.
        side: of the window, 3 or 5.
    """
    reach = side // 2
    pixels = -(-width // _BLOCK) * _BLOCK
    padded = np.empty((height + 2 * reach, pixels + _BLOCK), np.float32)
    for y in range(len(padded)):
        start = np.int64(lead) + min(max(y - reach, 0), height - 1) * np.int64(stride)
        padded[y, :reach] = plane[start]
        padded[y, reach : reach + width] = plane[start : start + width]
        padded[y, reach + width :] = plane[start + width - 1]

    ranks = np.empty((side, pixels + _BLOCK), np.float32)
    median = np.empty(pixels, np.float32)
    for y in range(height):
        for rank in range(side):
            ranks[rank] = padded[y + rank]
        if side == 3:
            for low, high in _EXCHANGES_3:
                _order_rows(ranks, np.uint64(low), np.uint64(high))
            _select3(ranks, median)
        else:
            for low, high in _EXCHANGES_5:
                _order_rows(ranks, np.uint64(low), np.uint64(high))
            _select5(ranks, median)
        start = np.int64(lead) + y * np.int64(stride)
        plane[start : start + width] = median[:width]
