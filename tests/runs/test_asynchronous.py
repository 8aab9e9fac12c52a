"""Asynchronous training: workers and driver killed at any moment, versions, staleness, errors."""

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightning_fabric import Fabric

from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.results.folder import RunFolder
from duetal.runs import asynchronous
from duetal.runs.branch_worker import BranchWorker
from duetal.runs.resolving import resolve_config
from duetal.runs.training import open_for_training, train

cloudpickle = pytest.importorskip("ray.cloudpickle")
pytestmark = pytest.mark.recipe

KILLS = 50
FORK = get_context("fork")


class RayError(Exception):
    """The base of Ray's errors."""


class RayTaskError(RayError):
    """An actor's method has raised something."""

    def __init__(self, cause: Exception):
        self.cause = cause


class Reference:
    """What a call will give, or one of several things."""

    def __init__(self, actor: "Actor", of: "Reference | None" = None):
        self.actor, self.of = actor, of
        self.value: Any = None
        self.is_there = False


class Actor:
    """A process that is called by a pipe."""

    def __init__(self, kind: type, pids: Path):
        self.here, there = FORK.Pipe()
        self.process = FORK.Process(target=serve, args=(kind, there, os.getpid()), daemon=True)
        self.process.start()
        there.close()
        (pids / str(self.process.pid)).touch()
        self.pending: list[Reference] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, several: bool = False) -> Any:
            reference = Reference(self)
            self.pending.append(reference)
            values = [a.value if isinstance(a, Reference) else a for a in arguments]
            with suppress(OSError):  # It was killed: whoever waits is told.
                self.here.send_bytes(cloudpickle.dumps((name, values)))
            reference.several = second = Reference(self) if several else None
            return (reference, second) if several else reference

        return SimpleNamespace(
            remote=call,
            options=lambda num_returns: SimpleNamespace(
                remote=lambda *arguments: call(*arguments, several=True)
            ),
        )


