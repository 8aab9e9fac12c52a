"""The training loop: for each phase, for each epoch, for each batch: losses, backward, step.

The schedule gives the phases: the student, the teacher and what is distilled. Logging,
checkpoints and resuming are callbacks, which `duetal.runs.recorder` implements.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos, expect_reads
from duetal.method.branches import BRANCHES, Branch, LoadText
from duetal.method.dropout import crop_dropout
from duetal.method.label_weights import label_weights
from duetal.method.labelling import inference_network, state_times, teach
from duetal.method.layers import BranchNetwork
from duetal.method.losses import LOSSES, LossSettings, LossTerm, Predictions, active_terms
from duetal.method.method_settings import MethodSettings
from duetal.method.pseudo_labels import (
    IGNORED,
    PseudoLabels,
    SomePseudoLabels,
    crop_labels,
)
from duetal.method.sampling import (
    Crop,
    MicroBatch,
    crop_reads,
    epoch_batches,
    load_ahead,
    random_seed,
    share_of,
)
from duetal.method.schedule import Phase, ScheduleSettings, schedule
from duetal.method.trainable_backbone import TrainableBackbone
from duetal.method.video_scoring import calibrate
from duetal.method.weight_average import average_weights, averaged, take_averages

#: The end of an error that comes before an update.
_STOP = "the run stops before the update, its last checkpoint is whole"


@dataclass(frozen=True)
class Method:
    """The parts of the method; another method replaces some of them."""

    branches: tuple[Branch, ...] = BRANCHES  # In the order of tables and plots.
    losses: tuple[LossTerm, ...] = LOSSES  # The terms of the loss.
    #: Gives the phases, from the schedule's settings and the names of the streams.
    schedule: Callable[[ScheduleSettings, Collection[str]], list[Phase]] = schedule

    def branch(self, name: str) -> Branch:
        """The branch of a name."""
        return next(branch for branch in self.branches if branch.name == name)


class TrainingCallback:
    """Hooks around the loop. These do nothing: every phase is trained from its first epoch."""

    def load_finished(self, phase: Phase, student: BranchNetwork) -> bool:
        """Load the result of a phase that an earlier start has finished; whether there is one."""
        return False

    def on_phase_start(self, phase: Phase, student: BranchNetwork, optimizer: Any) -> int:
        """Before a phase; may restore an interrupted one. Returns the number of epochs done."""
        return 0

    def on_pseudo_labels(self, phase: Phase, pseudo: PseudoLabels) -> None:
        """After the teacher has labelled the training videos."""

    def on_step(self, phase: Phase, losses: Mapping[str, float]) -> None:
        """After each update; `losses` are the weighted terms' means over the batch."""

    def on_epoch_end(
        self,
        phase: Phase,
        epoch: int,
        losses: Mapping[str, float],
        student: BranchNetwork,
        optimizer: Any,
    ) -> None:
        """After epoch 1, 2, …; `losses` are the weighted terms' means over the epoch's crops."""

    def on_phase_end(self, phase: Phase, student: BranchNetwork) -> None:
        """After a phase, with the trained student."""


def alternate(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    load_text: LoadText,
    callback: TrainingCallback,
    method: Method,
    backbones: Mapping[str, TrainableBackbone] = MappingProxyType({}),
) -> dict[str, BranchNetwork]:
    """Train the branches in turns; the callback receives their weights.

    Args:
        fabric: device, precision and processes.
        settings: of the method.
        videos: the training videos; nothing here knows a segment.
        load_text: loads the text encoder.
        callback: hooks for logging, checkpoints and resuming.
        method: branches, losses and schedule.
        backbones: those that are trained, by the branch that reads their features.

    Returns:
        The branches, trained, by name.

    Raises:
        DuetalError: bad features, or a loss or gradient that is not finite.
    """
    students: dict[str, BranchNetwork] = {}
    seed, averaging = settings.schedule.seed, settings.schedule.averaging
    weights = class_weights(fabric, settings, videos)
    lengths = [videos.length(name) for name in videos.names]
    for phase in method.schedule(settings.schedule, videos.streams):
        if phase.student not in students:
            network = method.branch(phase.student).build(settings, videos, load_text)
            network.backbone = backbones.get(phase.student)
            students[phase.student] = network.to(fabric.device)
        student = students[phase.student]
        if callback.load_finished(phase, student):
            videos = with_own_features(videos, phase, student)
            continue
        adam = make_adam(settings, phase, student)
        optimizer: Any = fabric.setup_optimizers(adam)
        epochs_done = callback.on_phase_start(phase, student, adam)
        pseudo = None
        if phase.teacher is not None:
            teacher = students[phase.teacher]
            pseudo = teach(fabric, settings, videos, method.branch(phase.teacher), teacher)
            callback.on_pseudo_labels(phase, pseudo)
        for epoch in range(epochs_done, phase.epochs):
            done = epoch / phase.epochs if pseudo is None else 1.0
            certain = None
            if videos.times:
                grows_by = phase.teacher or phase.student
                branch = method.branch(grows_by)
                with averaged(adam):
                    certain = state_times(fabric, settings, videos, branch, students[grows_by])
            lesson = Lesson(
                fabric,
                settings,
                videos,
                phase,
                student,
                pseudo,
                method.losses,
                weights,
                done,
                certain,
            )
            student.train()
            student.take_turn(epoch)
            means = MeanLosses()
            batches = epoch_batches(lengths, settings.data, random_seed(seed, phase.name, epoch))
            coming = crop_reads(videos, batches, fabric.global_rank, fabric.world_size)
            expect_reads(videos.streams[phase.student], coming)
            for number, batch in enumerate(batches):
                torch.manual_seed(random_seed(seed, phase.name, epoch, number))
                optimizer.zero_grad()
                losses = compute_gradient(lesson, batch)
                optimizer.step()
                if averaging is not None:
                    average_weights(adam, averaging)
                callback.on_step(phase, losses)
                means.add(losses, len(batch))
            callback.on_epoch_end(phase, epoch + 1, means.means(), student, adam)
        videos = conclude(fabric, settings, videos, phase, method, student, adam)
        callback.on_phase_end(phase, student)
    return students


