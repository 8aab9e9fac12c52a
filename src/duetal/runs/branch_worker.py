"""What trains one branch in a process of its own, in the `async` mode.

`duetal.runs.asynchronous` makes Ray's actors of it. It keeps its part of the run in a folder of its
own: a checkpoint and a log, as a run has, so that another worker goes on where it was lost. Errors
are returned, not raised, so that the driver gets them unchanged.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

import duetal
from duetal.backbones.class_embeddings import load_text
from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos
from duetal.method.loop import MeanLosses, Method, class_weights
from duetal.method.online import OnlineStudent
from duetal.method.sampling import steps_per_epoch
from duetal.results.folder import RunFolder
from duetal.runs.journal import Journal
from duetal.runs.processes import processes
from duetal.runs.recorder import Recorder, recorded_position

#: Seconds that the worker before, which was lost or lost its driver, may take to end.
_PATIENCE = 60.0

#: What inference needs of a branch.
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class BranchReport:
    """How far a branch is. What is on disk is `epochs`; a lost worker does the rest again."""

    updates: int  #: Of the branch so far: the version of its weights.
    in_epoch: int  #: Updates of an epoch, by the videos there are now.
    epochs: int  #: Epochs that are on disk.
    position: int  #: Bytes of the worker's metrics.jsonl that are on disk with them.


class BranchWorker:
    """Trains a branch a few updates at a time: `introduce` it, `begin`, then let it `work`."""

    _student: OnlineStudent
    _recorder: Recorder
    _updates: Iterator[None]

    def __init__(self) -> None:
        self._number = 0  # Updates of the epoch under way.
        self._staleness = self._version = 0  # Of the teacher's weights, in this epoch.

    def introduce(self) -> dict[str, Any]:
        """Plain values, which every version reads: `version`, `host` and `pid`."""
        return {"version": duetal.__version__, "host": socket.gethostname(), "pid": os.getpid()}

    def begin(
        self,
        config: Config,
        folder: RunFolder,
        phase: str,
        method: Method,
        open_videos: Callable[[], Callable[[], WeakVideos]],
    ) -> tuple[BranchReport | DuetalError, Weights | None]:
        """Take up a phase where its folder has it; how far it is, and its averaged weights.

        `open_videos` gives what reads the training videos, as often as it is called.
        """
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder.path / ".lock", timeout=_PATIENCE)
            self._lock.acquire()
            self._prepare(config, folder, phase, method, open_videos())
        except Timeout:
            cause = "another worker of this branch is still at work there"
            return DuetalError(cause, file=folder.path), None
        except DuetalError as error:
            return error, None
        return self._report(), self._student.averaged_state()

    def work(
        self, updates: int, staleness: int, version: int, teacher: Weights | None
    ) -> tuple[BranchReport | DuetalError, Weights | None]:
        """Train for some updates; how far the branch is then, and its averaged weights.

        Args:
            updates: how many.
            staleness: updates by which the branch is ahead of its teacher's weights.
            version: updates that the teacher had then.
            teacher: its weights; None: those it has, if any.
        """
        try:
            if teacher is not None:
                self._student.learn_from(teacher, self._videos)
                self._staleness, self._version = max(self._staleness, staleness), version
            for _ in range(updates):
                next(self._updates, None)
        except DuetalError as error:
            return error, None
        return self._report(), self._student.averaged_state()

    def _prepare(
        self,
        config: Config,
        folder: RunFolder,
        name: str,
        method: Method,
        read_videos: Callable[[], WeakVideos],
    ) -> None:
        threads = config.machine.threads or max(1, (os.cpu_count() or 1) // 2)
        with processes(config.machine.model_copy(update={"threads": threads})) as fabric:
            self._fabric = fabric
        self._config, self._read_videos = config, read_videos
        self._videos = videos = read_videos()
        phases = method.schedule(config.schedule, videos.streams)
        phase = next(phase for phase in phases if phase.name == name)
        network = method.branch(phase.student).build(config, videos, load_text)
        network = network.to(self._fabric.device)
        self._student = OnlineStudent(self._fabric, config, method, phase, network)
        steps = phase.epochs * steps_per_epoch(len(videos.names), config.data)
        self._journal = Journal(folder.path, max(1, steps))
        self._journal.rewind(recorded_position(folder))
        self._recorder = Recorder(self._fabric, config, videos, folder, self._journal)
        self._recorder.on_online_start([self._student])
        self._updates = self._train()

    def _train(self) -> Iterator[None]:
        """Train to the end of the phase; gives way after every update."""
        student, phase = self._student, self._student.phase
        while student.epochs_done < phase.epochs:
            began = time.monotonic()
            self._videos = self._read_videos()
            self._recorder.on_videos(self._videos)
            weights = class_weights(self._fabric, self._config, self._videos)
            means = MeanLosses()
            batches = student.batches(self._videos)
            for number, batch in enumerate(batches):
                pseudo = student.label(self._videos, batch)
                means.add(student.update(self._videos, weights, number, batch, pseudo), len(batch))
                self._number = number + 1
                if self._number < len(batches):
                    yield
            self._number = 0
            student.epochs_done = done = student.epochs_done + 1
            self._journal.record(
                {
                    "event": "exchange",
                    "phase": phase.name,
                    "epoch": done,
                    "videos": len(self._videos.names),
                    "teacher_version": self._version,
                    "staleness": self._staleness,
                    "updates_per_second": round(len(batches) / (time.monotonic() - began), 3),
                }
            )
            self._staleness = 0
            losses = {phase.name: means.means()}
            is_last = done == phase.epochs
            self._recorder.on_online_epoch(done, [student], losses, is_last=is_last)
            yield

    def _report(self) -> BranchReport:
        in_epoch = steps_per_epoch(len(self._videos.names), self._config.data)
        updates = self._student.epochs_done * in_epoch + self._number
        epochs, position = self._recorder.saved
        return BranchReport(updates=updates, in_epoch=in_epoch, epochs=epochs, position=position)
