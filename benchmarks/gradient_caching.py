"""Memory and time of a step that trains a backbone: gradient caching beside one graph.

    python benchmarks/gradient_caching.py [--repeats 3]

One update of CBP and a VideoMAE of random weights (4 blocks of width 96) on one crop of T snippets:
the losses, and their gradient at all weights. *cached* passes 16 snippets at once, *one graph* the
whole crop; *frozen* is the branch alone, on features as they are. Memory is the most that a process
of its own takes beyond what it held before the step; times are the median of several steps that
alternate in one process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from _one_graph import OneGraph
from _tiny_models import TINY, make_tiny_model
from duetal.backbones.presets import choose
from duetal.config import Config
from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import WeakVideos
from duetal.end_to_end.branch_backbone import BranchBackbone, TrainedPart
from duetal.end_to_end.frame_cache import FrameCache
from duetal.extraction.networks import Network
from duetal.features.metadata import VideoRecord
from duetal.method.cbp import CBPBranch
from duetal.method.loop import Lesson, compute_gradient
from duetal.method.sampling import Crop
from duetal.method.schedule import warm_up

LENGTHS = (64, 256, 1024)
MICRO_BATCH = 16
CLASSES = 20
_WIDE = {"hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 4, "patch_size": 8}


class Zeros:
    """Features that are replaced by those of the backbone."""

    def __init__(self, dim: int, length: int):
        self.dim, self._length = dim, length

    def length(self, name: str) -> int:
        """T."""
        return self._length

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Any:
        """(T, C)."""
        return np.zeros((self._length, self.dim), np.float32)[start:stop]

    def path(self, name: str) -> Path:
        """None is read."""
        return Path(name)


def make_steps(folder: Path, length: int, train: str) -> dict[str, Callable[[], object]]:
    """The three ways of one step on a video of `length` snippets in a folder, made if need be."""
    model = folder / "videomae"
    if not model.is_dir():
        TINY["videomae"][1].update(_WIDE)
        make_tiny_model("videomae", model, classifier=False)
    config = Config().replace(train=train, micro_batch=MICRO_BATCH, crop=length)
    record = choose(str(model), "cbp")[0]
    device = torch.device("cpu")
    network = Network(record, record.load(str(model), None), device=device, batch=2, threads=1)
    known = VideoRecord(
        name="v", source="v", sha256=f"{length:08}", size=1, frames=length, source_frames=length,
        duration=length, snippets=length, widths={}, settings={}, versions={}, seconds={},
    )  # fmt: skip
    frames = FrameCache(folder, {"v": known})
    if not frames.path("v").is_file():
        shape = (length, 4, 32, 32, 3)
        np.save(frames.path("v"), np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    fabric, dim = Fabric(accelerator="cpu"), network.backbone.dim
    part = TrainedPart(network, frames, slice(0, dim))
    streams: Any = {"cbp": Zeros(dim, length)}
    backbone = BranchBackbone(
        fabric, config.backbone, [part], streams["cbp"], ["v"], {}, folder.joinpath, 0
    )
    classes = tuple(f"class {k}" for k in range(CLASSES))
    labels = np.eye(1, CLASSES, dtype=np.bool_)
    videos = WeakVideos(folder, ("v",), classes, labels, streams, TimeGrid(), None, {})
    student = CBPBranch(dim, CLASSES, config.cbp)
    lesson = Lesson(fabric, config, videos, warm_up(1), student, None)

    def step(behind: Any) -> None:
        student.zero_grad()
        student.backbone = behind
        student.train()
        compute_gradient(lesson, [Crop(0, 0, length)])

    one_graph = OneGraph(backbone)
    return {
        "cached": lambda: step(backbone),
        "one graph": lambda: step(one_graph),
        "frozen": lambda: step(None),
    }


def anonymous_bytes() -> int:
    """Memory of this process without files that are mapped."""
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def most_memory(step: Callable[[], object]) -> float:
    """MiB that a step takes at most, beyond what there was before it."""
    before, most, done = anonymous_bytes(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            most[0] = max(most[0], anonymous_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    step()
    done.set()
    watching.join()
    return (most[0] - before) / 2**20


def in_own_process(folder: Path, length: int, way: str) -> float:
    """`most_memory` of a step in a new process."""
    words = [sys.executable, __file__, "--memory", str(folder), str(length), way]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def seconds(folder: Path, length: int, train: str, repeats: int) -> dict[str, float]:
    """The median time of a step of each way."""
    steps = make_steps(folder, length, train)
    times: dict[str, list[float]] = {way: [] for way in steps}
    for repeat in range(repeats + 1):
        for way, step in steps.items():
            began = time.perf_counter()
            step()
            if repeat:
                times[way].append(time.perf_counter() - began)
    return {way: statistics.median(taken) for way, taken in times.items()}


def main() -> None:
    """Print memory and time for each T, and times of the other weights that can be trained."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="steps that are timed")
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        folder, length, way = options.memory
        print(most_memory(make_steps(Path(folder), int(length), "all")[way]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(f"{'trained':<10}{'T':>6}{'cached':>18}{'one graph':>18}{'frozen':>18}{'ratio':>8}")
        for train, length in [*(("all", n) for n in LENGTHS), ("last:1", 256), ("adapters", 256)]:
            taken = seconds(folder, length, train, options.repeats)
            cells = []
            for way, one in taken.items():
                held = f"{in_own_process(folder, length, way):,.0f} MiB, " if train == "all" else ""
                cells.append(f"{held}{one:.2f} s")
            ratio = taken["cached"] / taken["one graph"]
            shown = "".join(f"{cell:>18}" for cell in cells)
            print(f"{train:<10}{length:>6}{shown}{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
