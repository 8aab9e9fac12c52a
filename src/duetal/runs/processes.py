"""The processes of a run: how they start, and how they speak with one voice."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.strategy import Strategy
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import distributed

from duetal.config import Config, make_config
from duetal.core.errors import UsageError

#: The others wait while the first process evaluates. A process that died is noticed without this.
PATIENCE = timedelta(hours=24)
_TOLD = "duetal/told"


def is_first() -> bool:
    """Whether this is the process that writes and speaks; known before any other is started."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def device_of(accelerator: str) -> torch.device:
    """The device that Lightning Fabric means by auto, cpu, cuda or mps.

    Raises:
        UsageError: this machine has no such thing.
    """
    return _fabric(make_config({"accelerator": accelerator}, "command line")).device


@contextmanager
def processes(config: Config) -> Iterator[Fabric]:
    """Start the run's processes; device, precision and threads of this one are settled.

    Lightning Fabric starts the others with the words of this one's command line. When one of them
    fails the others do too, at the next thing they do together: only the first to fail says why,
    the others end in silence with exit code 1.

    Raises:
        UsageError: a device, number of devices or precision that this machine does not have.
    """
    fabric = _start(config)
    try:
        yield fabric
    except BaseException as error:
        if fabric.world_size == 1 or (isinstance(error, KeyboardInterrupt) and is_first()):
            raise
        if not isinstance(error, KeyboardInterrupt) and _first_to_tell():
            for child in _children(fabric):
                child.terminate()
            raise
        for child in _children(fabric):
            # It may be the one that is saying why.
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
        sys.exit(1)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _start(config: Config) -> Fabric:
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = _fabric(config)
    fabric.launch()
    if config.threads:
        torch.set_num_threads(config.threads)
    return fabric


def _fabric(config: Config) -> Fabric:
    strategy: Strategy | str = DDPStrategy(timeout=PATIENCE) if config.devices > 1 else "auto"
    try:
        return Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=strategy,
            precision=config.precision,  # type: ignore[arg-type]
        )
    except Exception as error:  # Fabric raises many kinds, some of its own
        first_line = str(error).strip().partition("\n")[0]
        asked = f"accelerator={config.accelerator} devices={config.devices}"
        raise UsageError(f"{asked} precision={config.precision}: {first_line}") from error


def _first_to_tell() -> bool:
    try:
        store: Any = distributed.distributed_c10d._get_default_store()
        return int(store.add(_TOLD, 1)) == 1
    except RuntimeError:
        # The store lives in the first process: it has gone, and has said why.
        return False


def _children(fabric: Fabric) -> list[subprocess.Popen[bytes]]:
    """The processes that this one has started."""
    return list(getattr(fabric.strategy.launcher, "procs", []))
