"""The compiled iterations of TV-L1 flow, which take most of its time.

Their planes (two of the flow, four of its dual variables, ...) are laid out for them: in one
dimension, row after row, each followed by a zero. A pixel's left neighbour is then always one
before it, a zero for those at the left border, and the pixel below `stride` after it; `lead` zeros
precede the first row and follow the last. So a plane can be worked through in chunks of a fixed
length whatever the image's width: a chunk of every plane fits in the fastest cache, and the
compiler turns its loop into vector instructions without a remainder.
"""

import math

import numpy as np
from numpy.typing import NDArray

from duetal.core.compiled import compiled

Plane = NDArray[np.float32]

CHUNK = 512

# Positions are unsigned: of a signed index numba asks each time whether it is negative.
_CHUNK, _ONE = np.uint64(CHUNK), np.uint64(1)
_F0, _F1 = np.float32(0), np.float32(1)

#: Squares may be added in any order; infinity and NaN stay what they are.
_FASTMATH = ("contract", "nsz", "reassoc")


@compiled(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[::1],"
    " float32[::1], uint64, float32)",
    error_model="numpy",
    fastmath=_FASTMATH,
    nogil=True,
)
def _threshold(
    step: Plane,
    flow_x: Plane,
    flow_y: Plane,
    gradient_x: Plane,
    gradient_y: Plane,
    rho: Plane,
    inverse: Plane,
    start: int,
    limit: float,
) -> None:
    """How many gradients the brightness term alone would move a chunk's flow.

    As many as make the linearized error zero, but no more than `limit`: the three cases of the
    thresholding step (Zach et al. 2007, proposition 3) in one.
    """
    for j in range(_CHUNK):
        i = start + j
        error = rho[i] + gradient_x[i] * flow_x[i] + gradient_y[i] * flow_y[i]
        step[j] = min(max(-error * inverse[i], -limit), limit)


@compiled(
    "float32(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], uint64, uint64,"
    " float32)",
    error_model="numpy",
    fastmath=_FASTMATH,
    nogil=True,
)
def _move(
    flow: Plane,
    gradient: Plane,
    step: Plane,
    dual_x: Plane,
    dual_y: Plane,
    start: int,
    stride: int,
    theta: float,
) -> np.float32:
    """Move one component of a chunk's flow by both terms; the sum of its squared changes."""
    change = _F0
    for j in range(_CHUNK):
        i = start + j
        divergence = dual_x[i] - dual_x[i - _ONE] + (dual_y[i] - dual_y[i - stride])
        move = step[j] * gradient[i] + theta * divergence
        flow[i] += move
        change += move * move
    return change


@compiled(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], uint64, uint64,"
    " float32)",
    error_model="numpy",
    fastmath=_FASTMATH,
    nogil=True,
)
def _ascend(
    flow: Plane,
    dual_x: Plane,
    dual_y: Plane,
    has_right: Plane,
    has_below: Plane,
    start: int,
    stride: int,
    rate: float,
) -> None:
    """Update one component's dual variables in a chunk, from the flow's forward differences."""
    for j in range(_CHUNK):
        i = start + j
        dx = (flow[i + _ONE] - flow[i]) * has_right[i]
        dy = (flow[i + stride] - flow[i]) * has_below[i]
        shrink = _F1 / (_F1 + rate * math.sqrt(dx * dx + dy * dy))
        dual_x[i] = (dual_x[i] + rate * dx) * shrink
        dual_y[i] = (dual_y[i] + rate * dy) * shrink


@compiled(
    "float32(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], uint64, uint64,"
    " float32, float32, float32, float32, int64)",
    error_model="numpy",
    fastmath=_FASTMATH,
    nogil=True,
)
def iterate(
    flow: Plane,
    dual: Plane,
    data: Plane,
    has: Plane,
    lead: int,
    stride: int,
    limit: float,
    theta: float,
    rate: float,
    least_change: float,
    most: int,
) -> np.float32:
    """Iterate until the flow hardly changes; the last iteration's sum of squared changes.

    Args:
        flow: (2, L) planes of the flow in x and in y; changed.
        dual: (4, L) dual variables: of the flow in x those in x and y, then of the flow in y;
            changed.
        data: (4, L) of `warp_kernel.linearize`.
        has: (2, L) 1 where a pixel has a right neighbour, and where it has one below; else 0.
        lead: zeros before the first row and after the last: a multiple of `CHUNK`, more than
            `stride`.
        stride: from one row to the next.
        limit: λθ
        theta: θ
        rate: τ/θ
        least_change: no more iterations once the sum is no more than this.
        most: iterations at most.
    """
    flow_x, flow_y = flow[0], flow[1]
    x_dual_x, x_dual_y, y_dual_x, y_dual_y = dual[0], dual[1], dual[2], dual[3]
    gradient_x, gradient_y, rho, inverse = data[0], data[1], data[2], data[3]
    has_right, has_below = has[0], has[1]
    step = np.empty(_CHUNK, np.float32)
    end = np.uint64(flow.shape[1]) - lead
    change = np.float32(np.inf)
    for _ in range(most):
        if change <= least_change:
            break
        change = _F0
        # The dual variables follow the flow at a distance of `lead`, which is at least a row, so
        # that one passage through the planes does both.
        for i in range(lead, end + lead, _CHUNK):
            if i < end:
                _threshold(step, flow_x, flow_y, gradient_x, gradient_y, rho, inverse, i, limit)
                change += _move(flow_x, gradient_x, step, x_dual_x, x_dual_y, i, stride, theta)
                change += _move(flow_y, gradient_y, step, y_dual_x, y_dual_y, i, stride, theta)
            if i >= lead + lead:
                k = i - lead
                _ascend(flow_x, x_dual_x, x_dual_y, has_right, has_below, k, stride, rate)
                _ascend(flow_y, y_dual_x, y_dual_y, has_right, has_below, k, stride, rate)
    return change
