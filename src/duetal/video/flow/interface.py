"""What all engines of optical flow share: names, settings, checks, and their inputs and outputs.

TV-L1 (Zach, Pock and Bischof 2007; Wedel et al. 2009) finds the flow u from frame I₀ to I₁ that
minimizes ∑ |∇u₁| + |∇u₂| + λ |I₁(x + u) - I₀(x)|. Its parameters have OpenCV's names and defaults,
because the field's features were made with OpenCV's DualTVL1.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from duetal.core.array_types import Singles
from duetal.core.errors import UsageError, unknown

if TYPE_CHECKING:
    from torch import Tensor

MAX_FLOW = 20.0  #: Pixels: I3D's flow network was trained on flow clipped to this.
#: Red, green and blue of BT.601's luma in 1/2¹⁵, OpenCV's rounding of them.
_LUMA = (9798, 19235, 3735)
_MIN_SIDE = 16  #: Pixels: OpenCV makes no level of the pyramid with a shorter side.
_MAY_BE_ZERO = ("epsilon", "gamma")  #: Settings that may be zero; all others are above.


class FlowName(StrEnum):
    """The engines: ours, on the CPU or a GPU, and OpenCV's DualTVL1, the reference, on the CPU."""

    TVL1 = "tvl1"
    OPENCV = "opencv"


@dataclass(frozen=True, slots=True)
class TVL1Settings:
    """Parameters of TV-L1, with the names and defaults of OpenCV's `DualTVL1OpticalFlow`.

    Raises:
        UsageError: a value out of its range, naming the setting.
    """

    tau: float = 0.25  #: Time step of the dual variables' update; above 0.25 it need not converge.
    lambda_: float = 0.15  #: Weight of the brightness term: the smaller, the smoother the flow.
    #: How tightly the smooth flow and the one that fits the brightness are coupled.
    theta: float = 0.3
    #: Levels of the image pyramid at most; only the image itself has a side below 16.
    scales: int = 5
    warps: int = 5  #: Warps of the second frame by the current flow, at each level.
    #: The iterations of a warp end when the flow's root mean square change is no more, in px.
    epsilon: float = 0.01
    inner_iterations: int = 30  #: Iterations between two median filterings, at most.
    outer_iterations: int = 10  #: Median filterings of a warp, at most.
    scale_step: float = 0.8  #: Size of a pyramid's level as a part of the one below.
    #: Weight of a term for changing illumination, which our engine does not have.
    gamma: float = 0.0
    median_filtering: int = 5  #: Side of the median filter's window, 1, 3 or 5; 1 is none.

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_number(field.name, getattr(self, field.name), whole=field.type is int)
        if not self.scale_step < 1:
            raise UsageError(f"scale_step: must be below 1, not {self.scale_step}")
        if self.median_filtering not in (1, 3, 5):
            raise UsageError(f"median_filtering: {self.median_filtering} is none of 1, 3, 5")