def serve(kind: type, pipe: connection.Connection, parent: int) -> None:
    """What an actor does, for as long as its driver lives."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    made = kind()
    while True:
        while not pipe.poll(0.02):
            if os.getppid() != parent:
                os._exit(0)
        name, values = cloudpickle.loads(pipe.recv_bytes())
        try:
            value = getattr(made, name)(*values)
        except Exception as error:
            value = RayTaskError(error)
        pipe.send_bytes(cloudpickle.dumps(value))


class ForkedRay:
    """What the driver uses of Ray, with forked processes for actors, which start at once."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, pids: Path):
        self.pids = pids
        self.actors: list[Actor] = []

    def remote(self, kind: type) -> Any:
        def new() -> Actor:
            self.actors.append(Actor(kind, self.pids))
            return self.actors[-1]

        return SimpleNamespace(options=lambda **how: SimpleNamespace(remote=new))

    def wait(
        self, references: list[Reference], num_returns: int, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        connection.wait([reference.actor.here for reference in references], timeout)
        done = [r for r in references if r.is_there or r.actor.here.poll()][:num_returns]
        return done, [r for r in references if r not in done]

    def get(self, reference: Reference) -> Any:
        try:
            value = cloudpickle.loads(reference.actor.here.recv_bytes())
        except (EOFError, OSError) as error:
            raise RayError("the actor died") from error
        if isinstance(value, RayTaskError):
            raise value
        if reference.several is not None:
            value, reference.several.value = value
        return value

    def kill(self, actor: Actor) -> None:
        actor.process.kill()

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def shutdown(self) -> None:
        for actor in self.actors:
            actor.process.kill()
            actor.process.join()


def alive(pids: Path) -> list[int]:
    """The actors that live, of whichever driver."""
    return [int(file.name) for file in pids.iterdir() if is_running(int(file.name))]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill(pid: int) -> None:
    """Kill -9, if it still runs; wait until it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    while is_running(pid):
        time.sleep(0.001)


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes of workers are listed, which are forked."""
    folder = tmp_path / "pids"
    folder.mkdir()
    monkeypatch.setattr(asynchronous, "join", lambda *_: ForkedRay(folder))
    return folder


@pytest.fixture
def data(tiny_dataset: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_dataset, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def make_config(data: Path, tiny_settings: tuple[str, ...]) -> Callable[..., Config]:
    def make(*words: str) -> Config:
        fixed = (f"dataset={data}", "mode=async", "teacher_every=2", "threads=1")
        return resolve_config("demo", [*tiny_settings, *fixed, *words])

    return make


def run(config: Config, folder: RunFolder) -> None:
    """Train a run, or what is left of it, in this process."""
    fabric = Fabric(accelerator="cpu", devices=1)
    folder.path.mkdir(exist_ok=True)
    train(fabric, config, open_for_training(config, folder=folder), folder)


def reported(folder: RunFolder) -> dict[tuple[str, int], Any]:
    """The epochs that the run's log has, as it has them."""
    if not folder.metrics_file.exists():
        return {}
    found = {}
    for line in folder.metrics_file.read_text().splitlines(keepends=True):
        event = json.loads(line) if line.endswith("\n") else {}
        if event.get("event") == "epoch":
            found[event["phase"], event["epoch"]] = event
    return found


def test_killed_fifty_times(
    make_config: Callable[..., Config], data: Path, pids: Path, forked: Any, tmp_path: Path
) -> None:
    """Workers, the driver or all of them: no epoch that was reported is lost, and no video."""
    config = make_config("warmup_epochs=60", "b_epochs=60", "f_epochs=60", "staleness=20")
    folder, random = RunFolder(tmp_path / "run"), np.random.default_rng(0)
    manifest = data / "annotations.json"
    whole = manifest.read_text()
    fewer = json.loads(whole)
    late = fewer["database"].pop("v_5")
    manifest.write_text(json.dumps(fewer))
    seen: dict[tuple[str, int], Any] = {}
    kills = 0
    driver = forked(run, config, folder)
    while True:
        time.sleep(random.uniform(0.0, 0.6))
        if kills == KILLS:
            driver.wait()
            break
        workers = alive(pids)
        target = random.choice(["worker", "worker", "driver", "all"])
        victims = list(map(int, random.permutation(workers)[:1])) if target == "worker" else []
        if target != "worker":
            victims = [driver.pid, *(workers if target == "all" else [])]
        kills += bool(victims) and driver.is_alive()
        for pid in victims:
            kill(pid)
        if target != "worker":
            driver.join()
        now = reported(folder)
        assert {key: now[key] for key in seen if key in now} == {
            k: seen[k] for k in seen if k in now
        }
        seen |= now
        if kills == KILLS // 2:
            manifest.write_text(whole)
        if not driver.is_alive():
            assert driver.exitcode in (0, -9), driver.err
            if driver.exitcode == 0:
                break
            driver = forked(run, config, folder)
    assert driver.exitcode == 0, driver.err
    assert kills == KILLS
    final = reported(folder)
    assert set(final) == {("cbp", n) for n in range(1, 121)} | {("vlp", n) for n in range(1, 61)}
    assert {key: final[key] for key in seen} == seen
    lines = map(json.loads, folder.metrics_file.read_text().splitlines())
    exchanges = [line for line in lines if line["event"] == "exchange"]
    # Whoever was lost, the other's weights were not.
    assert all(line["teacher_version"] > 0 for line in exchanges if line["phase"] == "vlp")
    assert "v_5" in json.loads((folder.path / "videos.json").read_text())["videos"]
    assert late
    assert folder.model_file.exists()


@pytest.mark.parametrize("bound", [4, 10**6])
def test_staleness_is_bounded_and_logged(
    make_config: Callable[..., Config],
    pids: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bound: int,
) -> None:
    """Where CBP lets VLP go ahead, VLP waits, unless it may be ahead by any number of updates."""
    work = BranchWorker.work
    calls = {name: FORK.Value("i", 0) for name in ("cbp", "vlp")}

    def slow(self: BranchWorker, *arguments: Any) -> Any:
        name = self._student.phase.student
        calls[name].value += 1
        deadline = time.monotonic() + (0.1 if bound == 4 else 20)
        while name == "cbp" and time.monotonic() < deadline:
            if calls["vlp"].value >= min(calls["cbp"].value + 3, 8):
                break
            time.sleep(0.005)
        return work(self, *arguments)

    monkeypatch.setattr(BranchWorker, "work", slow)
    folder = RunFolder(tmp_path / "run")
    # Where nothing else bounds it, a tenth of a phase does.
    epochs = 8 if bound == 4 else 60
    words = (f"b_epochs={epochs}", f"f_epochs={epochs}", f"staleness={bound}")
    config = make_config("warmup_epochs=1", *words)
    run(config, folder)
    events = [json.loads(line) for line in folder.metrics_file.read_text().splitlines()]
    exchanges = [event for event in events if event["event"] == "exchange"]
    of_vlp = [event for event in exchanges if event["phase"] == "vlp"]
    most = max(event["staleness"] for event in of_vlp)
    assert (most > 4) == (bound > 4)
    # An epoch has six videos, so six updates at most.
    assert most <= max(4, 6 * epochs // 10)
    versions = [event["teacher_version"] for event in of_vlp]
    assert versions == sorted(versions)
    # VLP waits until CBP has passed its warm-up.
    assert versions[0] > 0
    assert {event["videos"] for event in exchanges} == {6}
    assert all(event["updates_per_second"] > 0 for event in exchanges)


def test_who_is_lost_last_is_still_taught(
    make_config: Callable[..., Config],
    pids: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Its teacher, which is done, gives its weights again."""
    work, folder = BranchWorker.work, RunFolder(tmp_path / "run")
    is_done, was_lost = (tmp_path / name for name in ("done", "lost"))

    def late(self: BranchWorker, *arguments: Any) -> Any:
        if self._student.phase.student == "vlp" and self._student.epochs_done == 3:
            while not is_done.exists():
                time.sleep(0.01)
            if not was_lost.exists():
                was_lost.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        answer = work(self, *arguments)
        if self._student.phase.student == "cbp" and answer[0].epochs == 5:
            is_done.touch()
        return answer

    monkeypatch.setattr(BranchWorker, "work", late)
    run(make_config("warmup_epochs=1", "b_epochs=4", "f_epochs=4", "teacher_every=99"), folder)
    events = [json.loads(line) for line in folder.metrics_file.read_text().splitlines()]
    versions = [
        e["teacher_version"] for e in events if e.get("phase") == "vlp" and "staleness" in e
    ]
    assert len(versions) == 4
    assert versions[-1] == 10


def another_version(self: BranchWorker) -> dict[str, Any]:
    return {"version": "9.9.9", "host": "far", "pid": 7}


def die(self: BranchWorker, *arguments: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(self: BranchWorker, *arguments: Any) -> Any:
    raise ValueError("a fault of ours")


REFUSED = {
    "another version": ("introduce", another_version, "far (process 7): has duetal 9.9.9, and the"),
    "lost again and again": ("work", die, "cbp: 10 workers were lost before an epoch more was"),
    "a fault": ("work", fail, "failed: ValueError: a fault of ours"),
}


@pytest.mark.parametrize(("method", "instead", "message"), REFUSED.values(), ids=REFUSED)
def test_workers_that_cannot_be_used(
    make_config: Callable[..., Config],
    pids: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    method: str,
    instead: Any,
    message: str,
) -> None:
    monkeypatch.setattr(BranchWorker, method, instead)
    with pytest.raises(DuetalError, match=re.escape(message)):
        run(make_config(), RunFolder(tmp_path / "run"))
    assert not alive(pids)


def test_bad_features_are_named_as_ever(
    make_config: Callable[..., Config], data: Path, pids: Path, tmp_path: Path
) -> None:
    file = next((data / "features" / "vlp").glob("v_3*"))
    values = np.load(file)
    values[3, 2] = np.nan
    config = make_config("warmup_epochs=1")
    dataset = open_for_training(config)
    np.save(file, values)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    with pytest.raises(DuetalError, match=rf"{file.name}.*nan"):
        train(Fabric(accelerator="cpu", devices=1), config, dataset, folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), 'mode=async with cluster=local needs Ray, which pip install "duetal[cluster]" brings'),
        (
            ("cluster=nowhere",),
            "mode=async with cluster=nowhere: must be auto, local, HOST:PORT or ray://",
        ),
    ],
)
def test_without_ray(
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=re.escape(message)):
        run(make_config(*words), RunFolder(tmp_path / "run"))
