"""The compiled loops of TV-L1 around its iterations: the pyramid's steps, and warping."""

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from duetal.core.compiled import compiled

Floats = NDArray[np.float32]

_F0, _F1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
#: Where |gradient|² is below, its inverse would be infinite or nearly.
_FLAT = np.float32(1e-30)
#: Rings of zeros around a stack: beyond them all the 4 × 4 pixels of an interpolation are zeros.
_RING = 4
#: Values of a pixel of a stack: three, and a zero that makes four pixels a register of 16 floats.
_VALUES = 4
#: Slope of the cubic kernel at distance 1; OpenCV's.
_SLOPE = -0.75

# Positions are unsigned: of a signed index numba asks each time whether it is negative.
_ONE, _FOUR = np.uint64(1), np.uint64(_VALUES)

_loop = partial(compiled, error_model="numpy", nogil=True)


@_loop("void(float32[:, ::1], float32[:, ::1], float64, float64)")
def resize(source: Floats, target: Floats, step_y: float, step_x: float) -> None:
    """Fill `target` by bilinear interpolation of `source`, the border repeated outside.

    Args:
        source: (H, W)
        target: (H', W')
        step_y: rows of the source from one row of the target to the next.
        step_x: columns likewise. Pixels are areas: the first one's centre is at half a step.
    """
    height, width = source.shape
    left = np.empty(target.shape[1], np.int64)
    part = np.empty(target.shape[1], np.float32)
    for x in range(target.shape[1]):
        at = min(max((x + 0.5) * step_x - 0.5, 0.0), width - 1.0)
        left[x] = int(at)
        part[x] = at - left[x]
    row = np.empty(width + 1, np.float32)
    for y in range(target.shape[0]):
        at = min(max((y + 0.5) * step_y - 0.5, 0.0), height - 1.0)
        top = int(at)
        bottom = min(top + 1, height - 1)
        part_y = np.float32(at - top)
        for x in range(width):
            row[x] = source[top, x] + part_y * (source[bottom, x] - source[top, x])
        row[width] = row[width - 1]
        for x in range(target.shape[1]):
            target[y, x] = row[left[x]] + part[x] * (row[left[x] + 1] - row[left[x]])


@_loop("float32[:, :, ::1](float32[:, ::1])")
def stack_gradient(image: Floats) -> Floats:
    """An image (H, W) and its gradient, ready for interpolation: (H + 8, W + 8, 4).

    A pixel's values lie side by side: its brightness, the gradient's x and y, and 0. So one
    interpolation reads all three at once.
    """
    height, width = image.shape
    stack = np.zeros((height + 2 * _RING, width + 2 * _RING, _VALUES), np.float32)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            row, column = y + _RING, x + _RING
            stack[row, column, 0] = image[y, x]
            # Half the difference also at the border, where the distance is not two but one pixel:
            # so does OpenCV.
            stack[row, column, 1] = _HALF * (image[y, right] - image[y, left])
            stack[row, column, 2] = _HALF * (image[below, x] - image[above, x])
    return stack


#: Polynomials of the four weights of cubic convolution (Keys 1981) at 0 ≤ t < 1: by powers of t,
#: from the constant to t³, each for the pixels at -1, 0, 1 and 2.
_CUBIC_COEFFICIENTS = (
    [0, 1, 0, 0],
    [_SLOPE, 0, -_SLOPE, 0],
    [-2 * _SLOPE, -(_SLOPE + 3), 2 * _SLOPE + 3, _SLOPE],
    [_SLOPE, _SLOPE + 2, -(_SLOPE + 2), -_SLOPE],
)


def _interpolation(_context: Any, stack: Any, corner: Any, pitch: Any, t_x: Any, t_y: Any) -> Any:
    """The three values at a point between the pixels of a flattened stack, by cubic convolution.

    In LLVM's vectors, because numba compiles four pixels of four values to 48 single
    multiplications.

    Args:
        stack: of `stack_gradient`, flattened.
        corner: uint64, where the upper left of the 4 × 4 pixels begins.
        pitch: uint64, from one row to the next.
        t_x: where the point is between the second and the third column, from 0 to 1.
        t_y: likewise between the rows.
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
    stack: Floats, first: Floats, flow: Floats, data: Floats, lead: int, stride: int
) -> None:
    """Warp the second image by the flow, and linearize the brightness error there.

    Args:
        stack: the second image, of `stack_gradient`.
        first: (H, W) the first image.
        flow: (2, L) planes as in `tvl1_cpu`.
        data: (4, L) output: the warped image's gradient in x and in y; ρ, the error that zero flow
            would have in this linearization; and 1 / |gradient|², or 0 where the gradient is 0.
        lead: where the planes' first row begins.
        stride: from one of their rows to the next.
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
