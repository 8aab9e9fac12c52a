"""TV-L1 flow on the CPU: OpenCV's algorithm, many times as fast.

The algorithm is OpenCV's to the detail (the pyramid, the cubic interpolation with zeros outside,
the gradients at the border, when the iterations end), so that networks trained on flow from there
can be given flow from here. Its loops are compiled; this file is their order.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from duetal.video.flow.interface import FlowName, TVL1Settings, check_frames, pyramid_sizes
from duetal.video.flow.median_kernel import median_filter
from duetal.video.flow.tvl1_kernel import CHUNK, iterate
from duetal.video.flow.warp_kernel import linearize, resize, stack_gradient

Floats = NDArray[np.float32]


class TVL1Flow:
    """TV-L1 flow on the CPU.

    Args:
        settings: of which gamma must be 0.
        threads: pairs of frames that are worked on at once.
    """

    name = FlowName.TVL1

    def __init__(self, settings: TVL1Settings, *, threads: int = 1):
        self.settings = settings
        self.threads = threads

    def __call__(self, grey: NDArray[np.uint8]) -> Floats:
        """Flow (N, H, W, 2) of frames (N + 1, H, W); see `FlowEngine`."""
        check_frames(grey)
        flow = np.empty((len(grey) - 1, *grey.shape[1:], 2), np.float32)
        # The compiled loops let go of Python's lock.
        with ThreadPoolExecutor(self.threads) as pool:
            for k, pair_flow in enumerate(pool.map(self._pair, grey, grey[1:])):
                flow[k] = pair_flow
        return flow

    def _pair(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Floats:
        """Flow (H, W, 2) of one pair, from the pyramid's coarsest level to the finest."""
        if np.array_equal(first, second):  # as many in videos are: the iterations would find 0
            return np.zeros((*first.shape, 2), np.float32)
        settings = self.settings
        firsts, seconds = (list(_pyramid(frame, settings)) for frame in (first, second))
        image, other = firsts.pop(), seconds.pop()
        flow = _solve_level(image, other, np.zeros((2, *image.shape), np.float32), settings)
        while firsts:
            image, other = firsts.pop(), seconds.pop()
            flow = _enlarge(flow, image.shape, settings.scale_step)
            flow = _solve_level(image, other, flow, settings)
        return np.moveaxis(flow, 0, -1)


def _pyramid(frame: NDArray[np.uint8], settings: TVL1Settings) -> Iterator[Floats]:
    """The frame and its smaller copies, each made from the one before."""
    image = frame.astype(np.float32, order="C")
    yield image
    height, width = frame.shape
    for size in pyramid_sizes(height, width, settings)[1:]:
        smaller = np.empty(size, np.float32)
        # By the scale itself, not by the ratio of the sizes, which are rounded; unless rounding
        # makes the same size of it: so does OpenCV.
        step = 1.0 if size == image.shape else 1 / settings.scale_step
        resize(image, smaller, step, step)
        yield smaller
        image = smaller


def _enlarge(flow: Floats, size: tuple[int, ...], scale_step: float) -> Floats:
    """The flow (2, H, W) of a level, where the next finer one begins."""
    larger = np.empty((2, *size), np.float32)
    for source, target in zip(flow, larger, strict=True):
        resize(source, target, source.shape[0] / size[0], source.shape[1] / size[1])
    larger /= np.float32(scale_step)
    return larger


def _solve_level(first: Floats, second: Floats, flow: Floats, settings: TVL1Settings) -> Floats:
    """The flow (2, H, W) between two images of one size, beginning from a rough one."""
    layout = _Layout(*first.shape)
    grid = layout.lead, layout.stride
    planes, dual, data, has = (layout.zeros(count) for count in (2, 4, 4, 2))
    layout.image(planes)[:] = flow
    layout.image(has)[0, :, :-1] = 1
    layout.image(has)[1, :-1] = 1

    theta, side = settings.theta, settings.median_filtering
    limit, rate = settings.lambda_ * theta, settings.tau / theta
    least_change = settings.epsilon**2 * first.size
    stack = stack_gradient(second)
    for _ in range(settings.warps):
        linearize(stack, first, planes, data, *grid)
        for _ in range(settings.outer_iterations):
            if side > 1:
                median_filter(planes[0], *grid, *first.shape, side)
                median_filter(planes[1], *grid, *first.shape, side)
            numbers = limit, theta, rate, least_change, settings.inner_iterations
            change = iterate(planes, dual, data, has, *grid, *numbers)
            if change <= least_change:
                break
    return layout.image(planes).copy()


class _Layout:
    """Where an image's pixels are in the planes of `tvl1_kernel`.

    Args:
        height: of the image.
        width: likewise.
    """

    def __init__(self, height: int, width: int):
        self.width = width
        self.stride = width + 1
        self.lead = math.ceil((self.stride + 1) / CHUNK) * CHUNK
        self._pixels = height * self.stride
        self._length = math.ceil(self._pixels / CHUNK) * CHUNK + 2 * self.lead

    def zeros(self, count: int) -> Floats:
        """So many new planes (count, L)."""
        return np.zeros((count, self._length), np.float32)

    def image(self, planes: Floats) -> Floats:
        """The pixels (count, H, W) of planes (count, L), to read or to write."""
        rows = planes[:, self.lead : self.lead + self._pixels]
        return rows.reshape(len(planes), -1, self.stride)[:, :, : self.width]
