"""Seconds and memory of opening, checking and beginning to train on very many videos.

    python benchmarks/many_videos.py
    python benchmarks/many_videos.py 1000 10000 --layouts store

Writes data sets of N videos (10,000, 30,000 and 100,000) of 4 snippets and 4 channels: four fifths
to train on, one fifth to evaluate on, one to three of 200 classes each. `folder` has an `.npy` a
video; `store` is a feature store, with three arrays and a record a video; `file` is one
`.safetensors`. Each step runs in a process of its own, from the start of Python: seconds, CPU
seconds of all threads, which a busy machine adds less to, and the most memory in megabytes.

- open: `open_dataset`, as every command does;
- check: `duetal check`, which reads every value;
- train: `duetal train`, killed when it has made the first update.

The first line of a layout is of a hundred videos: what the program itself takes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.extraction.store import open_store
from duetal.features.metadata import VideoRecord, array_file, record_file
from duetal.formats.activitynet import write_annotations

SNIPPETS, CHANNELS, CLASSES = 4, 4, 200
SECONDS = SNIPPETS * 16 / 25
STORE: dict[str, Any] = {
    "format": 1,
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "short_side": 256,
    "modalities": ["rgb", "flow", "clip"],
    "dtype": "float16",
}
#: The settings of the training: as small as the data.
SETTINGS = ("branches=[cbp]", "crop=16", "selection=last", "accelerator=cpu")
#: Runs a step of the command line, reports its peak of memory, and ends at the first update.
STEP = """
import pathlib, re, sys
def report():
    status = pathlib.Path("/proc/self/status").read_text()
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", status)[1], file=sys.stderr, flush=True)
step, folder, *settings = sys.argv[1:]
if step == "open":
    from duetal.datasets import open_dataset
    open_dataset(pathlib.Path(folder))
elif step == "check":
    from duetal.cli.main import main
    try:
        main(["check", folder])
    except SystemExit as ended:
        assert not ended.code, ended
else:
    import os
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook
    def stop(*_):
        report()
        os._exit(0)
    register_optimizer_step_post_hook(stop)
    torch.set_num_threads(1)
    from duetal.cli.main import main
    main(["train", "activitynet12", "dataset=" + folder, "--out", folder + "-run", *settings])
report()
"""


def names(count: int) -> list[str]:
    """The names of the videos."""
    return [f"video_{number:07}" for number in range(count)]


def write_annotation(folder: Path, count: int) -> None:
    """The annotation of N videos: each of one to three classes, with a segment of each."""
    random = np.random.default_rng(0)
    labels = [f"class {number:03}" for number in range(min(CLASSES, count // 5))]
    videos = {}
    for number, name in enumerate(names(count)):
        # Each class occurs in a training video.
        first = number // 5 % len(labels)
        others = random.integers(0, len(labels), random.integers(0, 3))
        own = tuple(sorted({labels[k] for k in (first, *others)}))
        subset = "validation" if number % 5 == 4 else "training"
        segments = tuple(Segment(0.64, 1.28, label) for label in own)
        videos[name] = VideoAnnotation(name, subset, SECONDS, own, segments)
    folder.mkdir(parents=True, exist_ok=True)
    write_annotations(folder / "annotations.json", Annotations(videos, tuple(labels)))


def values() -> NDArray[np.float16]:
    """The features of every video."""
    return np.linspace(-1, 1, SNIPPETS * CHANNELS, dtype=np.float16).reshape(SNIPPETS, CHANNELS)


def write_folder(folder: Path, count: int) -> None:
    """A file for each video."""
    features = folder / "features"
    features.mkdir(parents=True)
    for name in names(count):
        np.save(features / f"{name}.npy", values())


def write_file(folder: Path, count: int) -> None:
    """One file for all videos."""
    (folder / "features").mkdir(parents=True)
    arrays = dict.fromkeys(names(count), values())
    save_file({n: a.copy() for n, a in arrays.items()}, folder / "features" / "cbp.safetensors")


def write_store(folder: Path, count: int) -> None:
    """A feature store; its files are not written one by one to the disk, which takes longer."""
    open_store(folder, STORE).close()
    record = VideoRecord(
        name="", source="", sha256="0" * 64, size=1, frames=16 * SNIPPETS,
        source_frames=16 * SNIPPETS, duration=SECONDS, rate=25, snippets=SNIPPETS,
        widths=dict.fromkeys(STORE["modalities"], CHANNELS), settings=STORE,
        versions={"duetal": "0"}, seconds={"decoding": 0.5, "flow": 20.0, "rgb network": 10.0},
    )  # fmt: skip
    for modality in STORE["modalities"]:
        (folder / array_file(modality, "")).parent.mkdir(parents=True)
    (folder / record_file("")).parent.mkdir()
    for name in names(count):
        for modality in STORE["modalities"]:
            np.save(folder / array_file(modality, name), values())
        own = record.model_copy(update={"name": name, "source": f"/videos/{name}.mp4"})
        text = json.dumps(own.model_dump(), indent=2)
        (folder / record_file(name)).write_text(text)


LAYOUTS: dict[str, Callable[[Path, int], None]] = {
    "folder": write_folder,
    "store": write_store,
    "file": write_file,
}


def measure(step: str, folder: Path) -> tuple[float, float, float]:
    """Seconds of a step, CPU seconds, and megabytes of memory at the most."""
    command = [sys.executable, "-c", STEP, step, str(folder), *SETTINGS]
    began, used = time.perf_counter(), os.times()
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    seconds, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - used.children_user - used.children_system
    peaks = [line for line in result.stderr.splitlines() if line.startswith("peak ")]
    if not peaks:
        sys.exit(f"{step} failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")
    shutil.rmtree(f"{folder}-run", ignore_errors=True)
    return seconds, cpu, int(peaks[-1].split()[1]) * 1024 / 1e6


def main() -> None:
    """Print a row for each layout and number of videos."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", nargs="*", type=int, default=[100, 10_000, 30_000, 100_000])
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--steps", nargs="+", default=["open", "check", "train"])
    parser.add_argument("--keep", type=Path, help="folder of data sets that are kept for next time")
    options = parser.parse_args()
    print(f"{'layout':8}{'videos':>9}", end="")
    print("".join(f"{step + ' s':>10}{'CPU s':>7}{'MB':>7}" for step in options.steps), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for layout in options.layouts:
            for count in options.videos:
                folder = (options.keep or Path(temporary)) / f"{layout}-{count}"
                if not folder.exists():
                    LAYOUTS[layout](folder, count)
                    write_annotation(folder, count)
                print(f"{layout:8}{count:9,}", end="", flush=True)
                for step in options.steps:
                    seconds, cpu, megabytes = measure(step, folder)
                    print(f"{seconds:10.1f}{cpu:7.1f}{megabytes:7.0f}", end="", flush=True)
                print(flush=True)
                if options.keep is None:
                    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