def _check_number(name: str, value: object, *, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise UsageError(f"{name}: must be a {'whole ' if whole else ''}number, not {value!r}")
    in_range = value >= 0 if name in _MAY_BE_ZERO else value > 0
    if not (in_range and math.isfinite(value)):
        least = "of at least 0" if name in _MAY_BE_ZERO else "above 0"
        raise UsageError(f"{name}: must be a finite number {least}, not {value!r}")


class FlowEngine(Protocol):
    """Computes the flow of consecutive frames.

    The flow of a pair depends on its two frames alone: neither on the frames that come with it in
    one call nor on the number of threads.
    """

    name: FlowName
    settings: TVL1Settings

    def __call__(self, grey: NDArray[np.uint8]) -> Singles:
        """Flow from each frame to the next.

        Args:
            grey: (N + 1, H, W), of any size.

        Returns:
            (N, H, W, 2) in pixels: to the right, then downwards. What is at (x, y) in frame k is at
            (x + flow[k, y, x, 0], y + flow[k, y, x, 1]) in frame k + 1.

        Raises:
            ValueError: as `check_frames`.
        """


def open_flow(
    name: FlowName | str,
    settings: TVL1Settings | None = None,
    *,
    device: str = "cpu",
    threads: int = 1,
) -> FlowEngine:
    """Open an engine by its name and device; it alone imports OpenCV, PyTorch or Triton.

    Args:
        name: "tvl1" or "opencv".
        settings: parameters; None for the defaults.
        device: where ours runs: "cpu", or any GPU of PyTorch's, such as "cuda:1". OpenCV's runs
            on the CPU whatever the device.
        threads: pairs of frames that are worked on at once, on the CPU.

    Raises:
        UsageError: an unknown name, fewer than one thread, a setting that the engine does not have,
            or an engine that is not installed.
    """
    if name not in list(FlowName):
        raise UsageError(unknown("flow engine", name, map(str, FlowName)))
    if threads < 1:
        raise UsageError(f"threads: must be at least 1, not {threads}")
    settings = settings or TVL1Settings()
    if name == FlowName.OPENCV:
        from duetal.video.flow.opencv_flow import OpenCVFlow

        return OpenCVFlow(settings, threads=threads)
    if settings.gamma != 0:
        raise UsageError(
            f"gamma: our engine has no illumination term, so it must be 0, not {settings.gamma};"
            " the engine opencv has one"
        )
    if device == "cpu":
        from duetal.video.flow.tvl1_cpu import TVL1Flow

        return TVL1Flow(settings, threads=threads)
    from duetal.video.flow.tvl1_gpu import TorchTVL1Flow

    return TorchTVL1Flow(settings, device=device)


def check_frames(grey: "NDArray[np.uint8] | Tensor") -> None:
    """Refuse, with a ValueError, what is no uint8 array or tensor (N + 1, H, W) with a pixel."""
    if str(grey.dtype) not in ("uint8", "torch.uint8") or grey.ndim != 3 or 0 in grey.shape:
        found = f"{grey.dtype} {tuple(grey.shape)}"
        raise ValueError(f"frames must be uint8 (N + 1, H, W), not {found}")


def flow_by_pair(
    compute: Callable[[NDArray[np.uint8], NDArray[np.uint8]], Singles],
    grey: NDArray[np.uint8],
    threads: int,
) -> Singles:
    """Flow (N, H, W, 2) of frames (N + 1, H, W), `threads` pairs of frames at once.

    `compute` gives the flow (H, W, 2) of two frames (H, W), and releases Python's lock.
    """
    check_frames(grey)
    flow = np.empty((len(grey) - 1, *grey.shape[1:], 2), np.float32)
    with ThreadPoolExecutor(threads) as pool:
        for k, pair_flow in enumerate(pool.map(compute, grey, grey[1:])):
            flow[k] = pair_flow
    return flow


def pyramid_sizes(size: Sequence[int], settings: TVL1Settings) -> list[tuple[int, int]]:
    """(H, W) of the pyramid's levels, the image itself first, with OpenCV's rounding and limit."""
    height, width = size
    sizes = [(height, width)]
    while len(sizes) < settings.scales:
        # `round` takes halves to the even neighbour, as OpenCV's cvRound does.
        height, width = (round(side * settings.scale_step) for side in sizes[-1])
        if min(height, width) < _MIN_SIDE:
            break
        sizes.append((height, width))
    return sizes


def grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness (...) of RGB images (..., 3), bit for bit OpenCV's `COLOR_RGB2GRAY`."""
    luma = np.full(images.shape[:-1], 1 << 14, np.uint32)
    for channel, weight in enumerate(_LUMA):
        luma += np.multiply(images[..., channel], np.uint32(weight), dtype=np.uint32)
    return (luma >> np.uint32(15)).astype(np.uint8)


def scale_flow(flow: Singles) -> Singles:
    """Flow of any shape, in pixels, as I3D expects it: clipped to ±20 px, scaled to [-1, 1]."""
    return np.clip(flow, -MAX_FLOW, MAX_FLOW) / np.float32(MAX_FLOW)
