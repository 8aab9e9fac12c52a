"""Several processes end with one error between them, whichever of them fails."""

import resource
import subprocess
import sys
from typing import Any

import pytest
import torch

from duetal.config import MachineSettings
from duetal.core.errors import DuetalError, UsageError
from duetal.runs.processes import device_of, is_first, keep_freed_memory, processes


def fail(failing: str) -> None:
    try:
        with processes(MachineSettings(devices=2, accelerator="cpu")) as fabric:
            assert is_first() == (fabric.global_rank == 0)
            if str(fabric.global_rank) in failing:
                raise DuetalError(f"rank {fabric.global_rank} fails")
            fabric.barrier()
            print("beyond the barrier")
    except DuetalError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("failing", "message"),
    [("1", {"rank 1 fails"}), ("0,1", {"rank 0 fails", "rank 1 fails"})],
)
def test_one_of_them_reports_the_cause(forked: Any, failing: str, message: set[str]) -> None:
    process = forked.ranks(fail, failing)
    assert process.wait(120) == 1
    assert process.out == ""
    assert process.err.count("\n") == 1
    assert process.err.strip() in message


#: Prints how many pages the system gave for updates that need no more memory than the first ones.
#: Each frees its last block first, so that what is free ends where the heap does.
_UPDATES = """
import ctypes
import resource
from duetal.runs.processes import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def update():
    size = 20 * 2**20
    blocks = [libc.malloc(size) for _ in range(5)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in reversed(blocks):
        libc.free(block)

assert keep_freed_memory()
update()
update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    update()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_that_was_freed_is_used_again() -> None:
    """In a process of its own: in one that was long at work what is free lies scattered."""
    if not keep_freed_memory():
        pytest.skip("this C library is not glibc: it keeps what it will")
    words = [sys.executable, "-c", _UPDATES]
    found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert int(found.stdout) < 5 * 5 * 20 * 2**20 / resource.getpagesize() / 10


def test_threads_are_set() -> None:
    before = torch.get_num_threads()
    try:
        with processes(MachineSettings(threads=before + 1, accelerator="cpu")) as fabric:
            assert torch.get_num_threads() == before + 1
            assert fabric.device == torch.device("cpu")
            assert is_first()
    finally:
        torch.set_num_threads(before)


def test_an_error_of_one_process_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError), processes(MachineSettings(accelerator="cpu")):
        raise ZeroDivisionError


def test_a_device_that_is_not_there_is_an_error() -> None:
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="accelerator=quantum"):
        device_of("quantum")
