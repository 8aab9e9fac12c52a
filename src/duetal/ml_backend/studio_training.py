"""Training on the annotations of a project: each round is a run of its own, in OUT/rounds.

A round begins from the run that the backend was given, with all annotations that there are by then,
and takes that run's place when it is done. What fails leaves the run in use that is in use.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.errors import DuetalError, UsageError, machine_fault
from duetal.datasets import Dataset
from duetal.formats.csv_table import ABSENT, COMPLETE, PRESENT
from duetal.ml_backend.labelling_interface import read_interface
from duetal.ml_backend.predictor import Predictor
from duetal.ml_backend.studio_client import LabelStudio
from duetal.ml_backend.studio_labels import read_labels
from duetal.ml_backend.task_videos import TaskVideos
from duetal.own_videos.corrected_dataset import KnownRow, PersonsWord, write_corrected
from duetal.own_videos.corrected_dataset import told as counted
from duetal.own_videos.training_rounds import Round, Rounds, RoundState, training
from duetal.runs.run import Run, open_data, open_run


@dataclass
class StudioTraining:
    """Trains one round after the other; any thread may call its methods.

    Attributes:
        path: the run that every round begins from.
        rounds: in OUT/rounds.
        predictor: gets the run of each round; used by the thread of `worker` alone.
        videos: finds the videos of tasks, likewise.
        worker: prepares a round, between other jobs.
        studio: where annotations are; None for no training.
        settings: further `key=value` words for `duetal train`.
        say: takes a line for the log.
    """

    path: Path
    rounds: Rounds
    predictor: Predictor
    videos: TaskVideos
    worker: Executor
    studio: LabelStudio | None = None
    settings: tuple[str, ...] = ()
    say: Callable[[str], object] = lambda line: None
    #: The project that is learnt from, and its interface.
    _project: int | None = None
    _config: str = ""
    #: Whether a round is being prepared or under way, and whether another was asked for since.
    _busy: bool = False
    _again: bool = False
    _failure: str = ""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def resume(self) -> None:
        """Take the last round that is done into use, and go on with one that was interrupted.

        Raises:
            DuetalError: the rounds were begun from another run, or cannot be read.
        """
        for one in self.rounds.all():
            if Path(one.start).resolve() != self.path.resolve():
                cause = f"its rounds began from {one.start}: give that run, or another --out"
                raise UsageError(cause, file=self.rounds.folder)
        rounds = self.rounds.all()
        done = [one.number for one in rounds if one.state is RoundState.DONE]
        if done:
            self._use(done[-1])
        if rounds and rounds[-1].state is RoundState.STOPPED:
            self._busy = True
            self._watch(self.rounds.go_on())

    def know(self, project: int | None, config: str) -> None:
        """Keep the interface of the project that is learnt from, or may be."""
        with self._lock:
            if project is not None and self._project in (None, project):
                self._project, self._config = project, config

    def request(self, project: int | None = None, config: str | None = None) -> None:
        """Train on the annotations of a project as soon as no other round is under way.

        `project` and its interface are those that are known, where they are not given.

        Raises:
            UsageError: it is of another project than before, or of none that is known; there is no
                Label Studio to ask.
        """
        if self.studio is None:
            cause = "no training: annotations are asked for at Label Studio's address"
            raise UsageError(f"{cause} (--label-studio)")
        with self._lock:
            known = self._project
            if project is not None and known is not None and project != known:
                cause = f"this backend learns from project {known}; project {project} needs its own"
                raise UsageError(f"{cause} (another --out and --port)")
            if config is not None:
                self.know(project, config)
            if self._project is None or not self._config:
                raise UsageError("of which project? Connect the backend to one first")
            self._again = self._busy
            if not self._busy:
                self._busy = True
                self.worker.submit(self._begin)

    def state(self) -> dict[str, Any]:
        """What is under way, and how the last round ended."""
        rounds = self.rounds.all()
        last = rounds[-1] if rounds else None
        state = last.state if last else "none"
        return {
            "round": last.number if last else 0,
            "state": "preparing" if self._busy and not self.rounds.is_busy else str(state),
            "told": last.told if last else "",
            "progress": self.rounds.progress(),
            "error": self._failure,
        }

    def close(self) -> None:
        """Stop the round that is under way; the next server goes on with it."""
        self._again = False
        self.rounds.stop()

    def _begin(self) -> None:
        """Prepare a round and begin it; in the worker's thread."""
        try:
            self._again = False
            self._watch(self._prepared())
        except Exception as error:
            self._ended(told(error))

    def _prepared(self) -> Round:
        assert self.studio is not None, "it was asked for"
        assert self._project is not None, "it was asked for"
        run = open_run(self.path)
        folder = self.rounds.place(self.rounds.next_number())
        tasks = self.studio.annotated_tasks(self._project)
        interface = read_interface(self._config, run.model.classes)
        labels = read_labels(tasks, interface, self.videos, folder / "tasks.json")
        failed: dict[str, DuetalError] = {}
        self.predictor.fill(labels.videos, failed)
        for note in (*labels.notes, *map(str, failed.values())):
            self.say(f"round {folder.name}: note: {note}")
        usable = [video.name for video in labels.videos if video.name not in failed]
        known = labels.annotations.select(usable)
        controls = (interface.timeline, interface.choices)
        offered = [label for control in controls if control for label in control.labels]
        rows = list(known_rows(known, offered))
        word = PersonsWord(rows, {v.name: v for v in known if is_complete(v)})
        corrected = write_corrected(
            folder / "dataset",
            word,
            self.predictor.store,
            self._first(run),
            use=run.config.labels.use,
        )
        data, out = folder / "dataset" / "dataset.yaml", folder / "run"
        train = training(run, data, corrected.use, out, self.settings)
        begun = self.rounds.begin(self.path, counted(word.rows), [train])
        self.say(f"round {begun.number}: trains on {begun.told}")
        return begun

    def _first(self, run: Run) -> Dataset | None:
        """What the run was trained on, if that is still there."""
        try:
            return open_data(run.config)
        except DuetalError as error:
            self.say(f"note: the run's own training videos are left out: {error}")
            return None

    def _watch(self, begun: Round) -> None:
        threading.Thread(target=self._follow, args=[begun.number], daemon=True).start()

    def _follow(self, number: int) -> None:
        """Wait for the end of a round, and take its run into use."""
        self.rounds.wait()
        ended = next(one for one in self.rounds.all() if one.number == number)
        if ended.state is RoundState.DONE:
            self.worker.submit(self._take, number)
        elif ended.state is RoundState.FAILED:
            self._ended(f"round {number} failed: {ended.cause}")

    def _take(self, number: int) -> None:
        try:
            self._use(number)
            self.say(f"round {number}: in use as {self.predictor.version}")
            self._ended("")
        except Exception as error:
            self._ended(f"round {number} cannot be used: {told(error)}")

    def _use(self, number: int) -> None:
        name = f"{self.path.absolute().name}-round-{number}"
        self.predictor.use(self.rounds.run_of(number), name)

    def _ended(self, failure: str) -> None:
        """Keep how a round has ended, and begin the next if one was asked for meanwhile."""
        if failure:
            self.say(f"{failure}; {self.predictor.version} stays in use")
        with self._lock:
            self._failure = failure
            self._busy = self._again
            if self._again:
                self.worker.submit(self._begin)


def is_complete(video: VideoAnnotation) -> bool:
    """Whether all that happens in an annotated video is marked."""
    return video.segments is not None and video.known is None


def known_rows(annotations: Annotations, offered: Iterable[str] = ()) -> Iterator[KnownRow]:
    """Annotations as the table of a review; `offered` are the labels that could be given.

    Of a video with labels alone all labels are known, and no time; of one with segments, all
    segments are. Where a label has no segment, the others' are not known to be all.
    """
    classes = dict.fromkeys((*annotations.classes, *offered))
    for video in annotations:
        located = {segment.label for segment in video.segments or ()}
        for one in video.segments or ():
            yield video.name, one.label, one.start, one.end, PRESENT
        for label in video.labels:
            if label not in located:
                yield video.name, label, "", "", PRESENT
        if is_complete(video):
            yield video.name, "", "", "", COMPLETE
            continue
        for label in classes:
            if label not in video.labels:
                yield video.name, label, "", "", ABSENT


def told(error: BaseException) -> str:
    """An error in a line."""
    if isinstance(error, DuetalError):
        return str(error)
    fault = machine_fault(error) or f"internal error: {type(error).__name__}: {error}"
    return " ".join(fault.split())
