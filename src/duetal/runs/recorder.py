"""The callback of the training loop that keeps a run in its folder, and resumes it.

Every finished phase leaves a checkpoint `checkpoints/<stage>.safetensors`, each teacher its
pseudo-labels; the phase under way leaves `checkpoints/resume.safetensors`. Training again in the
same folder takes up there, and ends in the weights of an uninterrupted run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from duetal.config import Config
from duetal.core.weak_videos import WeakVideos
from duetal.method.layers import BranchNetwork
from duetal.method.online import OnlineCallback, OnlineStudent
from duetal.method.pseudo_labels import PseudoLabels, count_labels
from duetal.method.sampling import steps_per_epoch
from duetal.method.schedule import Phase
from duetal.method.text import PLAIN_TEXT, StoredText
from duetal.results import checkpoints
from duetal.results.folder import RunFolder
from duetal.results.kept_labels import columns_record
from duetal.results.log_events import PseudoLabelEvent
from duetal.runs.journal import Journal

#: What a resume file of online training is of, where others name their phase.
_ONLINE = "online"
#: What a student keeps by video, by what the names of its tensors begin with.
_KEPT = {"extent.": "extents", "labels.": "labels"}


@dataclass(eq=False)
class Recorder(OnlineCallback):
    """Writes a run's journal and checkpoints; only the first process of `fabric` does."""

    fabric: Fabric
    config: Config
    #: The training videos.
    videos: WeakVideos
    folder: RunFolder
    #: Entered; closed by the caller.
    journal: Journal

    def __post_init__(self) -> None:
        self._resume_file = self.folder.checkpoint("resume")
        # Looked up once, by all processes before the first of them can write another.
        self._finished = {path.stem for path in _checkpoint_files(self.folder)}
        self.fabric.barrier()
        self._steps_per_epoch = steps_per_epoch(len(self.videos.names), self.config.data)
        self._resumed = False
        #: Epochs of online training that are on disk, and the bytes of metrics.jsonl with them.
        self.saved = 0, 0

    def load_finished(self, phase: Phase, student: BranchNetwork) -> bool:
        """Load the checkpoint of a phase that an earlier start has finished."""
        if phase.stage not in self._finished:
            return False
        path = self.folder.checkpoint(phase.stage)
        checkpoints.load_into(student, checkpoints.load(path).tensors, path)
        if phase.epochs:
            self.journal.skip(phase.epochs * self._steps_per_epoch)
            self.journal.log(f"{phase.name}: already done")
        return True

    def on_phase_start(
        self, phase: Phase, student: BranchNetwork, optimizer: torch.optim.Optimizer
    ) -> int:
        """Restore a killed phase, or record the beginning of a new one."""
        epochs_done = self._restore(phase, student, optimizer)
        self._resumed = epochs_done > 0
        self.journal.begin_phase(phase, resumed=self._resumed)
        if isinstance(getattr(student, "text", None), StoredText):
            self.journal.log(f"{phase.name}: {PLAIN_TEXT}")
        return epochs_done

    def on_pseudo_labels(self, phase: Phase, pseudo: PseudoLabels) -> None:
        """Keep them to be looked at (training does not read them back), and count them."""
        record = {"phase": phase.name, "teacher": phase.teacher}
        if self.fabric.is_global_zero:
            names = self.videos.names
            arrays = {name: torch.from_numpy(pseudo.kept(i)) for i, name in enumerate(names)}
            columns = columns_record(names, pseudo.present)
            checkpoints.save(self.folder.pseudo_labels(phase.name), arrays, record | columns)
        if not self._resumed:
            counts = count_labels(pseudo, self.videos)
            event = PseudoLabelEvent.model_validate({**record, **counts})
            self.journal.record(event.to_json())

    def on_step(self, phase: Phase, losses: Mapping[str, float]) -> None:
        """Count it."""
        self.journal.step(phase.name, losses)

    def on_epoch_end(
        self,
        phase: Phase,
        epoch: int,
        losses: Mapping[str, float],
        student: BranchNetwork,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Record the epoch, and save what resuming needs."""
        self.journal.end_epoch(phase, epoch, losses)
        if epoch % self.config.machine.checkpoint_every == 0 and epoch < phase.epochs:
            self._save_resume(phase, epoch, student, optimizer)
            self.journal.begin_epoch()

    def on_phase_end(self, phase: Phase, student: BranchNetwork) -> None:
        """Keep the stage's weights; the record holds the size of metrics.jsonl."""
        self.journal.end_phase(phase)
        if self.fabric.is_global_zero:
            record = {"stage": phase.stage, "metrics": self.journal.position()}
            path = self.folder.checkpoint(phase.stage)
            checkpoints.save(path, student.inference_state(), record)
        self.fabric.barrier()

    def on_online_start(self, students: Sequence[OnlineStudent]) -> int:
        """Restore a killed run, or record the beginning of a new one."""
        self._resumed = False
        for student in students:
            saved = restore_student(student, self._resume_file)
            self.journal.begin_phase(student.phase, resumed=saved is not None)
            if saved is None:
                continue
            self.saved = int(saved["epoch"]), int(saved["metrics"])
            if student.phase.stage not in self._finished:
                self.journal.skip(student.epochs_done * self._steps_per_epoch)
        if self.saved[0]:
            self.journal.log(f"{_ONLINE}: resumed after epoch {self.saved[0]}")
        return self.saved[0]

    def on_videos(self, videos: WeakVideos) -> None:
        """Record what the next epoch is trained on."""
        self.videos = videos

    def on_online_epoch(
        self,
        epoch: int,
        students: Sequence[OnlineStudent],
        losses: Mapping[str, Mapping[str, float]],
        *,
        is_last: bool,
    ) -> None:
        """Record the epoch of each branch, and save what resuming needs, of all of them at once."""
        for student in students:
            if student.phase.name in losses:
                own = losses[student.phase.name]
                self.journal.end_epoch(student.phase, student.epochs_done, own)
        if not (is_last or epoch % self.config.machine.checkpoint_every == 0):
            return
        if self.fabric.is_global_zero:
            tensors: dict[str, torch.Tensor] = {}
            for student in students:
                own_tensors = _tensors(student.network, student.adam)
                for kind, kept in _KEPT.items():
                    arrays = getattr(student, kept)
                    own_tensors |= {kind + n: torch.from_numpy(a) for n, a in arrays.items()}
                tensors |= {f"{student.phase.name}/{k}": v for k, v in own_tensors.items()}
            epochs = {student.phase.name: student.epochs_done for student in students}
            position = self.journal.position()
            record = {"phase": _ONLINE, "epoch": epoch, "epochs": epochs, "metrics": position}
            checkpoints.save(self._resume_file, tensors, record)
            self.saved = epoch, position
        self.journal.begin_epoch()

    def _save_resume(
        self, phase: Phase, epoch: int, student: BranchNetwork, optimizer: torch.optim.Optimizer
    ) -> None:
        if not self.fabric.is_global_zero:
            return
        record = {"phase": phase.name, "epoch": epoch, "metrics": self.journal.position()}
        checkpoints.save(self._resume_file, _tensors(student, optimizer), record)

    def _restore(
        self, phase: Phase, student: BranchNetwork, optimizer: torch.optim.Optimizer
    ) -> int:
        """Load the state that a killed run had reached of this phase; the epochs done."""
        saved = _saved(self._resume_file, phase.name)
        if saved is None:
            return 0
        _load(student, optimizer, saved.tensors, self._resume_file)
        epoch = int(saved.record["epoch"])
        self.journal.skip(epoch * self._steps_per_epoch)
        self.journal.log(f"{phase.name}: resumed after epoch {epoch} of {phase.epochs}")
        return epoch


def _saved(path: Path, phase: str) -> checkpoints.Checkpoint | None:
    """The state that a killed run had reached of a phase."""
    if not path.is_file():
        return None
    saved = checkpoints.load(path, needs=("phase", "epoch"))
    return saved if saved.record["phase"] == phase else None


def restore_student(student: OnlineStudent, path: Path) -> dict[str, Any] | None:
    """Load the state that a killed run had reached of a branch; its record, if there is any."""
    saved = _saved(path, _ONLINE)
    if saved is None:
        return None
    prefix = f"{student.phase.name}/"
    own = {k.removeprefix(prefix): v for k, v in saved.tensors.items() if k.startswith(prefix)}
    _load(student.network, student.adam, own, path)
    for kind, kept in _KEPT.items():
        arrays = {k.removeprefix(kind): v.numpy() for k, v in own.items() if k.startswith(kind)}
        setattr(student, kept, arrays)
    student.epochs_done = int(saved.record["epochs"][student.phase.name])
    return saved.record


def _tensors(student: BranchNetwork, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """A branch and the state of its optimizer."""
    names = _trained_names(student)
    tensors = {f"branch.{k}": v for k, v in student.inference_state().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        for key, value in moments.items():
            tensors[f"adam.{names[index]}.{key}"] = torch.as_tensor(value)
    return tensors


def _load(
    student: BranchNetwork,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
    path: Path,
) -> None:
    """Restore them from the `tensors` of the file at a path."""
    own = {k.removeprefix("branch."): v for k, v in tensors.items() if k.startswith("branch.")}
    checkpoints.load_into(student, own, path)
    state: dict[str, Any] = optimizer.state_dict()
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("adam."):
            name, _, moment = key.removeprefix("adam.").rpartition(".")
            moments.setdefault(name, {})[moment] = tensor
    names = enumerate(_trained_names(student))
    state["state"] = {index: moments[name] for index, name in names if name in moments}
    optimizer.load_state_dict(state)


def recorded_position(folder: RunFolder) -> int:
    """Bytes of metrics.jsonl that belong to the newest checkpoint."""
    saved = (checkpoints.load(path, needs=("metrics",)) for path in _checkpoint_files(folder))
    return max((int(one.record["metrics"]) for one in saved), default=0)


def _checkpoint_files(folder: RunFolder) -> list[Path]:
    return sorted((folder.path / "checkpoints").glob("*.safetensors"))


def _trained_names(student: BranchNetwork) -> list[str]:
    return [name for name, p in student.named_parameters() if p.requires_grad]
