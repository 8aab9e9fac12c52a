"""TV-L1 flow on the CPU: OpenCV's algorithm, many times as fast.

The algorithm is OpenCV's in every detail (the pyramid, the cubic interpolation with zeros outside,
the gradients at the border, when the iterations end), so that networks trained on OpenCV's flow can
be used with this one.

The compiled loops work on planes: an image in one dimension, row after row, each followed by a
zero. A pixel's left neighbour is one before it, a zero at the left border, and the pixel below is
`stride` after it; `lead` zeros precede the first row and follow the last. So a plane is processed
in chunks of a fixed length whatever the image's width: a chunk of every plane fits in the fastest
cache, and the compiler turns its loop into vector instructions without a remainder.
"""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from duetal.core.array_types import Singles
from duetal.core.compiled import compiled
from duetal.video.flow.cpu_kernels import linearize, median_filter, resize, stack_gradient
from duetal.video.flow.interface import FlowName, TVL1Settings, flow_by_pair, pyramid_sizes

CHUNK = 512
# Positions are unsigned: numba checks each time whether a signed index is negative.
_CHUNK, _ONE = np.uint64(CHUNK), np.uint64(1)
_F0, _F1 = np.float32(0), np.float32(1)


class TVL1Flow:
    """TV-L1 flow on the CPU, of `threads` pairs of frames at once; gamma must be 0."""

    name = FlowName.TVL1

    def __init__(self, settings: TVL1Settings, *, threads: int = 1):
        self.settings, self.threads = settings, threads

    def __call__(self, grey: NDArray[np.uint8]) -> Singles:
        """Flow (N, H, W, 2) of frames (N + 1, H, W); see `FlowEngine`."""
        return flow_by_pair(self._pair, grey, self.threads)

    def _pair(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Singles:
        """Flow of one pair, from the pyramid's coarsest level to the finest."""
        if np.array_equal(first, second):  # as many in videos are: the iterations would find 0
            return np.zeros((*first.shape, 2), np.float32)
        firsts, seconds = (list(_pyramid(frame, self.settings)) for frame in (first, second))
        flow = np.zeros((2, *firsts[-1].shape), np.float32)
        for level in reversed(range(len(firsts))):
            if level < len(firsts) - 1:
                flow = _enlarge(flow, firsts[level].shape, self.settings.scale_step)
            flow = _solve_level(firsts[level], seconds[level], flow, self.settings)
        return np.moveaxis(flow, 0, -1)


def _pyramid(frame: NDArray[np.uint8], settings: TVL1Settings) -> Iterator[Singles]:
    """The frame and its smaller copies, each made from the one before."""
    image = frame.astype(np.float32, order="C")
    yield image
    for size in pyramid_sizes(frame.shape, settings)[1:]:
        smaller = np.empty(size, np.float32)
        # By the scale itself, not by the ratio of the sizes, which are rounded; unless rounding
        # makes the same size of it: so does OpenCV.
        step = 1.0 if size == image.shape else 1 / settings.scale_step
        resize(image, smaller, step, step)
        yield smaller
        image = smaller


def _enlarge(flow: Singles, size: tuple[int, ...], scale_step: float) -> Singles:
    """The flow (2, H, W) of a level, where the next finer one begins."""
    larger = np.empty((2, *size), np.float32)
    for source, target in zip(flow, larger, strict=True):
        resize(source, target, source.shape[0] / size[0], source.shape[1] / size[1])
    larger /= np.float32(scale_step)
    return larger


def _solve_level(first: Singles, second: Singles, flow: Singles, settings: TVL1Settings) -> Singles:
    """The flow (2, H, W) between two images of one size, beginning from a rough one."""
    height, width = first.shape
    stride = width + 1
    lead = math.ceil((stride + 1) / CHUNK) * CHUNK
    length = math.ceil(height * stride / CHUNK) * CHUNK + 2 * lead

    def pixels(planes: Singles) -> Singles:
        """The pixels (count, H, W) of planes (count, L), to read or to write."""
        rows = planes[:, lead : lead + height * stride]
        return rows.reshape(len(planes), height, stride)[:, :, :width]

    planes, dual, data, has = (np.zeros((count, length), np.float32) for count in (2, 4, 4, 2))
    pixels(planes)[:] = flow
    pixels(has)[0, :, :-1] = 1
    pixels(has)[1, :-1] = 1

    theta, side = settings.theta, settings.median_filtering
    limit, rate = settings.lambda_ * theta, settings.tau / theta
    least_change = settings.epsilon**2 * first.size
    numbers = limit, theta, rate, least_change, settings.inner_iterations
    stack = stack_gradient(second)
    for _ in range(settings.warps):
        linearize(stack, first, planes, data, lead, stride)
        for _ in range(settings.outer_iterations):
            if side > 1:
                median_filter(planes[0], lead, stride, height, width, side)
                median_filter(planes[1], lead, stride, height, width, side)
            if iterate(planes, dual, data, has, lead, stride, *numbers) <= least_change:
                break
    return pixels(planes).copy()


#: A compiled loop: squares may be added in any order; infinity and NaN stay what they are.
_loop = partial(compiled, error_model="numpy", fastmath=("contract", "nsz", "reassoc"), nogil=True)


@_loop()
def _threshold(
    step: Singles, flow_x: Singles, flow_y: Singles, gradient_x: Singles, gradient_y: Singles,
    rho: Singles, inverse: Singles, start: int, limit: float,
) -> None:  # fmt: skip
    """How many gradients the brightness term alone would move a chunk's flow.

    As many as make the linearized error zero, but no more than `limit`: the three cases of the
    thresholding step (Zach et al. 2007, proposition 3) in one.
    """
    for j in range(_CHUNK):
        i = start + j
        error = rho[i] + gradient_x[i] * flow_x[i] + gradient_y[i] * flow_y[i]
        step[j] = min(max(-error * inverse[i], -limit), limit)


@_loop()
def _move(
    flow: Singles, gradient: Singles, step: Singles, dual_x: Singles, dual_y: Singles,
    start: int, stride: int, theta: float,
) -> np.float32:  # fmt: skip
    """Move one component of a chunk's flow by both terms; the sum of its squared changes."""
    change = _F0
    for j in range(_CHUNK):
        i = start + j
        divergence = dual_x[i] - dual_x[i - _ONE] + (dual_y[i] - dual_y[i - stride])
        move = step[j] * gradient[i] + theta * divergence
        flow[i] += move
        change += move * move
    return change


@_loop()
def _ascend(
    flow: Singles, dual_x: Singles, dual_y: Singles, has_right: Singles, has_below: Singles,
    start: int, stride: int, rate: float,
) -> None:  # fmt: skip
    """Update one component's dual variables in a chunk, from the flow's forward differences."""
    for j in range(_CHUNK):
        i = start + j
        dx = (flow[i + _ONE] - flow[i]) * has_right[i]
        dy = (flow[i + stride] - flow[i]) * has_below[i]
        shrink = _F1 / (_F1 + rate * math.sqrt(dx * dx + dy * dy))
        dual_x[i] = (dual_x[i] + rate * dx) * shrink
        dual_y[i] = (dual_y[i] + rate * dy) * shrink


@_loop(
    "float32(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], uint64, uint64,"
    " float32, float32, float32, float32, int64)"
)
def iterate(
    flow: Singles, dual: Singles, data: Singles, has: Singles, lead: int, stride: int,
    limit: float, theta: float, rate: float, least_change: float, most: int,
) -> np.float32:  # fmt: skip
    """Iterate until the flow hardly changes; the last iteration's sum of squared changes.

    At most `most` iterations, and no more once the sum is at most `least_change`. The planes `flow`
    (2, L) in x and y and `dual` (4, L), the dual variables in x and y of the flow in x, then of the
    flow in y, are changed. `data` (4, L) is that of `linearize`; `has` (2, L) is 1 where a pixel
    has a right neighbour, and where it has one below, else 0. `limit` is λθ, `rate` τ/θ. `lead` is
    a multiple of `CHUNK` and more than `stride`.
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
