"""Two machines of two processes each, here on one: by torchrun and by SLURM's variables."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

import duetal as api
from duetal.cli.main import main
from duetal.results.checkpoints import load

pytestmark = pytest.mark.recipe
#: Dropout and several updates an epoch, of 6 videos: the last batch is of 2.
WORDS = ("dropout=0.2", "cbp.channel_dropout=0.3", "b_epochs=2", "f_epochs=2")
Start = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def slurm(rank: int, size: int, port: int) -> dict[str, str]:
    """The environment that srun gives to a task of two machines, or of one where it is alone."""
    nodes = 1 if size % 2 else 2
    each = size // nodes
    return {
        "SLURM_JOB_ID": "1234",
        "SLURM_JOB_NAME": "train",
        "SLURM_STEP_ID": "0",
        "SLURM_NNODES": str(nodes),
        "SLURM_STEP_NUM_NODES": str(nodes),
        "SLURM_NTASKS": str(size),
        "SLURM_NTASKS_PER_NODE": str(each),
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank % each),
        "SLURM_NODEID": str(rank // each),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def as_task(
    environment: dict[str, str], versions: dict[int, str], words: list[str], late: float
) -> None:
    time.sleep(late)
    os.environ.update(environment)
    rank_zero_only.rank = int(environment["SLURM_PROCID"])
    if rank_zero_only.rank in versions:
        import duetal.runs.processes

        duetal.runs.processes.__version__ = versions[rank_zero_only.rank]
    main(words)


@pytest.fixture
def start_tasks(forked: Start) -> Iterator[Start]:
    """Start a command as so many tasks of SLURM; what is left of them ends with the test."""
    tasks: list[Any] = []

    def start(
        size: int, words: list[str], versions: dict[int, str] | None = None, late: float = 0
    ) -> list[Any]:
        port = free_port()
        own = [
            # The last one comes late.
            forked(as_task, slurm(r, size, port), versions or {}, words, late * (r == size - 1))
            for r in range(size)
        ]
        tasks.extend(own)
        return own

    yield start
    for task in tasks:
        task.kill()


def end(tasks: list[Any]) -> list[int]:
    return [task.wait(300) for task in tasks]


def assert_same(run: Path, expected: Path) -> None:
    paths = sorted((expected / "checkpoints").glob("*.safetensors"))
    assert paths
    for path in paths:
        found = load(run / "checkpoints" / path.name).tensors
        for name, tensor in load(path).tensors.items():
            torch.testing.assert_close(
                found[name], tensor, atol=1e-4, rtol=0, msg=f"{path.name}: {name}"
            )


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, tiny_dataset: Path, tiny_settings: tuple[str, ...]
) -> tuple[list[str], Path]:
    """The words of a command, and the run that one process makes of them."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    words = ["train", "demo", f"dataset={tiny_dataset}", *tiny_settings, *WORDS]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(folder)])
    assert stop.value.code == 0
    return words, folder


def test_torchrun_on_two_machines(whole: tuple[list[str], Path], tmp_path: Path) -> None:
    words, expected = whole
    port, out = free_port(), tmp_path / "run"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=2"]
    launcher += ["--rdzv-backend=static", "--master-addr=127.0.0.1", f"--master-port={port}"]
    command = ["-m", "duetal", *words, "--out", str(out)]
    machines = [
        subprocess.Popen(
            [*launcher, f"--node-rank={rank}", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    printed = [machine.communicate(timeout=300) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], printed
    assert sum("report: " in out for out, _ in printed) == 1
    assert_same(out, expected)
    # Every machine localizes its share of the videos.
    one, other = (api.load(run).evaluation for run in (out, expected))
    assert one is not None
    assert other is not None
    for stage, same in zip(one.stages, other.stages, strict=True):
        assert stage.mean_ap == pytest.approx(same.mean_ap, abs=0.02)


def interrupted(tasks: list[Any], run: Path) -> None:
    """Kill all tasks once an epoch of the second phase is on disk."""
    deadline = time.monotonic() + 240
    while not (run / "checkpoints" / "vlp-zeroshot.safetensors").exists():
        assert time.monotonic() < deadline, [task.err for task in tasks]
        time.sleep(0.01)
    for task in tasks:
        task.send_signal(signal.SIGKILL)
    for task in tasks:
        task.wait(60)


def test_a_run_killed_on_four_processes_goes_on_on_fewer(
    whole: tuple[list[str], Path], start_tasks: Start, tmp_path: Path
) -> None:
    words, expected = whole
    for size in (3, 2, 1):
        run = tmp_path / f"on-{size}"
        command = [*words, "--out", str(run)]
        interrupted(start_tasks(4, command), run)
        tasks = start_tasks(size, [*command, "--resume"])
        assert end(tasks) == [0] * size, [task.err for task in tasks]
        assert_same(run, expected)


def test_one_that_comes_late_is_waited_for(
    whole: tuple[list[str], Path], start_tasks: Start, tmp_path: Path
) -> None:
    words, expected = whole
    tasks = start_tasks(2, [*words, "--out", str(tmp_path / "run")], late=4)
    assert end(tasks) == [0, 0], [task.err for task in tasks]
    assert_same(tmp_path / "run", expected)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({}, "a process of the run was lost: was it killed, or its machine cut off?"),
        ({"versions": {3: "9.9"}}, "the versions of the run's processes differ: {'duetal': '"),
        ({"words": ["devices=3"]}, "machine.devices: 3; 2 processes were started on each machine"),
        ({"words": ["--videos", ".", "--labels", "x.csv"]}, "--videos: of several machines none"),
    ],
)
def test_faults_have_a_line(
    whole: tuple[list[str], Path],
    start_tasks: Start,
    tmp_path: Path,
    change: dict[str, Any],
    cause: str,
) -> None:
    words, _ = whole
    out, own = tmp_path / "run", change.get("words", [])
    if "--videos" in own:
        words = [word for word in words if not word.startswith("dataset=")]
    if not change:
        words = [*words, "b_epochs=2000"]
    tasks = start_tasks(4, [*words, *own, "--out", str(out)], change.get("versions"))
    if not change:
        deadline = time.monotonic() + 240
        while not (out / "checkpoints" / "vlp-zeroshot.safetensors").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        tasks[2].kill()
    codes = end(tasks)
    assert all(codes)
    lines = list(itertools.chain(*(task.err.splitlines() for task in tasks)))
    assert any(cause in line for line in lines), lines
    assert not any("Traceback" in line or "internal" in line for line in lines), lines
