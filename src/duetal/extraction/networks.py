"""The last stages of the pipeline: backbones encode snippets, in batches that fit into memory."""

import time
from collections.abc import Generator, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duetal.backbones.presets import GFLOPS
from duetal.backbones.protocol import Backbone, BackboneRecord
from duetal.core.errors import DuetalError, UsageError, first_line
from duetal.core.grid import TimeGrid
from duetal.extraction.items import Passing, Snippet

#: Snippets of a first batch on a GPU; where they do not fit, it is halved until they do.
GPU_BATCH = 32
#: Snippets of a batch on a CPU: more of them would save nothing there.
CPU_BATCH = 2
#: Bytes that a 3D network takes for a snippet of 224 x 224 pixels, roughly.
CPU_SNIPPET_BYTES = 2**30
#: In the message of a RuntimeError that means that memory is full.
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUDA out of memory")
#: Where the errors of PyTorch's compiler are defined.
_COMPILER = ("torch._dynamo", "torch._inductor")


def choose_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:1" means; UsageError if it is not here."""
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


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16; every CPU can, some of them slowly."""
    return device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)


def usual_batch(device: torch.device) -> int:
    """Snippets of the batch that is tried first."""
    if device.type == "cuda":
        return GPU_BATCH
    return int(min(CPU_BATCH, max(1, total_memory() // (2 * CPU_SNIPPET_BYTES))))


def total_memory() -> int:
    """Bytes of memory of this machine; a guess where the system does not report them.

    Free or not, so that a batch has the same size again.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemTotal:"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return 4 * CPU_SNIPPET_BYTES


def core_seconds(name: str) -> float:
    """Seconds that one core of this machine takes for the network of a preset, an hour of video."""
    return GFLOPS[name] * TimeGrid().length(3600) / core_speed()


@cache
def core_speed() -> float:
    """Multiplications and additions a second, in 10^9, of one core of this machine.

    Of PyTorch's product of matrices as large as those of a transformer: the best of a few.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.ones(1568, 768), torch.ones(768, 3072)
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            a @ b
            best = min(best, time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return 2 * 1568 * 768 * 3072 / best / 1e9


class Network:
    """A loaded backbone that encodes batches; one that does not fit into memory is halved.

    Every batch has the same size, filled up where inputs are few: the last place of a result
    depends on it. So a snippet has the same features, whatever it is encoded with.
    """

    def __init__(
        self,
        record: BackboneRecord,
        backbone: Backbone,
        *,
        device: torch.device,
        batch: int,
        threads: int,
        bf16: bool = False,
        compiled: bool = False,
    ):
        self._bf16 = bf16
        # Every batch has one size, for which it is compiled.
        self._compiled = torch.compile(backbone.encode, dynamic=False) if compiled else None
        self.record, self.name, self.backbone = record, record.name, backbone
        self.batch, self._device, self._threads = batch, device, threads
        backbone.to(device)

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Features (B, C) of the inputs of B snippets, or (B, crops, C).

        DuetalError if not even one fits.
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
            if self.batch == 1:
                cause = f"out of memory on {self._device}: not one snippet fits ({self.name})"
                raise DuetalError(cause)
            self.batch //= 2
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        return np.concatenate(rows)

    def _try(self, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32] | None:
        """Features of one batch; None where it does not fit into memory."""
        # Of this thread: each stage has one of its own.
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                filled = [*inputs, *[inputs[-1]] * (self.batch - len(inputs))]
                batch = torch.stack([torch.as_tensor(one) for one in filled])
                if self.record.input.crops == 1:
                    features = self.features(batch)
                else:
                    features = torch.stack([self.features(crop) for crop in batch.unbind(1)], 1)
                return np.asarray(features[: len(inputs)].float().cpu().numpy())
        except (torch.OutOfMemoryError, MemoryError):
            return None
        except RuntimeError as error:
            if type(error).__module__.startswith(_COMPILER):
                why = first_line(error)
                cause = f"{self.name} cannot be compiled here ({why}): leave --compile out"
                raise DuetalError(cause) from error
            # What PyTorch raises on a CPU, and in some libraries of a GPU.
            if not any(sign in str(error) for sign in _OUT_OF_MEMORY):
                raise
            return None

    def features(self, batch: Tensor) -> Tensor:
        """(B, C) of the inputs of B snippets, one crop each; they have a gradient."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            encode = self._compiled or self.backbone.encode
            return encode(self._normalized(batch.to(self._device)))

    def _normalized(self, batch: Tensor) -> Tensor:
        wanted = self.record.input
        if wanted.crop is None or (wanted.mean, wanted.std) == (0.0, 1.0):
            return batch
        return batch.float().div_(wanted.std).sub_(wanted.mean / wanted.std)


def encode(items: Iterable[Passing], network: Network) -> Generator[Passing, None, None]:
    """Encode snippets, of the same video or not, in batches; the other items pass between them.

    So does a snippet without inputs, which was not decoded.
    """
    waiting: list[Passing] = []
    snippets: list[Snippet] = []
    for item in items:
        waiting.append(item)
        if isinstance(item, Snippet) and network.name in item.inputs:
            snippets.append(item)
        if len(snippets) >= network.batch:
            _encode_batch(snippets, network)
            snippets = []
        # A video that ends after all of its snippets were encoded need not wait for the next.
        if not snippets:
            yield from waiting
            waiting = []
    if snippets:
        _encode_batch(snippets, network)
    yield from waiting


def _encode_batch(snippets: Sequence[Snippet], network: Network) -> None:
    began = time.perf_counter()
    try:
        rows = network([snippet.inputs.pop(network.name) for snippet in snippets])
    except Exception as error:
        names = dict.fromkeys(repr(snippet.job.video.name) for snippet in snippets)
        error.add_note(f"while the {network.name} backbone encoded snippets of {', '.join(names)}")
        raise
    seconds = (time.perf_counter() - began) / len(snippets)
    for snippet, row in zip(snippets, rows, strict=True):
        snippet.features[network.name] = row
        snippet.job.count(f"{network.name} network", seconds)
