"""Training and scoring from an object store that is 30 ms away, beside a local disk.

    python benchmarks/remote_features.py [--rounds 3] [--delay 0.03] [key=value ...]

A real S3 server (moto, over HTTP, in a process of its own) adds 30 ms to each request. In turns,
from the local disk, from the store with an empty cache, and from it with what the turn before has
kept, it opens the dataset and trains: warm-up of CBP, pseudo-labels, VLP, pseudo-labels, CBP. Then
it scores all videos whole with the CBP branch. Features are 2048 and 512 channels wide, of videos
of THUMOS14's lengths; the goal is 1.15 times the time from the local disk. PyTorch computes in one
thread, since the server needs a core too. The fastest turns are compared: on a machine that does
other work besides, the others say little.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from _object_store import ObjectStore
from _thumos14 import CLASSES, TRAINING_QUANTILES, lengths
from duetal.backbones.text_towers import load_text_tower
from duetal.config import load_config
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.grid import TimeGrid
from duetal.core.url_paths import as_path
from duetal.core.weak_videos import expect_reads
from duetal.datasets import open_dataset
from duetal.method import loop
from duetal.method.loop import Method, TrainingCallback, alternate
from duetal.method.sampling import MicroBatch, load_ahead
from duetal.method.video_scoring import score_video, window_reads
from duetal.simulation.generate import simulate
from duetal.simulation.world import Simulation

SETTINGS = ["accelerator=cpu", "crop=250", "batch_size=16", "warmup_epochs=2", "b_epochs=1",
            "f_epochs=1", "alternations=1"]  # fmt: skip


def write_dataset(folder: Path, count: int) -> None:
    """Simulated features of videos as long as THUMOS14's."""
    classes = tuple(f"{chr(97 + k)}ab" for k in range(CLASSES))
    grid, videos = TimeGrid(), {}
    for number, length in enumerate(lengths(TRAINING_QUANTILES, count)):
        label, seconds = classes[number % CLASSES], length * grid.seconds_per_snippet
        segments = (Segment(seconds / 3, seconds / 2, label),)
        name = f"v_{number:03}"
        videos[name] = VideoAnnotation(name, "train", seconds, (label,), segments)
    simulate(Annotations(videos, classes), folder, Simulation(cbp_channels=2048, vlp_channels=512))


@contextmanager
def far_store(folder: Path, delay: float) -> Iterator[str]:
    """The dataset in an object store that adds `delay` seconds to each request; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    os.environ.update(
        AWS_ENDPOINT_URL=address,
        AWS_ACCESS_KEY_ID="somebody",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_DEFAULT_REGION="us-east-1",
    )
    program = Path(__file__).with_name("_object_store.py")
    with subprocess.Popen([sys.executable, program, str(port), str(delay)]) as server:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield ObjectStore(None, address=address).put(folder, "dataset")
        finally:
            server.kill()


class Waits:
    """Seconds that the loop waits for features, in place of `load_ahead`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Iterator[MicroBatch]:
        """The micro-batches of `load_ahead`."""
        batches = load_ahead(*arguments)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - began
            if batch is None:
                return
            yield batch


def measure(place: str, words: list[str]) -> tuple[float, float, float]:
    """Seconds of opening and training, of waiting in the loop, and of scoring all videos whole."""
    config = load_config("", "benchmark", [*SETTINGS, *words])
    fabric, method = Fabric(accelerator="cpu", devices=1), Method()
    torch.manual_seed(0)
    waits = Waits()
    setattr(loop, "load_ahead", waits)  # noqa: B010 - which the module does not export
    began = time.perf_counter()
    videos = open_dataset(as_path(place)).weak()
    students = alternate(fabric, config, videos, load_text_tower, TrainingCallback(), method)
    trained = time.perf_counter()
    stream, branch = videos.streams["cbp"], students["cbp"].eval()
    expect_reads(stream, window_reads(stream, videos.names, config.data.crop))
    for name in videos.names:
        score_video(branch, stream, name, config.data.crop)
    return trained - began, waits.seconds, time.perf_counter() - trained


def main() -> None:
    """Measure in turns, and print medians and their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.03)
    parser.add_argument("--videos", type=int, default=48)
    arguments, words = parser.parse_known_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary) / "dataset", Path(temporary) / "cache"
        os.environ["DUETAL_CACHE"] = str(cache)
        write_dataset(folder, arguments.videos)
        size = sum(file.stat().st_size for file in folder.rglob("*.npy")) / 1e6
        print(f"{arguments.videos} videos, {size:,.0f} MB of features; settings {SETTINGS + words}")
        with far_store(folder, arguments.delay) as url:
            took: dict[str, list[tuple[float, float, float]]] = {}
            measure(str(folder), words)  # Compiles, and brings the files into memory.
            for _ in range(arguments.rounds):
                for title, place in (("local", str(folder)), ("cold", url), ("warm", url)):
                    if title == "cold":
                        shutil.rmtree(cache, ignore_errors=True)
                    took.setdefault(title, []).append(measure(place, words))
    for number, what in enumerate(("training", "of that waiting", "scoring")):
        for title in took:
            own, local = ([each[number] for each in took[which]] for which in (title, "local"))
            print(
                f"{what} {title:5}  {statistics.median(own):7.2f} s, fastest {min(own):.2f} s: "
                f"{min(own) / min(local):.2f} times local ({', '.join(f'{s:.2f}' for s in own)})"
            )


if __name__ == "__main__":
    main()
