"""Train in the way of a program of its own: `tiny_run.py DATASET RUN key=value …`.

Tests start it to kill it, and in several processes.
"""

import sys
from pathlib import Path

from lightning_fabric import Fabric

from duetal.config import load_config
from duetal.datasets import open_dataset
from duetal.training.alternation import Alternation


def main(arguments: list[str]) -> None:
    dataset, folder, *settings = arguments
    config = load_config("", "none", settings)
    strategy = "ddp" if config.devices > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=config.devices, strategy=strategy)
    fabric.launch()
    videos = open_dataset(Path(dataset)).weak()
    encoder = videos.text_encoder or ""
    Alternation(fabric, config, videos, Path(folder), text_encoder=encoder).run()


if __name__ == "__main__":
    main(globals().get("ARGUMENTS") or sys.argv[1:])