class MeanLosses:
    """The means of the terms of the loss over crops."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._crops = 0

    def add(self, losses: Mapping[str, float], crops: int) -> None:
        """Count the means of an update of some crops."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * crops
        self._crops += crops

    def means(self) -> dict[str, float]:
        """The means so far."""
        return {name: value / self._crops for name, value in self._sums.items()}


def class_weights(fabric: Fabric, settings: MethodSettings, videos: WeakVideos) -> Tensor | None:
    """(N, K) of the training videos' labels, 0 where they are not known; None: 1 each."""
    if not settings.losses.weigh_labels and videos.unknown is None:
        return None
    weights = np.ones(videos.labels.shape, np.float32)
    if settings.losses.weigh_labels:
        weights = label_weights(videos.labels)
    if videos.unknown is not None:
        weights[videos.unknown] = 0.0
    return torch.from_numpy(weights).to(fabric.device)


def conclude(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    phase: Phase,
    method: Method,
    student: BranchNetwork,
    optimizer: torch.optim.Optimizer,
) -> WeakVideos:
    """Give a trained branch its averaged weights, and calibrate its scores.

    Returns the videos with the features that the branch reads from now on.
    """
    if settings.schedule.averaging is not None:
        take_averages(optimizer)
    videos, branch = with_own_features(videos, phase, student), method.branch(phase.student)
    if settings.schedule.calibration:
        frozen = inference_network(fabric, settings, videos, branch, student)
        stream, window = videos.streams[branch.name], settings.data.crop
        pooling = settings.losses.pooling
        found = calibrate(frozen, videos, stream, window, pooling, fabric)
        student.temperature.fill_(found.temperature)
        if phase.epochs:  # What was not trained goes by no label.
            student.classes_compete.fill_(found.classes_compete)
    return videos


def make_adam(settings: MethodSettings, phase: Phase, student: BranchNetwork) -> torch.optim.AdamW:
    """The optimizer of a phase: of the branch, and of its backbone at a rate of its own."""
    behind = [] if student.backbone is None else list(student.backbone.parameters())
    apart = set(map(id, behind))
    own = [p for p in student.parameters() if p.requires_grad and id(p) not in apart]
    groups: list[dict[str, Any]] = [{"params": own}]
    if behind:
        groups.append({"params": behind, "lr": settings.backbone.lr})
    rate = phase.learning_rate or settings.schedule.learning_rate
    # AdamW without decay is Adam.
    return torch.optim.AdamW(groups, lr=rate, weight_decay=settings.schedule.weight_decay)


def with_own_features(videos: WeakVideos, phase: Phase, student: BranchNetwork) -> WeakVideos:
    """The videos, of which the student reads the features of its own backbone after the phase."""
    if student.backbone is None:
        return videos
    stream = student.backbone.extract(phase.stage)
    return replace(videos, streams={**videos.streams, phase.student: stream})


@dataclass(frozen=True)
class Lesson:
    """What every step of a phase reads."""

    fabric: Fabric
    settings: MethodSettings
    videos: WeakVideos
    phase: Phase
    student: BranchNetwork
    pseudo: PseudoLabels | SomePseudoLabels | None
    losses: tuple[LossTerm, ...] = LOSSES
    label_weights: Tensor | None = None  # (N, K) of the training videos; None: 1 each.
    progress: float = 1.0  # Share of a phase without a teacher that is done.
    certain: PseudoLabels | None = None  # Of known times; None where there are none.

    def terms(self) -> list[LossTerm]:
        """The terms of the loss that apply."""
        has_teacher, has_times = self.pseudo is not None, self.certain is not None
        return active_terms(
            self.losses, self.loss_settings, has_teacher=has_teacher, has_times=has_times
        )

    @cached_property
    def loss_settings(self) -> LossSettings:
        """The loss's settings, with the λ of this phase."""
        losses = self.settings.losses
        weight = losses.distillation_weight * self.phase.weight
        return losses.model_copy(update={"distillation_weight": weight})


