"""The compiled loops of TV-L1 around its iterations: resizing, warping and the median filter."""

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from duetal.core.array_types import Singles
from duetal.core.compiled import compiled

_F0, _F1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
_FLAT = np.float32(1e-30)  #: Where |gradient|² is below, its inverse would be infinite or nearly.
#: Rings of zeros around a stack: beyond them all the 4 × 4 pixels of an interpolation are zeros.
_RING = 4
#: Values of a pixel of a stack: three, and a zero that makes four pixels a register of 16 floats.
_VALUES = 4

# Positions are unsigned: numba checks each time whether a signed index is negative.
_ONE, _FOUR = np.uint64(1), np.uint64(_VALUES)

#: The median works on rows of a multiple of this many pixels, so that no loop has a remainder.
_BLOCK = 64
#: Exchanges that sort three rows, or five.
_EXCHANGES_3 = ((0, 1), (1, 2), (0, 1))
_EXCHANGES_5 = ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2))

_loop = partial(compiled, error_model="numpy", nogil=True)


@_loop("void(float32[:, ::1], float32[:, ::1], float64, float64)")
def resize(source: Singles, target: Singles, step_y: float, step_x: float) -> None:
    """Fill `target` (H', W') by bilinear interpolation of `source` (H, W), its border repeated.

    A row of the target is `step_y` rows of the source, a column `step_x` columns. Pixels are areas:
    the first one's centre is at half a step.
    """
    height, width = source.shape
    left, part = np.empty(target.shape[1], np.int64), np.empty(target.shape[1], np.float32)
    for x in range(target.shape[1]):
        at = min(max((x + 0.5) * step_x - 0.5, 0.0), width - 1.0)
        left[x] = int(at)
        part[x] = at - left[x]
    row = np.empty(width + 1, np.float32)
    for y in range(target.shape[0]):
        at = min(max((y + 0.5) * step_y - 0.5, 0.0), height - 1.0)
        top, bottom = int(at), min(int(at) + 1, height - 1)
        part_y = np.float32(at - top)
        for x in range(width):
            row[x] = source[top, x] + part_y * (source[bottom, x] - source[top, x])
        row[width] = row[width - 1]
        for x in range(target.shape[1]):
            target[y, x] = row[left[x]] + part[x] * (row[left[x] + 1] - row[left[x]])


@_loop("float32[:, :, ::1](float32[:, ::1])")
def stack_gradient(image: Singles) -> Singles:
    """An image (H, W) and its gradient, ready for interpolation: (H + 8, W + 8, 4).

    A pixel's values lie side by side, so that one interpolation reads them at once: its brightness,
    the gradient's x and y, and 0.
    """
    height, width = image.shape
    stack = np.zeros((height + 2 * _RING, width + 2 * _RING, _VALUES), np.float32)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            row, column = y + _RING, x + _RING
            stack[row, column, 0] = image[y, x]
            # Half the difference also at the border, where the distance is one pixel, as in OpenCV.
            stack[row, column, 1] = _HALF * (image[y, right] - image[y, left])
            stack[row, column, 2] = _HALF * (image[below, x] - image[above, x])
    return stack


#: Polynomials of the four weights of cubic convolution (Keys 1981, with OpenCV's slope of -0.75) at
#: 0 ≤ t < 1: by powers of t, from the constant to t³, each for the pixels at -1, 0, 1 and 2.
_CUBIC_COEFFICIENTS = (
    [0, 1, 0, 0],
    [-0.75, 0, 0.75, 0],
    [1.5, -2.25, 1.5, -0.75],
    [-0.75, 1.25, -1.25, 0.75],
)


