"""The stages of the pipeline in which networks see snippets, in batches that fit into memory."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duetal.core.errors import DuetalError, UsageError
from duetal.extraction.items import Broken, End, Snippet

#: Snippets of a first batch on a GPU; where they do not fit, it is halved until they do.
GPU_BATCH = 32
#: Snippets of a batch on a CPU: more of them would save nothing there.
CPU_BATCH = 2
#: Memory that I3D takes for a snippet of 224 x 224 pixels, roughly: bytes.
CPU_SNIPPET_BYTES = 2**30

Passing = Snippet | End | Broken


def choose_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:1" means here.

    Raises:
        UsageError: this machine has no such device.
    """
    there = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no such device: {name!r}; auto, cpu and cuda are known") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"features are extracted on cpu or cuda, not on {name!r}")
    if device.type == "cuda" and (not there or (device.index or 0) >= torch.cuda.device_count()):
        raise UsageError(f"no such device here: {name!r}")
    return device


def usual_batch(device: torch.device) -> int:
    """Snippets of a batch that is worth trying first."""
    if device.type == "cuda":
        return GPU_BATCH
    return int(min(CPU_BATCH, max(1, available_memory() // (2 * CPU_SNIPPET_BYTES))))


def available_memory() -> int:
    """Bytes of memory that can still be taken; a guess where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return 4 * CPU_SNIPPET_BYTES


class Network:
    """A frozen network that sees one modality of a snippet.

    Args:
        modality: "rgb", "flow" or "clip".
        module: gives features (B, C) of what `prepare` makes.
        prepare: makes of the snippets' inputs, stacked on the device, what `module` takes.
        device: where it computes.
        batch: snippets at once; becomes smaller by itself where they do not fit.
        threads: of the CPU.
    """

    def __init__(
        self,
        modality: str,
        module: nn.Module,
        prepare: Callable[[Tensor], Tensor],
        *,
        device: torch.device,
        batch: int,
        threads: int,
    ):
        self.modality = modality
        self.batch = batch
        self.module = module.to(device).eval()
        self.prepare = prepare
        self._device = device
        self._threads = threads

    def __call__(self, inputs: Sequence[NDArray[Any] | Tensor]) -> NDArray[np.float32]:
        """Features (B, C) of the inputs of B snippets.

        Raises:
            DuetalError: not even one snippet fits into memory.
        """
        rows: list[NDArray[np.float32]] = []
        done = 0
        while done < len(inputs):
            part = inputs[done : done + self.batch]
            found = self._try(part)
            if found is not None:
                rows.append(found)
                done += len(part)
                continue
            if len(part) == 1:
                cause = f"out of memory on {self._device}: not one snippet's {self.modality} fits"
                raise DuetalError(cause)
            self.batch = len(part) // 2
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        return np.concatenate(rows)

    def _try(self, inputs: Sequence[NDArray[Any] | Tensor]) -> NDArray[np.float32] | None:
        """Features of one batch; None where it does not fit into memory."""
        # Of this thread: each stage has one of its own.
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                batch = torch.stack([torch.as_tensor(one) for one in inputs])
                features = self.module(self.prepare(batch.to(self._device)))
                return np.asarray(features.float().cpu().numpy())
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            return None


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU, PyTorch raises a plain RuntimeError.
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "DefaultCPUAllocator" in str(error)
        or "CUDA out of memory" in str(error)
    )


def scale_rgb(clips: Tensor) -> Tensor:
    """(B, window, h, w, 3) uint8 becomes (B, 3, window, h, w) in [-1, 1], as I3D takes it."""
    return channels_first(clips).float().div_(127.5).sub_(1)


def channels_first(clips: Tensor) -> Tensor:
    """(B, window, h, w, C) becomes (B, C, window, h, w)."""
    return clips.permute(0, 4, 1, 2, 3)


def encode(items: Iterable[Passing], network: Network) -> Generator[Passing, None, None]:
    """Let a network see snippets, of the same video or not, in batches.

    Whatever is not a snippet passes, in its place.
    """
    waiting: list[Passing] = []
    snippets: list[Snippet] = []
    for item in items:
        waiting.append(item)
        if isinstance(item, Snippet):
            snippets.append(item)
        # A video that ends after all of its snippets have been seen need not wait for the next.
        if not snippets or len(snippets) >= network.batch:
            _see(snippets, network)
            yield from waiting
            waiting, snippets = [], []
    _see(snippets, network)
    yield from waiting


def _see(snippets: Sequence[Snippet], network: Network) -> None:
    if not snippets:
        return
    jobs = {id(snippet.job): snippet.job for snippet in snippets}
    began = time.perf_counter()
    try:
        rows = network([snippet.inputs.pop(network.modality) for snippet in snippets])
    except Exception as error:
        names = ", ".join(repr(job.video.name) for job in jobs.values())
        error.add_note(f"while the {network.modality} network saw snippets of {names}")
        raise
    seconds = (time.perf_counter() - began) / len(snippets)
    for snippet, row in zip(snippets, rows, strict=True):
        snippet.features[network.modality] = row
        snippet.job.count(f"{network.modality} network", seconds)
