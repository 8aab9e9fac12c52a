"""Videos that the processes of a run score together: each its share, and the first has them all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from lightning_fabric import Fabric
from torch import distributed

Result = TypeVar("Result")

#: Videos that each process scores before the first one takes what was found.
_AT_ONCE = 8


def share_of_names(fabric: Fabric | None, names: Sequence[str]) -> Sequence[str]:
    """Those of some videos that this process works on, in their order."""
    return names if fabric is None else names[fabric.global_rank :: fabric.world_size]


def in_turns(
    fabric: Fabric | None, names: Sequence[str], work: Callable[[str], Result]
) -> Iterator[Result]:
    """What `work` makes of each video, in their order, on the first process; nothing on others.

    All processes of `fabric` use this up with the same names; None is one process alone.
    """
    rank, processes = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
    if processes == 1:
        yield from map(work, names)
        return
    size = processes * _AT_ONCE
    for start in range(0, len(names), size):
        block = names[start : start + size]
        own = [work(name) for name in block[rank::processes]]
        every: list[Any] | None = [None] * processes if rank == 0 else None
        distributed.gather_object(own, every)
        if every is not None:
            yield from (every[i % processes][i // processes] for i in range(len(block)))


def announce(fabric: Fabric, job: object) -> None:
    """Tell the other processes, which wait in `announced`, what they are to do now."""
    if fabric.world_size > 1:
        distributed.broadcast_object_list([job])


def announced(fabric: Fabric) -> Any:
    """What the first process announces next."""
    job: list[Any] = [None]
    distributed.broadcast_object_list(job)
    return job[0]