def _interpolation(_context: Any, stack: Any, corner: Any, pitch: Any, t_x: Any, t_y: Any) -> Any:
    """The three values at a point between the pixels of a flattened stack, by cubic convolution.

    In LLVM's vectors, because numba compiles four pixels of four values to 48 single
    multiplications.

    The upper left of the 4 × 4 pixels begins at `corner`, a row is `pitch` long (both uint64), and
    the point is `t_x`, from 0 to 1, between the second and the third column; `t_y` likewise.
    """
    signature = types.UniTuple(types.float32, 3)(stack, corner, pitch, t_x, t_y)  # type: ignore[no-untyped-call]
    single, int32 = ir.FloatType(), ir.IntType(32)
    pixel, row = ir.VectorType(single, 4), ir.VectorType(single, 16)
    fused = ("contract",)

    def lanes(builder: Any, vector: Any, indices: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(int32, len(indices)), indices)
        return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def weights(builder: Any, t: Any) -> Any:
        start = builder.insert_element(ir.Constant(pixel, ir.Undefined), t, int32(0))
        t = lanes(builder, start, [0] * 4)
        *lower, result = (ir.Constant(pixel, c) for c in _CUBIC_COEFFICIENTS)
        for coefficients in reversed(lower):
            result = builder.fadd(builder.fmul(result, t, fused), coefficients, fused)
        return result

    def weighted_sum(builder: Any, vectors: list[Any], factors: Any) -> Any:
        total = None
        for k, vector in enumerate(vectors):
            factor = lanes(builder, factors, [k] * vector.type.count)
            term = builder.fmul(vector, factor, fused)
            total = term if total is None else builder.fadd(total, term, fused)
        return total

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stack, at, pitch, t_x, t_y = arguments
        pixels = context.make_array(signature.args[0])(context, builder, stack).data
        rows = []
        for _ in range(4):
            address = builder.bitcast(builder.gep(pixels, [at]), row.as_pointer())
            rows.append(builder.load(address, align=4))
            at = builder.add(at, pitch)
        column = weighted_sum(builder, rows, weights(builder, t_y))
        four = [lanes(builder, column, list(range(4 * k, 4 * k + 4))) for k in range(4)]
        value = weighted_sum(builder, four, weights(builder, t_x))
        three = [builder.extract_element(value, int32(k)) for k in range(3)]
        return context.make_tuple(builder, signature.return_type, three)

    return signature, generate


_interpolate: Any = intrinsic(_interpolation)


@_loop(
    "void(float32[:, :, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], uint64, uint64)",
    fastmath=("contract", "nsz"),
)
def linearize(
    stack: Singles, first: Singles, flow: Singles, data: Singles, lead: int, stride: int
) -> None:
    """Warp the second image, a `stack_gradient`, by the flow, and linearize the brightness error.

    The flow (2, L) and the output `data` (4, L) are planes of `tvl1_cpu`. The output is the warped
    image's gradient in x and in y; ρ, the error that zero flow would have in this linearization;
    and 1 / |gradient|², or 0 where the gradient is 0.
    """
    height, width = first.shape
    flow_x, flow_y = flow[0], flow[1]
    gradient_x, gradient_y, rho, inverse = data[0], data[1], data[2], data[3]
    pixels = stack.ravel()
    pitch = np.uint64(_VALUES * stack.shape[1])
    right, bottom = np.float32(width + 1 + _RING), np.float32(height + 1 + _RING)
    for y in range(height):
        row = first[y]
        start = lead + np.uint64(y) * stride
        for x in range(np.uint64(width)):
            i = start + x
            # In the stack's pixels, and no further out than its ring of zeros reaches.
            # The bound comes first: of it and a NaN, `max` takes the first.
            at_x = min(right, max(_F1, np.float32(x) + flow_x[i] + np.float32(_RING)))
            at_y = min(bottom, max(_F1, np.float32(y) + flow_y[i] + np.float32(_RING)))
            column, line = np.uint32(at_x), np.uint32(at_y)
            corner = (line - _ONE) * pitch + _FOUR * (column - _ONE)
            value, dx, dy = _interpolate(
                pixels, corner, pitch, at_x - np.float32(column), at_y - np.float32(line)
            )
            gradient_x[i], gradient_y[i], rho[i] = dx, dy, value
        for x in range(np.uint64(width)):
            i = start + x
            rho[i] -= gradient_x[i] * flow_x[i] + gradient_y[i] * flow_y[i] + row[x]
        for x in range(np.uint64(width)):
            i = start + x
            square = gradient_x[i] * gradient_x[i] + gradient_y[i] * gradient_y[i]
            inverse[i] = _F1 / square if square > _FLAT else _F0


@_loop()
def _order(a: float, b: float) -> tuple[float, float]:
    return min(a, b), max(a, b)


@_loop()
def _sort5(a: float, b: float, c: float, d: float, e: float) -> tuple[float, ...]:
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
def _order_rows(ranks: Singles, low: int, high: int) -> None:
    """Make one row hold the lower of both rows' values, and the other the higher."""
    for x in range(np.uint64(ranks.shape[1])):
        ranks[low, x], ranks[high, x] = _order(ranks[low, x], ranks[high, x])


@_loop()
def _select5(ranks: Singles, median: Singles) -> None:
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
def _select3(ranks: Singles, median: Singles) -> None:
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
    plane: Singles, lead: int, stride: int, height: int, width: int, side: int
) -> None:
    """Replace a plane's pixels by the medians around them, the border repeated outside.

    The columns of all windows of a row are sorted first, each once for all windows that it is in,
    and then the windows' medians are found: by comparators throughout, which the compiler applies
    to many pixels at once. A selection with branches would do one at a time. The plane (L,) is one
    of `tvl1_cpu`, the window's side 3 or 5.
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
