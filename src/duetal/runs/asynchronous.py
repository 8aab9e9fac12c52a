"""Asynchronous online training: each branch in a process of its own, as an actor of Ray.

The driver hands a worker a few updates at a time, with the newest weights of its teacher, and does
not have it wait, unless it is ahead of them by more than `schedule.staleness`, or CBP has not yet
passed its warm-up. Weights pass through Ray from worker to worker; what orders them is how many
updates they have seen, never a clock. An update counts when it is on the worker's disk: a worker
that is lost is replaced by one that goes on from there, and so is a lost driver, by `--resume`.
"""

import contextlib
import json
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric

import duetal
from duetal.backbones.class_embeddings import load_text
from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.core.weak_videos import WeakVideos
from duetal.extraction.machines import join, machines_of
from duetal.method.loop import Method
from duetal.method.online import OnlineStudent, begin_online, finish_online
from duetal.method.schedule import Phase
from duetal.results.folder import RunFolder
from duetal.runs.branch_worker import BranchReport, BranchWorker
from duetal.runs.journal import Journal
from duetal.runs.recorder import Recorder, restore_student

#: Gives what reads the training videos, in whatever process.
OpenVideos = Callable[[], Callable[[], WeakVideos]]
#: Workers of a branch that may be lost one after the other, before an epoch more is on disk.
_ATTEMPTS = 10
#: Seconds that the driver waits for workers at a time.
_PAUSE = 2.0
#: What is done with a worker: yields what the driver waits for, or None, is sent the result.
_Life = Generator[Any, Any, None]


@dataclass(eq=False)
class _BranchSeat:
    """The place of a branch's worker. When the worker is lost, another one takes it."""

    phase: Phase
    folder: RunFolder
    actor: Any = None
    life: _Life | None = None
    waits_for: Any = None  #: Ray's reference to what the worker is doing; None: nothing.
    report: BranchReport | None = None
    weights: Any = None  #: Ray's reference to the branch's newest weights; None: they are lost.
    process: str = ""
    copied: int = 0  #: Bytes of the worker's metrics.jsonl that the run has.
    losses: int = 0  #: Workers lost since the last epoch that came onto the disk.

    @property
    def is_done(self) -> bool:
        return self.report is not None and self.report.epochs == self.phase.epochs

    @property
    def is_teacher(self) -> bool:
        """Whether its branch has passed the epochs in which it is not taught itself."""
        return self.weights is not None and self.taught >= 0

    @property
    def taught(self) -> int:
        """Updates since then; before, less than none."""
        assert self.report is not None
        return self.report.updates - (self.phase.untaught or 0) * self.report.in_epoch

    @property
    def to_teach(self) -> int:
        """Updates of the epochs in which it is taught."""
        assert self.report is not None
        return (self.phase.epochs - (self.phase.untaught or 0)) * self.report.in_epoch


def train_async(
    fabric: Fabric,
    config: Config,
    read_videos: Callable[[], WeakVideos],
    open_videos: OpenVideos,
    folder: RunFolder,
    journal: Journal,
    method: Method,
) -> None:
    """Train the branches in a process each; `open_videos` gives each its own `read_videos`.

    Raises, besides the errors of `train_online`:
        UsageError: Ray is not installed; several devices; a worker of another version of duetal.
        DuetalError: workers are lost again and again.
    """
    if fabric.world_size > 1:
        raise UsageError("a process for each branch: leave devices at 1", place="schedule.mode")
    videos = read_videos()
    recorder = Recorder(fabric, config, videos, folder, journal)
    students = begin_online(fabric, config, videos, load_text, recorder, method)
    seats = [_BranchSeat(s.phase, _of_worker(folder, s)) for s in students]
    # Stages are kept when both branches are done.
    if not any(folder.checkpoint(seat.phase.stage).is_file() for seat in seats):
        _Driver(config, open_videos, journal, method, seats).run()
    for student in students:
        restore_student(student, _of_worker(folder, student).checkpoint("resume"))
    videos = read_videos()
    recorder.on_videos(videos)
    finish_online(fabric, config, videos, students, recorder)


def _of_worker(folder: RunFolder, student: OnlineStudent) -> RunFolder:
    """Where a branch's worker keeps its part of the run."""
    return RunFolder(folder.path / "workers" / student.phase.name)


