"""Train as a program of its own: `tiny_run.py DATASET RUN key=value …`.

Tests start it to kill it, and in several processes.
"""

import sys
from pathlib import Path

from lightning_fabric import Fabric

from duetal.config import load_config
from duetal.datasets import open_dataset
from duetal.method.loop import Method
from duetal.results.folder import RunFolder
from duetal.runs.training import open_journal, train_phases


def main(arguments: list[str]) -> None:
    dataset, folder, *settings = arguments
    config = load_config("", "none", settings)
    devices = config.machine.devices
    strategy = "ddp" if devices > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=devices, strategy=strategy)
    fabric.launch()
    videos = open_dataset(Path(dataset)).weak()
    run, method = RunFolder(Path(folder)), Method()
    with open_journal(fabric, config, videos, run, method) as journal:
        train_phases(fabric, config, videos, run, method, journal)


if __name__ == "__main__":
    main(globals().get("ARGUMENTS") or sys.argv[1:])
