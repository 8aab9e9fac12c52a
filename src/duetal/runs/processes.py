"""The processes of a run: how they start, and how one of them reports an error for all."""

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

from duetal.config import MachineSettings
from duetal.core.errors import UsageError, first_line

#: The others wait while the first process evaluates. A process that died is noticed without this.
TIMEOUT = timedelta(hours=24)
_FAILED = "duetal/failed"


def is_first() -> bool:
    """Whether this is the process that writes; known before any other is started."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def device_of(accelerator: str) -> torch.device:
    """What Lightning Fabric means by auto, cpu, cuda or mps; a UsageError if it is not there."""
    return _fabric(MachineSettings(accelerator=accelerator)).device


@contextmanager
def processes(settings: MachineSettings) -> Iterator[Fabric]:
    """Start the run's processes; device, precision and threads of this one are settled.

    Lightning Fabric starts the others with the arguments of this one's command line. When one of
    them fails the others do too, at their next collective operation: only the first to fail raises,
    the others exit with code 1.

    Raises:
        UsageError: a device, number of devices or precision that this machine does not have.
    """
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = _fabric(settings)
    fabric.launch()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    try:
        yield fabric
    except BaseException as error:
        if fabric.world_size == 1 or (isinstance(error, KeyboardInterrupt) and is_first()):
            raise
        if not isinstance(error, KeyboardInterrupt) and _is_first_to_fail():
            for child in _children(fabric):
                child.terminate()
            raise
        for child in _children(fabric):
            # It may be the one that reports the cause.
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
        sys.exit(1)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _fabric(settings: MachineSettings) -> Fabric:
    strategy: Strategy | str = DDPStrategy(timeout=TIMEOUT) if settings.devices > 1 else "auto"
    try:
        return Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=strategy,
            precision=settings.precision,  # type: ignore[arg-type]
        )
    except Exception as error:  # Fabric raises many kinds, some of its own
        given = f"accelerator={settings.accelerator} devices={settings.devices}"
        raise UsageError(f"{given} precision={settings.precision}: {first_line(error)}") from error


def _is_first_to_fail() -> bool:
    try:
        store: Any = distributed.distributed_c10d._get_default_store()
        return int(store.add(_FAILED, 1)) == 1
    except RuntimeError:
        # The store lives in the first process, which has ended and reported the cause.
        return False


def _children(fabric: Fabric) -> list[subprocess.Popen[bytes]]:
    """The processes that this one has started."""
    return list(getattr(fabric.strategy.launcher, "procs", []))