class _Driver:
    """Keeps a worker in every seat at work."""

    def __init__(
        self,
        config: Config,
        open_videos: OpenVideos,
        journal: Journal,
        method: Method,
        seats: list[_BranchSeat],
    ):
        self._config, self._open, self._journal, self._method = config, open_videos, journal, method
        self._seats = {seat.phase.student: seat for seat in seats}

    def run(self) -> None:
        """Train every branch to its end."""
        # Ray has its workers stand back behind every other program; these are the program.
        os.environ.setdefault("RAY_worker_niceness", "0")
        address = self._config.machine.cluster
        self._ray: Any = join(address, f"mode=async with cluster={address}")
        try:
            for seat in self._seats.values():
                self._start(seat)
            while not all(seat.is_done for seat in self._seats.values()):
                self._step()
        finally:
            self._ray.shutdown()

    def _start(self, seat: _BranchSeat) -> None:
        """Put a new worker into a seat."""
        gpus = 0.0
        if self._config.machine.accelerator in ("auto", "cuda", "gpu"):
            there = sum(machine.gpus for machine in machines_of(self._ray))
            gpus = min(1.0, there / len(self._seats))
        # A branch trains on a core that another job has, rather than waiting for one.
        how = {"num_cpus": 0, "num_gpus": gpus}
        seat.actor = self._ray.remote(BranchWorker).options(**how).remote()
        seat.life, seat.process = self._live(seat), ""
        self._go_on(seat, None)

    def _live(self, seat: _BranchSeat) -> _Life:
        """All that is done with one worker, from its start on."""
        introduced = yield seat.actor.introduce.remote()
        seat.process = f"{introduced['host']} (process {introduced['pid']})"
        if introduced["version"] != duetal.__version__:
            cause = f"has duetal {introduced['version']}, and the driver {duetal.__version__}"
            raise UsageError(cause, file=seat.process)
        arguments = (self._config, seat.folder, seat.phase.name, self._method, self._open)
        yield from self._take(seat, seat.actor.begin, *arguments)
        while True:
            if seat.weights is None:
                yield from self._take(seat, seat.actor.work, 0, 0, 0, None)
            elif seat.is_done or self._is_to_wait(seat):
                yield None
            else:
                updates = self._config.schedule.teacher_every
                yield from self._take(seat, seat.actor.work, updates, *self._lesson(seat))

    def _lesson(self, seat: _BranchSeat) -> tuple[int, int, Any]:
        """By how much a branch is ahead of its teacher's weights, their version, and they."""
        teacher = self._teacher(seat)
        if teacher.report is None or not teacher.is_teacher:
            return 0, 0, None
        return self._ahead(seat), teacher.report.updates, teacher.weights

    def _take(self, seat: _BranchSeat, method: Any, *arguments: Any) -> _Life:
        """Call a worker; its report and its weights are the seat's then."""
        coming, weights = method.options(num_returns=2).remote(*arguments)
        report = yield coming
        before = 0 if seat.report is None else seat.report.epochs
        seat.report, seat.weights = report, weights
        if report.epochs > before:
            seat.losses = 0
        self._copy(seat)

    def _teacher(self, seat: _BranchSeat) -> _BranchSeat:
        return self._seats[str(seat.phase.teacher)]

    def _is_to_wait(self, seat: _BranchSeat) -> bool:
        """Whether a branch has no teacher yet in an epoch that is taught, or is ahead of it."""
        if not seat.is_teacher:
            return False
        schedule = self._config.schedule
        # In a short phase a tenth of it.
        bound = min(schedule.staleness, max(schedule.teacher_every, seat.to_teach // 10))
        return not self._teacher(seat).is_teacher or self._ahead(seat) > bound

    def _ahead(self, seat: _BranchSeat) -> int:
        """Updates by which a branch is ahead of its teacher's weights, by their shares done."""
        teacher = self._teacher(seat)
        behind = teacher.taught / max(1, teacher.to_teach)
        return max(0, seat.taught - round(behind * seat.to_teach))

    def _copy(self, seat: _BranchSeat) -> None:
        """Take what a worker has on disk into the run's log."""
        assert seat.report is not None
        path = seat.folder.metrics_file
        if seat.report.position <= seat.copied:
            return
        with path.open("rb") as file:
            file.seek(seat.copied)
            lines = file.read(seat.report.position - seat.copied).splitlines()
        seat.copied = seat.report.position
        for event in map(json.loads, lines):
            if event["event"] != "epoch":
                self._journal.record(event)
                continue
            self._journal.step(seat.phase.name, event["terms"], seat.report.in_epoch)
            self._journal.epoch(event)

    def _step(self) -> None:
        """Wait for workers, and go on with those that have done something."""
        seats = list(self._seats.values())
        for seat in seats:
            if seat.waits_for is None:
                self._go_on(seat, None)
        waiting = {seat.waits_for: seat for seat in seats if seat.waits_for is not None}
        done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=_PAUSE)
        for reference in done:
            seat = waiting[reference]
            try:
                came = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                self._replace(seat, error)
            else:
                self._go_on(seat, came)

    def _go_on(self, seat: _BranchSeat, came: Any) -> None:
        assert seat.life is not None
        if isinstance(came, DuetalError):
            raise came
        seat.waits_for = seat.life.send(came)

    def _replace(self, seat: _BranchSeat, error: Exception) -> None:
        """Put another worker into the seat of a lost one."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(seat.actor)
        where = f"the worker of {seat.phase.student}" + (seat.process and f" on {seat.process}")
        if isinstance(error, self._ray.exceptions.RayTaskError):
            raise DuetalError(f"{where} failed: {type(error.cause).__name__}: {error.cause}")
        seat.losses += 1
        if seat.losses == _ATTEMPTS:
            cause = f"{_ATTEMPTS} workers were lost before an epoch more was trained"
            raise DuetalError(cause, file=seat.folder.path)
        done = 0 if seat.report is None else seat.report.epochs
        # It may be that the weights it was given were lost, with the machine they lay on.
        self._teacher(seat).weights = None
        self._journal.log(f"{where} was lost; another goes on after epoch {done}")
        self._start(seat)
