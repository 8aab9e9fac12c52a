"""The processes of a run: how they start, and how one of them reports an error for all.

On one machine Lightning Fabric starts them. On several, torchrun or SLURM's srun has, and says in
the environment how many there are.
"""

import ctypes
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.strategy import Strategy
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import distributed

from duetal import __version__
from duetal.config import MachineSettings
from duetal.core.errors import DuetalError, UsageError, first_line

#: The others wait while the first process evaluates. A process that died is noticed without this.
TIMEOUT = timedelta(hours=24)
_FAILED = "duetal/failed"
#: Options of glibc's `mallopt`: what is free at the end of the heap before it is given back, and
#: the size from which a block is not of the heap (32 MiB is the most there is).
_MALLOC = {-1: 512 * 2**20, -3: 32 * 2**20}


def is_first() -> bool:
    """Whether this is the process that writes; known before any other is started."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def device_of(accelerator: str) -> torch.device:
    """What Lightning Fabric means by auto, cpu, cuda or mps; a UsageError if it is not there."""
    return _fabric(MachineSettings(accelerator=accelerator)).device


@contextmanager
def processes(settings: MachineSettings) -> Iterator[Fabric]:
    """Start the run's processes; device, precision and threads of this one are settled.

    Lightning Fabric starts the others with the arguments of this one's command line, unless they
    are there. When one of them fails the others do too, at their next collective operation: only
    the first to fail raises, the others exit with code 1.

    Raises:
        UsageError: a device, number of devices or precision that this machine does not have.
        DuetalError: a process has another version, or was lost.
    """
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    keep_freed_memory()
    fabric = _fabric(settings)
    fabric.launch()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    try:
        require_agreement(fabric, "versions", {"duetal": __version__, "torch": torch.__version__})
        yield fabric
    except BaseException as error:
        if fabric.world_size == 1 or (isinstance(error, KeyboardInterrupt) and is_first()):
            raise
        if not isinstance(error, KeyboardInterrupt) and _is_first_to_fail():
            for child in _children(fabric):
                child.terminate()
            if _is_lost(error):
                cause = "a process of the run was lost: was it killed, or its machine cut off? "
                cause += "The command goes on from the last checkpoint with --resume"
                raise DuetalError(f"{cause} ({first_line(error)})") from error
            raise
        for child in _children(fabric):
            # It may be the one that reports the cause.
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
        sys.exit(1)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next update, which needs as much; whether it will.

    It would give large blocks back to the system, which clears every page of them anew.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # Another C library.
        return False
    return all(mallopt(option, value) for option, value in _MALLOC.items())


def require_agreement(fabric: Fabric, what: str, value: object) -> None:
    """Check that a value is the same in all processes; a DuetalError names two that differ."""
    if fabric.world_size == 1:
        return
    own = (f"process {fabric.global_rank} on {socket.gethostname()}", value)
    every: list[Any] = [None] * fabric.world_size
    distributed.all_gather_object(every, own)
    (first, expected), *others = every
    for other, found in others:
        if found != expected:
            cause = f"the {what} of the run's processes differ: {expected} in {first}, "
            raise DuetalError(f"{cause}{found} in {other}")


def started_elsewhere() -> bool:
    """Whether torchrun or srun has started this process, and others beside it."""
    nodes, devices, environment = _layout(1)
    return environment.creates_processes_externally and nodes * devices > 1


def _layout(devices: int) -> tuple[int, int, ClusterEnvironment]:
    """Machines, processes on each, and where Fabric reads which of them this one is."""
    if TorchElasticEnvironment.detect():
        elastic = TorchElasticEnvironment()
        each = int(os.environ["LOCAL_WORLD_SIZE"])
        return elastic.world_size() // each, each, elastic
    # In the script of a batch job, beside srun, there is one process whatever the job has.
    if {"SLURM_STEP_ID", "SLURM_NTASKS"} <= os.environ.keys():
        nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", os.environ.get("SLURM_NNODES", "1")))
        slurm = SLURMEnvironment()
        return nodes, slurm.world_size() // nodes, slurm
    return 1, devices, LightningEnvironment()


def _fabric(settings: MachineSettings) -> Fabric:
    nodes, devices, environment = _layout(settings.devices)
    if settings.devices not in (1, devices):
        cause = f"{settings.devices}; {devices} processes were started on each machine: leave it"
        raise UsageError(cause, place="machine.devices")
    several = nodes * devices > 1
    strategy: Strategy | str = DDPStrategy(timeout=TIMEOUT) if several else "auto"
    try:
        return Fabric(
            accelerator=settings.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy,
            plugins=[environment] if several else None,
            precision=settings.precision,  # type: ignore[arg-type]
        )
    except Exception as error:  # Fabric raises many kinds, some of its own
        given = f"accelerator={settings.accelerator} devices={devices}"
        raise UsageError(f"{given} precision={settings.precision}: {first_line(error)}") from error


def _is_lost(error: BaseException) -> bool:
    """Whether the connection to another process has ended."""
    # Gloo raises a plain RuntimeError, with the place in its source.
    is_gloo = isinstance(error, RuntimeError) and "gloo/transport" in str(error)
    return is_gloo or isinstance(error, distributed.DistError)


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