def compute_gradient(lesson: Lesson, batch: Sequence[Crop]) -> dict[str, float]:
    """Compute the gradient of the batch's mean loss, in micro-batches and over all processes.

    Returns:
        The weighted terms' means over the batch.

    Raises:
        DuetalError: a loss (naming the video and the term) or the gradient is not finite.
    """
    fabric, phase, student = lesson.fabric, lesson.phase, lesson.student
    own = share_of(batch, fabric.global_rank, fabric.world_size)
    stream = lesson.videos.streams[phase.student]
    sums = {term.name: torch.zeros((), device=fabric.device) for term in lesson.terms()}
    computed: list[tuple[MicroBatch, dict[str, Tensor]]] = []
    budget = lesson.settings.data.micro_batch_snippets
    with student.step_context():
        for micro in load_ahead(lesson.videos, stream, own, budget):
            if student.backbone is not None:
                micro = replace(micro, features=student.backbone.compute(micro))
            losses = compute_losses(lesson, micro)
            fabric.backward(torch.stack(list(losses.values())).sum() / len(batch))
            if student.backbone is not None:
                student.backbone.backward(micro)
            detached = {name: values.detach() for name, values in losses.items()}
            for name, values in detached.items():
                sums[name] = sums[name] + values.sum()
            computed.append((micro, detached))
    for micro, losses in computed:
        refuse_non_finite(lesson, micro, losses)
    trained = student.trained_parameters()
    if fabric.world_size > 1:
        sum_gradients(fabric, trained)
    clip = lesson.settings.schedule.gradient_clip
    norm = torch.nn.utils.clip_grad_norm_(trained, math.inf if clip is None else clip)
    if not torch.isfinite(norm):
        # A finite loss may still have such a gradient, and one update would ruin the weights.
        raise DuetalError(f"the gradient is not finite; {_STOP}", place=f"phase {phase.name}")
    return mean_over_processes(fabric, sums, len(batch))


def compute_losses(lesson: Lesson, micro: MicroBatch) -> dict[str, Tensor]:
    """Every weighted term of the loss, (B,) each."""
    device, settings = lesson.fabric.device, lesson.loss_settings
    mask = micro.mask.to(device)
    # The step's seed, which stands for epoch and update, was given to PyTorch before.
    seeds = [random_seed(torch.initial_seed(), crop.video, crop.start) for crop in micro.crops]
    with lesson.fabric.autocast(), crop_dropout(seeds):
        logits, encoded = lesson.student(micro.features.to(device), mask)
    pseudo, certain = (
        None if labels is None else crop_labels(labels, micro.crops, micro.mask).to(device)
        for labels in (lesson.pseudo, lesson.certain)
    )
    if pseudo is not None and certain is not None:
        # Where a person has said what happens, no teacher is heard.
        pseudo = torch.where(certain == IGNORED, pseudo, IGNORED)
    rows, weights = [crop.video for crop in micro.crops], lesson.label_weights
    predictions = Predictions(
        logits.float(),
        encoded.float(),
        mask,
        micro.labels.to(device),
        pseudo,
        lesson.phase.distils,
        None if weights is None else weights[rows],
        lesson.progress,
        certain,
    )
    return {
        term.name: term.weight(settings) * term.loss(predictions, settings)
        for term in lesson.terms()
    }


def refuse_non_finite(lesson: Lesson, micro: MicroBatch, losses: Mapping[str, Tensor]) -> None:
    """Stop before an update whose loss is not finite.

    Raises:
        DuetalError: naming the video, its file and the term.
    """
    for term, values in losses.items():
        bad = ~torch.isfinite(values)
        if bad.any():
            name = lesson.videos.names[micro.crops[int(bad.nonzero()[0, 0])].video]
            raise DuetalError(
                f"the {term} loss is {values[bad][0].item()} in phase {lesson.phase.name}; {_STOP}",
                file=lesson.videos.streams[lesson.phase.student].path(name),
                place=f"video {name!r}",
            )


def sum_gradients(fabric: Fabric, parameters: Sequence[torch.nn.Parameter]) -> None:
    """Add up the gradients of all processes, in one message."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    summed = fabric.all_reduce(flat, reduce_op="sum")
    assert isinstance(summed, Tensor)
    pieces = torch.split(summed, [p.numel() for p in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.grad = piece.view_as(parameter)


def mean_over_processes(fabric: Fabric, sums: Mapping[str, Tensor], size: int) -> dict[str, float]:
    """The means of terms over a batch of `size` crops, whichever process computed them."""
    values = torch.stack(list(sums.values()))
    if fabric.world_size > 1:
        reduced = fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(reduced, Tensor)
        values = reduced
    return dict(zip(sums, (values / size).tolist(), strict=True))
