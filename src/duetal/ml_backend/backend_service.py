"""What Label Studio asks a backend for: predictions of tasks, and training on annotations."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from duetal.core.errors import DuetalError, UsageError
from duetal.ml_backend.labelling_interface import LabellingInterface, read_interface
from duetal.ml_backend.predictor import KeptVideo, Predictor
from duetal.ml_backend.regions import prediction
from duetal.ml_backend.studio_training import StudioTraining, told
from duetal.ml_backend.task_videos import TaskVideos

#: What begins a training, of the events of a webhook.
BEGINNING = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "START_TRAINING")
#: Tasks of one request.
_MOST_TASKS = 10_000


@dataclass
class BackendService:
    """Answers requests; any thread may call its methods.

    Attributes:
        predictor: used by the thread of `worker` alone.
        videos: finds the videos of tasks, likewise.
        worker: does the work, one job after the other.
        training: trains on annotations.
        floor: actions of a lower score are not proposed; None for half a video's highest.
        patience: seconds that a request waits for what is being found. Label Studio waits 100.
        say: takes a line for the log.
    """

    predictor: Predictor
    videos: TaskVideos
    worker: Executor
    training: StudioTraining
    floor: float | None = None
    patience: float = 80.0
    say: Callable[[str], object] = lambda line: None
    #: What is being found, by the run's version and the video's address.
    _pending: dict[tuple[str, str], "Future[tuple[KeptVideo, str]]"] = field(default_factory=dict)
    _noted: set[str] = field(default_factory=set)

    def health(self) -> dict[str, Any]:
        """How the backend is; it is up as long as it answers."""
        about = {"model_class": "duetal", "model_version": self.predictor.version}
        return {"status": "UP", **about, "training": self.training.state()}

    def setup(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Check the interface of a project, and name the run.

        Raises:
            DuetalError: the run can fill nothing of it in.
        """
        self._interface(asked.get("schema"))
        self.training.know(_project(asked.get("project")), str(asked.get("schema")))
        return {"model_version": self.predictor.version}

    def predict(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A prediction of each task; none of one whose video can't be used, or not yet.

        What takes longer than a request may take is found nonetheless, for the next one.

        Raises:
            DuetalError: the run can fill nothing of the interface in.
            UsageError: no list of tasks.
        """
        tasks = asked.get("tasks")
        if not isinstance(tasks, list) or len(tasks) > _MOST_TASKS:
            raise UsageError(f"'tasks' is no list of at most {_MOST_TASKS:,} tasks")
        interface = self._interface(asked.get("label_config"))
        version = self.predictor.version
        jobs = [self._job(task, interface, version) for task in tasks]
        wait([job for job in jobs if job is not None], self.patience)
        results = [
            self._result(task, job, interface) for task, job in zip(tasks, jobs, strict=True)
        ]
        return {"results": results, "model_version": version}

    def webhook(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Begin to train where an event asks for it.

        Raises:
            UsageError: it is of a project that this backend does not learn from, or of none.
        """
        action, project = asked.get("action"), asked.get("project")
        if action not in BEGINNING:
            return {"status": "ignored"}
        about = project if isinstance(project, dict) else {"id": project}
        config = about.get("label_config")
        if isinstance(config, str):
            self._interface(config)
        self.training.request(_project(about.get("id")), config if config else None)
        return {"status": "asked for"}

    def _interface(self, text: Any) -> LabellingInterface:
        if not isinstance(text, str):
            raise UsageError("the request has no labelling interface")
        interface = read_interface(text, self.predictor.run.model.classes)
        for note in interface.notes:
            if note not in self._noted:
                self._noted.add(note)
                self.say(f"note: {note}")
        return interface

    def _job(
        self, task: Any, interface: LabellingInterface, version: str
    ) -> "Future[tuple[KeptVideo, str]] | None":
        """The job that finds what is in a task's video; None for what is no task."""
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(data, dict):
            return None
        key = (version, str(data.get(interface.video)))
        job = self._pending.get(key)
        if job is None:
            job = self._pending[key] = self.worker.submit(self._found, data, interface.video)
            job.add_done_callback(lambda _: self._pending.pop(key, None))
        return job

    def _found(self, data: dict[str, Any], key: str) -> tuple[KeptVideo, str]:
        """What is found in a task's video, and by which run."""
        video = self.videos.find(data, key)
        found = self.predictor.find([video])[video.name]
        if isinstance(found, DuetalError):
            raise found
        return found, self.predictor.version

    def _result(
        self,
        task: Any,
        job: "Future[tuple[KeptVideo, str]] | None",
        interface: LabellingInterface,
    ) -> dict[str, Any] | list[Any]:
        """What is answered of a task; an empty list is no prediction."""
        number = task.get("id") if isinstance(task, dict) else None
        if job is None:
            self.say("a task without data is left out")
        elif not job.done():
            self.say(f"task {number}: is still being worked on; ask again for it")
        else:
            try:
                found, version = job.result()
                threshold = self.predictor.run.config.localization.class_threshold
                how: dict[str, Any] = {"class_threshold": threshold, "floor": self.floor}
                return prediction(found, interface, task["data"], version=version, **how)
            except Exception as error:
                # The other tasks are answered all the same.
                self.say(f"task {number}: {told(error)}")
        return []


def _project(given: Any) -> int | None:
    """A project's number: that of the event, or before the dot ("3.1700000000")."""
    with suppress(ValueError):
        return int(str(given).partition(".")[0])
    return None
