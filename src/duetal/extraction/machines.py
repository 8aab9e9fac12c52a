"""Joining a Ray cluster, and dividing its machines among workers."""

import logging
import os
import re
import socket
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

from duetal.core.errors import DuetalError, UsageError

#: CPU cores that a worker without a GPU has: its stages overlap, and one more would idle.
CPUS = 4
_ADDRESS = re.compile(r"(?:ray://)?(?P<host>[^/]+):(?P<port>[0-9]{1,5})")
#: Seconds to wait for the other end of an address.
_TIMEOUT = 10.0


class Machine(NamedTuple):
    """The CPU cores and GPUs of a machine of a cluster."""

    cpus: int
    gpus: int


class Share(NamedTuple):
    """How a cluster is divided: the number of workers, and the CPU cores and GPUs of each."""

    workers: int
    cpus: int
    gpus: int


def divide(
    machines: Sequence[Machine], device: str, workers: int | None, cpus: int | None
) -> Share:
    """Divide machines among workers: a GPU each where there are any, otherwise some CPU cores.

    Args:
        machines: of the cluster, as they are now.
        device: "auto", "cpu" or "cuda".
        workers: how many; None for as many as there is room for now.
        cpus: cores of each; None divides those of a machine evenly among its GPUs.

    Raises:
        UsageError: no machine has room for a worker, and `workers` is None.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device: a cluster chooses its devices itself, so not {device!r}")
    with_gpus = [machine for machine in machines if machine.gpus]
    gpus = int(device == "cuda" or (device == "auto" and bool(with_gpus)))
    if gpus:
        cpus = cpus or min((max(1, m.cpus // m.gpus) for m in with_gpus), default=1)
        room = sum(min(m.gpus, m.cpus // cpus) for m in with_gpus)
    else:
        cpus = cpus or max(1, min(CPUS, max((m.cpus for m in machines), default=1)))
        room = sum(m.cpus // cpus for m in machines)
    if not (workers or room):
        needed = f"{cpus} CPU core{'s' if cpus > 1 else ''}" + (" and a GPU" if gpus else "")
        cause = f"no machine of the cluster has {needed}; --workers N waits for N that will"
        raise UsageError(cause)
    return Share(workers or room, cpus, gpus)


def join(address: str, option: str = "--cluster") -> ModuleType:
    """Join a Ray cluster; end with `shutdown` of the module that is returned.

    The address is "auto" (the cluster that this machine is part of), "local" (a new one, of this
    machine), "host:port" or "ray://host:port". `option` is what an error names.

    Raises:
        UsageError: no such address, or Ray is not installed.
        DuetalError: no cluster answers there, or one of another version of Ray.
    """
    remote = _ADDRESS.fullmatch(address)
    if remote is None and address not in ("auto", "local"):
        cause = "must be auto, local, HOST:PORT or ray://HOST:PORT"
        raise UsageError(f"{option}: {cause}, not {address!r}")
    # Ray reports the use of a cluster unless it is turned off.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        cause = f'{option} needs Ray, which pip install "duetal[cluster]" brings'
        raise UsageError(cause) from error
    if remote is not None:
        # Ray would need minutes to find out that there is no server.
        try:
            server = (remote["host"], int(remote["port"]))
            socket.create_connection(server, timeout=_TIMEOUT).close()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DuetalError(f"no Ray cluster answers: {reason}", file=address) from error
    how: dict[str, Any] = {}
    if address == "local":
        # No array goes through Ray's own store, and /dev/shm is small in a container.
        how = {"include_dashboard": False, "object_store_memory": 100_000_000}
    try:
        # What workers print stays with them; the driver reports which are lost, and why.
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **how)
    except Exception as error:  # of any of the layers below
        raise DuetalError(f"cannot join the Ray cluster: {_reason(error)}", file=address) from error
    return ray


def _reason(error: BaseException) -> str:
    """The innermost reason of an error of Ray in one line, without tracebacks."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any("Traceback (most recent" in line for line in lines):
        lines = lines[-1:]
    return " ".join(lines) or type(error).__name__


def machines_of(ray: ModuleType) -> list[Machine]:
    """The machines of the cluster that was joined."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Machine(int(r.get("CPU", 0)), int(r.get("GPU", 0))) for r in resources]
