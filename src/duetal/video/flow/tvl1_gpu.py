"""Our TV-L1 flow in batches, for GPUs: the pyramid, and how much of a video fits at once.

`tvl1_torch.py` solves one level of the pyramid in plain PyTorch, `tvl1_triton.py` by kernels for
NVIDIA's and AMD's GPUs. A pair's iterations, and so its flow, do not depend on the batch.
"""

import importlib
import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duetal.core.array_types import Singles
from duetal.core.errors import UsageError, first_line
from duetal.video.flow import tvl1_torch
from duetal.video.flow.interface import FlowName, TVL1Settings, check_frames, pyramid_sizes
from duetal.video.flow.tvl1_torch import resize

Backend = Literal["torch", "triton"]
#: Flow (N, 2, H, W) on one level of frames (N + 1, H, W), beginning from a rough flow.
LevelSolver = Callable[[Tensor, Tensor, TVL1Settings], Tensor]

_LEAST_TRITON = (3, 4)  #: Older ones have no tuples of tensors.
_MOST_PAIRS = 256  #: More pairs at once than this do not make a large GPU faster.
#: Bytes that a pair needs for each of its pixels; plain PyTorch has more intermediate results.
_BYTES_PER_PIXEL = {"torch": 256, "triton": 160}
_SHARE_OF_MEMORY = 0.7  #: Part of the free memory that is taken.


class TorchTVL1Flow:
    """Our TV-L1 through PyTorch, on a GPU or, slowly, on the CPU.

    Args:
        settings: parameters; `gamma` is not used.
        device: as PyTorch names it, such as "cuda" or "cuda:1".
        backend: "triton" for our kernels, "torch" for PyTorch's own operations, which are slower
            and run anywhere; None takes the kernels on a GPU where Triton is installed.
        pairs: pairs of frames at once; None for as many as the free memory holds.

    Raises:
        UsageError: there is no such device, or no Triton.
    """

    name = FlowName.TVL1

    def __init__(
        self,
        settings: TVL1Settings,
        *,
        device: str = "cuda",
        backend: Backend | None = None,
        pairs: int | None = None,
    ):
        self.settings = settings
        self.device = _device(device)
        if backend is None:
            on_gpu = self.device.type == "cuda"
            backend = "triton" if on_gpu and has_triton() else "torch"
        self.backend: Backend = backend
        self._pairs = pairs
        self._solve: LevelSolver = tvl1_torch.solve_level
        if backend == "triton":
            if not has_triton():
                needed = 'the flow backend triton needs Triton: pip install "triton>={}.{}"'
                raise UsageError(needed.format(*_LEAST_TRITON))
            from duetal.video.flow import tvl1_triton

            self._solve = tvl1_triton.solve_level

    def __call__(self, grey: NDArray[np.uint8]) -> Singles:
        """Flow (N, H, W, 2) of frames (N + 1, H, W); see `FlowEngine`."""
        check_frames(grey)
        # A copy, because PyTorch does not take arrays that cannot be written to.
        return self.flow_of(torch.from_numpy(grey.copy())).numpy()

    def flow_of(self, frames: Tensor) -> Tensor:
        """Flow (N, H, W, 2) of frames (N + 1, H, W) on any device, where it stays.

        Raises:
            ValueError: as `check_frames`.
        """
        check_frames(frames)
        flow = torch.empty(len(frames) - 1, *frames.shape[1:], 2, device=frames.device)
        for pairs in self._chunks(*frames.shape):
            flow[pairs] = self._flow(frames[pairs.start : pairs.stop + 1].to(self.device))
        return flow

    @torch.inference_mode()
    def _flow(self, frames: Tensor) -> Tensor:
        """Flow (N, H, W, 2) of frames that fit into memory at once."""
        settings = self.settings
        sizes = pyramid_sizes(frames.shape[1:], settings)
        pyramid = [frames.float()]
        for before, size in itertools.pairwise(sizes):
            # Where rounding makes the same size of it, OpenCV copies the image.
            step = 1.0 if size == before else 1 / settings.scale_step
            pyramid.append(resize(pyramid[-1], size, (step, step)))
        flow = pyramid[-1].new_zeros(len(frames) - 1, 2, *sizes[-1])
        flow = self._solve(pyramid.pop(), flow, settings)
        while pyramid:
            old, new = flow.shape[2:], sizes[len(pyramid) - 1]
            flow = resize(flow, new, (old[0] / new[0], old[1] / new[1])) / settings.scale_step
            flow = self._solve(pyramid.pop(), flow, settings)
        return flow.permute(0, 2, 3, 1)

    def _chunks(self, frames: int, height: int, width: int) -> list[slice]:
        """The pairs of a video in parts that fit into memory."""
        pairs = self._pairs
        if pairs is None:
            need = height * width * _BYTES_PER_PIXEL[self.backend]
            pairs = int(_SHARE_OF_MEMORY * self._free_memory() / need)
            pairs = min(max(pairs, 1), _MOST_PAIRS)
        return [slice(k, min(k + pairs, frames - 1)) for k in range(0, frames - 1, pairs)]

    def _free_memory(self) -> float:
        """Bytes that are free on the device; a guess where it does not report them."""
        if self.device.type != "cuda":
            return 2.0**30
        free, _ = torch.cuda.mem_get_info(self.device)
        # Memory that PyTorch has reserved and does not use is free to us.
        reserved = torch.cuda.memory_reserved(self.device)
        return free + reserved - torch.cuda.memory_allocated(self.device)


def has_triton() -> bool:
    """Whether a Triton is installed that can compile our kernels."""
    try:
        version: str = importlib.import_module("triton").__version__
    except ImportError:
        return False
    return tuple(map(int, version.split(".")[:2])) >= _LEAST_TRITON


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"no device {name!r} for the flow: {first_line(error)}") from error
    return device
