"""Online training: both branches learn side by side, each taught by the other's moving average.

A teacher is the average of a branch's weights over its updates (mean teachers: Tarvainen and
Valpola, 2017), taken anew every few updates. It labels the crops of an update as they come; its
scores are scaled by the lowest and the highest that it gave each video so far. The training videos
are read again before each epoch, so new ones join and labels may be corrected.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from duetal.core.array_types import Singles
from duetal.core.weak_videos import WeakVideos, expect_reads
from duetal.method.branches import LoadText
from duetal.method.labelling import state_times, teach
from duetal.method.layers import BranchNetwork
from duetal.method.loop import (
    Lesson,
    MeanLosses,
    Method,
    TrainingCallback,
    alternate,
    class_weights,
    compute_gradient,
    conclude,
    make_adam,
)
from duetal.method.method_settings import MethodSettings
from duetal.method.pseudo_labels import PseudoLabels, SomePseudoLabels, TeacherScore, threshold
from duetal.method.sampling import (
    Crop,
    crop_reads,
    epoch_batches,
    load_ahead,
    random_seed,
    share_of,
)
from duetal.method.schedule import Phase
from duetal.method.video_scoring import LARGEST_LOGIT, probabilities
from duetal.method.weight_average import average_weights, averaged

#: A snippet that no teacher has labelled yet; for the loss as good as ignored.
_UNKNOWN = -2
#: How often a video is labelled in a phase, at least.
_LABELLINGS = 6


@dataclass(eq=False)
class OnlineStudent:
    """A branch that trains online, with its optimizer, and its teacher as it knows it."""

    fabric: Fabric
    settings: MethodSettings
    method: Method
    phase: Phase
    network: BranchNetwork
    #: By video, the lowest and the highest logit (2, K) of each class that its teacher gave it.
    extents: dict[str, Singles] = field(default_factory=dict)
    #: By video, what its teacher said of each snippet (T, K), below the classes that it had (K,).
    labels: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    epochs_done: int = 0
    _teacher: BranchNetwork | None = None
    _certain: PseudoLabels | None = None

    def __post_init__(self) -> None:
        self.adam = make_adam(self.settings, self.phase, self.network)
        self._optimizer: Any = self.fabric.setup_optimizers(self.adam)

    def batches(self, videos: WeakVideos) -> list[list[Crop]]:
        """The crops of the epoch that comes next."""
        lengths = [videos.length(name) for name in videos.names]
        seed = random_seed(self.settings.schedule.seed, "online", self.epochs_done)
        batches = epoch_batches(lengths, self.settings.data, seed)
        expect_reads(videos.streams[self.phase.student], crop_reads(videos, batches))
        return batches

    def averaged_state(self) -> dict[str, Tensor]:
        """What inference needs of the branch, by its averaged weights; to be used at once."""
        with averaged(self.adam):
            return self.network.inference_state()

    @property
    def wants_teacher(self) -> bool:
        """Whether its epoch is one that a teacher teaches."""
        return self.epochs_done >= (self.phase.untaught or 0)

    def learn_from(self, state: Mapping[str, Tensor], videos: WeakVideos) -> None:
        """Take the teacher's weights, as `averaged_state` gives them."""
        if self._teacher is None:
            branch = self.method.branch(str(self.phase.teacher))
            dim, num_classes = videos.streams[branch.name].dim, len(videos.classes)
            teacher = branch.for_inference(self.settings, dim, num_classes)
            self._teacher = teacher.to(self.fabric.device).eval()
        own = self._teacher.state_dict()
        self._teacher.load_state_dict({name: state[name] for name in own})

    def label(self, videos: WeakVideos, batch: Sequence[Crop]) -> SomePseudoLabels | None:
        """The teacher's pseudo-labels of the videos of some crops; None without a teacher.

        What it said of a video up to `relabel_every` epochs ago is kept, as in turns it is for a
        phase, unless the crop shows another part or the video's own labels have changed.
        """
        if self._teacher is None or not self.wants_teacher:
            return None
        new = [crop for crop in batch if self._is_due(videos, crop)]
        stream = videos.streams[str(self.phase.teacher)]
        budget, device = self.settings.data.micro_batch_snippets, self.fabric.device
        for micro in load_ahead(videos, stream, share_of(new, 0, 1), budget):
            with torch.inference_mode():
                scored, _ = self._teacher(micro.features.to(device), micro.mask.to(device))
            for crop, scores in zip(micro.crops, scored.float().cpu().numpy(), strict=True):
                self._label_crop(videos, crop, scores[: crop.length])
        return {crop.video: self.labels[videos.names[crop.video]][1:] for crop in batch}

    def _is_due(self, videos: WeakVideos, crop: Crop) -> bool:
        """Whether a crop is to be labelled; makes room for the labels of its video."""
        name, present = videos.names[crop.video], videos.labels[crop.video]
        known = self.labels.get(name)
        if known is None or (known[0] != present).any():
            whole = np.full((1 + videos.length(name), len(present)), _UNKNOWN, dtype=np.int8)
            whole[0] = present
            self.labels[name] = whole
            return True
        shown = known[1 + crop.start : 1 + crop.start + crop.length]
        # A short phase would end by what was said in its beginning.
        least = max(1, self.phase.epochs // _LABELLINGS)
        every = min(self.settings.schedule.relabel_every, least)
        return (self.epochs_done + crop.video) % every == 0 or bool((shown == _UNKNOWN).any())

    def _label_crop(self, videos: WeakVideos, crop: Crop, logits: Singles) -> None:
        """Keep what the teacher's logits (T, K) say of a crop."""
        name, settings = videos.names[crop.video], self.settings.losses
        labels = self.labels[name][1:]
        extent = self._widen(name, logits, crop.length / len(labels))
        if settings.pseudo_score is TeacherScore.PROBABILITY:
            # As `calibrate` does, but by what is known of this video.
            temperature = max(1.0, float(extent[1].max()) / LARGEST_LOGIT)
            logits, extent = (probabilities(x, temperature) for x in (logits, extent))
        unknown = None if videos.unknown is None else videos.unknown[crop.video]
        said = threshold(logits, videos.labels[crop.video], settings, extent, unknown)
        labels[crop.start : crop.start + crop.length] = said

    def _widen(self, name: str, logits: Singles, share: float) -> Singles:
        """Take the scores of a share of a video into its extent.

        A score outside widens it at once. Where there is none it shrinks by the share that was
        seen, because the teacher changes: to that of the crop, where the crop is the video.
        """
        seen = np.stack([logits.min(axis=0), logits.max(axis=0)])
        known = self.extents.get(name, seen)
        shrunk = known + np.float32(share) * (seen - known)
        self.extents[name] = np.stack(
            [np.minimum(shrunk[0], seen[0]), np.maximum(shrunk[1], seen[1])]
        )
        return self.extents[name]

    def update(
        self,
        videos: WeakVideos,
        weights: Tensor | None,
        number: int,
        batch: Sequence[Crop],
        pseudo: SomePseudoLabels | None,
    ) -> dict[str, float]:
        """Train on update `number` of the epoch; the weighted terms' means over the batch."""
        alone, epoch = self.phase.untaught or 0, self.epochs_done
        if number == 0:
            self._certain = None
            if videos.times:
                branch = self.method.branch(self.phase.student)
                with averaged(self.adam):
                    self._certain = state_times(
                        self.fabric, self.settings, videos, branch, self.network
                    )
        progress = 1.0 if epoch >= alone else epoch / alone
        lesson = Lesson(
            self.fabric,
            self.settings,
            videos,
            self.phase,
            self.network,
            pseudo,
            self.method.losses,
            weights,
            progress,
            self._certain,
        )
        schedule = self.settings.schedule
        torch.manual_seed(random_seed(schedule.seed, self.phase.name, epoch, number))
        self.network.train()
        self.network.take_turn(epoch)
        self._optimizer.zero_grad()
        losses = compute_gradient(lesson, batch)
        self._optimizer.step()
        if schedule.averaging is not None:
            average_weights(self.adam, schedule.averaging)
        return losses


class OnlineCallback(TrainingCallback):
    """Hooks around online training, besides those around every phase."""

    def on_online_start(self, students: Sequence[OnlineStudent]) -> int:
        """Before the first epoch; may restore the students. Returns the number of epochs done."""
        return 0

    def on_videos(self, videos: WeakVideos) -> None:
        """Before an epoch, with the training videos that it reads."""

    def on_online_epoch(
        self,
        epoch: int,
        students: Sequence[OnlineStudent],
        losses: Mapping[str, Mapping[str, float]],
        *,
        is_last: bool,
    ) -> None:
        """After epoch 1, 2, …; `losses` are its weighted terms' means, by phase."""


def train_online(
    fabric: Fabric,
    settings: MethodSettings,
    read_videos: Callable[[], WeakVideos],
    load_text: LoadText,
    callback: OnlineCallback,
    method: Method,
) -> None:
    """Train the branches side by side; arguments and errors as of `alternate`.

    `read_videos` gives the training videos as they are now, and is called before each epoch.
    """
    videos = read_videos()
    students = begin_online(fabric, settings, videos, load_text, callback, method)
    by_name = {student.phase.student: student for student in students}
    begins = {
        name: 0 if s.phase.untaught else by_name[str(s.phase.teacher)].phase.untaught or 0
        for name, s in by_name.items()
    }
    last = max(begins[name] + s.phase.epochs for name, s in by_name.items())
    done = callback.on_online_start(students)
    for epoch in range(done, last):
        if epoch > done:
            videos = read_videos()
        callback.on_videos(videos)
        at_work = [s for name, s in by_name.items() if 0 <= epoch - begins[name] < s.phase.epochs]
        for student in at_work:
            student.epochs_done = epoch - begins[student.phase.student]
        losses = _train_epoch(by_name, at_work, videos, callback)
        for student in at_work:
            student.epochs_done += 1
        callback.on_online_epoch(epoch + 1, students, losses, is_last=epoch + 1 == last)
    finish_online(fabric, settings, videos, students, callback)


def begin_online(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    load_text: LoadText,
    callback: OnlineCallback,
    method: Method,
) -> list[OnlineStudent]:
    """Train the phases that come before, and make the students."""
    phases = method.schedule(settings.schedule, videos.streams)
    before = [phase for phase in phases if phase.untaught is None]
    only_before = replace(method, schedule=lambda *_: before)
    networks = alternate(fabric, settings, videos, load_text, callback, only_before)
    students = []
    for phase in phases:
        if phase.untaught is not None:
            if phase.student not in networks:
                built = method.branch(phase.student).build(settings, videos, load_text)
                networks[phase.student] = built.to(fabric.device)
            network = networks[phase.student]
            students.append(OnlineStudent(fabric, settings, method, phase, network))
    return students


def _train_epoch(
    by_name: Mapping[str, OnlineStudent],
    at_work: Sequence[OnlineStudent],
    videos: WeakVideos,
    callback: OnlineCallback,
) -> dict[str, dict[str, float]]:
    """Train on the crops of one epoch; the mean losses by phase."""
    first = at_work[0]
    weights = class_weights(first.fabric, first.settings, videos)
    every = first.settings.schedule.teacher_every
    means = {student.phase.name: MeanLosses() for student in at_work}
    for number, batch in enumerate(first.batches(videos)):
        if number % every == 0:
            for student in at_work:
                if student.wants_teacher:
                    teacher = by_name[str(student.phase.teacher)]
                    student.learn_from(teacher.averaged_state(), videos)
        # All labels before anyone learns.
        labels = [student.label(videos, batch) for student in at_work]
        for student, pseudo in zip(at_work, labels, strict=True):
            losses = student.update(videos, weights, number, batch, pseudo)
            callback.on_step(student.phase, losses)
            means[student.phase.name].add(losses, len(batch))
    return {name: mean.means() for name, mean in means.items()}


def finish_online(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    students: Sequence[OnlineStudent],
    callback: OnlineCallback,
) -> None:
    """End every phase that has not ended, and keep what each teacher says in the end."""
    method = students[0].method
    unfinished = [s for s in students if not callback.load_finished(s.phase, s.network)]
    for student in unfinished:
        conclude(fabric, settings, videos, student.phase, method, student.network, student.adam)
    networks = {student.phase.student: student.network for student in students}
    for student in unfinished:
        branch = method.branch(str(student.phase.teacher))
        labels = teach(fabric, settings, videos, branch, networks[branch.name])
        callback.on_pseudo_labels(student.phase, labels)
        callback.on_phase_end(student.phase, student.network)
