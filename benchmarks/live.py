"""Memory and time of live localization against the hours that it has lasted.

    OMP_NUM_THREADS=1 python benchmarks/live.py --hours 10

Plays simulated features for hours to a run that was trained for a moment, and prints after 10
minutes and after each hour the resident memory, the milliseconds a snippet (of 640), and what is
kept.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.cli.main import cli
from duetal.datasets import open_dataset
from duetal.formats.activitynet import write_annotations
from duetal.live.live_localizer import LiveLocalizer
from duetal.runs.run import open_run
from duetal.simulation.world import made_up_annotations


def resident() -> float:
    """Resident memory of this process, MiB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    """Train, play, and print a line an hour."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_annotations(folder / "annotations.json", made_up_annotations())
        for words in (
            ["simulate", folder / "annotations.json", "--out", folder / "data"],
            ["train", "demo", f"dataset={folder / 'data'}", "warmup_epochs=2", "alternations=0",
             "--out", folder / "run"],
        ):  # fmt: skip
            cli.main([*map(str, words)], standalone_mode=False)
        dataset, run = open_dataset(folder / "data"), open_run(folder / "run")
        live = LiveLocalizer(run, run.model.stages_named(None))
        videos = [
            {branch: stream.read(name) for branch, stream in dataset.streams.items()}
            for name in dataset.evaluation
        ]
        play(live, videos, options.hours)


def play(live: LiveLocalizer, videos: list[dict[str, NDArray[np.float32]]], hours: int) -> None:
    """Play the videos one after the other, again and again."""
    marks = [600.0, *(3600.0 * hour for hour in range(1, hours + 1))]
    number = told = 0
    began = time.perf_counter()
    print(f"{'hours':>6}{'MiB':>8}{'ms a snippet':>14}{'kept':>6}{'remembered':>12}{'told':>9}")
    while marks:
        streams = videos[number % len(videos)]
        for rows in zip(*streams.values(), strict=True):
            told += len(live.add(dict(zip(streams, rows, strict=True))))
        number += 1
        if live.seconds >= marks[0]:
            each = 1000 * (time.perf_counter() - began) / (live.seconds / 0.64)
            print(
                f"{marks.pop(0) / 3600:>6.1f}{resident():>8.0f}{each:>14.1f}{live.kept:>6}"
                f"{len(live.remembered):>12}{told:>9,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
