"""One phase: a branch trained for some epochs, on video labels and perhaps a teacher's word."""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.datasets.dataset import WeakVideos
from duetal.features.streams import FeatureStream
from duetal.model.cbp import CBPBranch
from duetal.model.vlp import VLPBranch
from duetal.training import checkpoints, losses
from duetal.training.journal import Journal
from duetal.training.pseudo_labels import IGNORED, PseudoLabels
from duetal.training.sampling import (
    Crop,
    MicroBatch,
    epoch_batches,
    load,
    micro_batches,
    random_seed,
    share_of,
    steps_per_epoch,
)

Branch = CBPBranch | VLPBranch


@dataclass(frozen=True)
class Phase:
    """What one phase trains.

    Args:
        name: "warmup", "B1", "F1", …
        stage: the name of its result, "cbp-warmup", "vlp-b1", …
        branch: "cbp" or "vlp".
        epochs: how long.
        foreground: whether the teacher's foreground is distilled.
        background: whether the teacher's background, and absent classes, are distilled.
    """

    name: str
    stage: str
    branch: str
    epochs: int
    foreground: bool = False
    background: bool = False


class Trainer:
    """Trains branches, phase by phase, and can take up where a killed run left off.

    Args:
        fabric: device, precision and processes.
        config: the run's settings.
        videos: training videos and their labels.
        folder: the run's folder.
        journal: where progress is told.
    """

    def __init__(
        self, fabric: Fabric, config: Config, videos: WeakVideos, folder: Path, journal: Journal
    ):
        self.fabric = fabric
        self.config = config
        self.videos = videos
        self.folder = folder
        self.journal = journal
        self.resume_path = folder / "checkpoints" / "resume.safetensors"
        # Both streams of a video are equally long; headers are read once, not every epoch.
        self.lengths = [videos.cbp.length(name) for name in videos.names]
        self.steps_per_epoch = steps_per_epoch(
            len(videos.names), batch_size=config.batch_size, repeats=config.repeats_per_epoch
        )

    def train(
        self, branch: Branch, stream: FeatureStream, phase: Phase, pseudo: PseudoLabels | None
    ) -> None:
        """Train a branch for one phase.

        Raises:
            DuetalError: a loss is not finite (naming video and term), or a feature is not.
        """
        rate = self.config.learning_rate
        if phase.branch == "vlp" and self.config.vlp_learning_rate:
            rate = self.config.vlp_learning_rate
        trained = [p for p in branch.parameters() if p.requires_grad]
        # AdamW without decay is Adam.
        bare = torch.optim.AdamW(trained, lr=rate, weight_decay=self.config.weight_decay)
        optimizer: Any = self.fabric.setup_optimizers(bare)
        done = self._restore(branch, bare, phase)
        for epoch in range(done, phase.epochs):
            began = time.monotonic()
            sums = self._epoch(branch, stream, phase, pseudo, optimizer, trained, epoch)
            self.journal.epoch(
                {
                    "phase": phase.name,
                    "branch": phase.branch,
                    "epoch": epoch + 1,
                    "epochs": phase.epochs,
                    "loss": sum(sums.values()),
                    "terms": sums,
                    "seconds": round(time.monotonic() - began, 3),
                }
            )
            if (epoch + 1) % self.config.checkpoint_every == 0 and epoch + 1 < phase.epochs:
                self._save_resume(branch, bare, phase, epoch + 1)

    # --- one epoch, one step --------------------------------------------------------------------

    def _epoch(
        self,
        branch: Branch,
        stream: FeatureStream,
        phase: Phase,
        pseudo: PseudoLabels | None,
        optimizer: Any,
        trained: Sequence[torch.nn.Parameter],
        epoch: int,
    ) -> dict[str, float]:
        """Train one epoch; give each weighted term's mean over the epoch's crops."""
        config = self.config
        branch.train()
        batches = epoch_batches(
            self.lengths,
            crop=config.crop,
            batch_size=config.batch_size,
            repeats=config.repeats_per_epoch,
            seed=random_seed(config.seed, phase.name, epoch),
        )
        totals: dict[str, float] = {}
        for number, batch in enumerate(batches):
            torch.manual_seed(random_seed(config.seed, phase.name, epoch, number))
            terms = self._step(branch, stream, phase, pseudo, optimizer, trained, batch)
            self.journal.step(phase.name, terms)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + value * len(batch)
        count = sum(len(batch) for batch in batches)
        return {name: value / count for name, value in totals.items()}

    def _step(
        self,
        branch: Branch,
        stream: FeatureStream,
        phase: Phase,
        pseudo: PseudoLabels | None,
        optimizer: Any,
        trained: Sequence[torch.nn.Parameter],
        batch: Sequence[Crop],
    ) -> dict[str, float]:
        """One update from one batch, in micro-batches; give each weighted term's batch mean."""
        fabric = self.fabric
        mine = share_of(batch, fabric.global_rank, fabric.world_size)
        optimizer.zero_grad()
        branch.begin_step()
        sums: dict[str, Tensor] = {}
        told: list[tuple[list[Crop], dict[str, Tensor]]] = []
        for micro in self._load_ahead(stream, mine):
            terms = self._terms(branch, phase, pseudo, micro)
            fabric.backward(torch.stack(list(terms.values())).sum() / len(batch))
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + (
                    value.detach().sum()
                )
            told.append((micro.crops, {name: value.detach() for name, value in terms.items()}))
        branch.end_step()
        self._refuse_non_finite(told, phase)
        if fabric.world_size > 1:
            self._add_up_gradients(trained)
        norm = torch.nn.utils.clip_grad_norm_(trained, self.config.gradient_clip or math.inf)
        if not torch.isfinite(norm):
            # A finite loss may still have such a gradient, and one update would ruin the weights.
            raise DuetalError(
                f"the gradient is not finite in phase {phase.name}; "
                "the run stops before the update, its last checkpoint is whole",
                file=self.folder,
            )
        optimizer.step()
        return self._batch_means(sums, phase, len(batch))

    def _terms(
        self, branch: Branch, phase: Phase, pseudo: PseudoLabels | None, micro: MicroBatch
    ) -> dict[str, Tensor]:
        """Every weighted term of the loss, one number a video."""
        config = self.config
        device = self.fabric.device
        features, mask = micro.features.to(device), micro.mask.to(device)
        labels = micro.labels.to(device)
        with self.fabric.autocast():
            logits, encoded = branch(features, mask)
        logits, encoded = logits.float(), encoded.float()
        terms = {
            "classification": losses.classification(
                logits, mask, labels, divisor=config.topk_divisor, kind=config.video_loss
            )
        }
        if pseudo is not None:
            hard = _cut(pseudo, micro).to(device)
            terms["distillation"] = config.distillation_weight * losses.distillation(
                logits,
                mask,
                labels,
                hard,
                foreground=phase.foreground,
                background=phase.background,
                balance=config.balance_sets,
            )
            if config.contrastive_weight:
                terms["contrast"] = config.contrastive_weight * losses.contrast(
                    encoded, mask, labels, hard
                )
        return terms

    def _load_ahead(self, stream: FeatureStream, crops: Sequence[Crop]) -> Iterator[MicroBatch]:
        """Micro-batches in order, the next one read while this one is computed."""
        groups = micro_batches(crops, self.config.micro_batch_snippets)
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead = [reader.submit(load, self.videos, stream, group) for group in groups[:1]]
            for number in range(len(groups)):
                micro = ahead.pop().result()
                if number + 1 < len(groups):
                    ahead.append(reader.submit(load, self.videos, stream, groups[number + 1]))
                yield micro

    def _add_up_gradients(self, trained: Sequence[torch.nn.Parameter]) -> None:
        """Sum the gradients of all processes; the loss is already divided by the whole batch."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([grad.reshape(-1) for grad in grads])
        summed = self.fabric.all_reduce(flat, reduce_op="sum")
        assert isinstance(summed, Tensor)
        pieces = torch.split(summed, [p.numel() for p in trained])
        for parameter, piece in zip(trained, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)

    def _batch_means(self, sums: dict[str, Tensor], phase: Phase, size: int) -> dict[str, float]:
        """Terms over the whole batch, whichever processes computed them."""
        names = ["classification"]
        if phase.foreground or phase.background:
            names += ["distillation"] + ["contrast"] * bool(self.config.contrastive_weight)
        zero = torch.zeros((), device=self.fabric.device)
        values = torch.stack([sums.get(name, zero) for name in names])
        if self.fabric.world_size > 1:
            reduced = self.fabric.all_reduce(values, reduce_op="sum")
            assert isinstance(reduced, Tensor)
            values = reduced
        return dict(zip(names, (values / size).tolist(), strict=True))

    def _refuse_non_finite(
        self, told: Sequence[tuple[list[Crop], dict[str, Tensor]]], phase: Phase
    ) -> None:
        for crops, terms in told:
            for term, values in terms.items():
                bad = ~torch.isfinite(values)
                if bad.any():
                    crop = crops[int(bad.nonzero()[0, 0])]
                    name = self.videos.names[crop.video]
                    stream = self.videos.cbp if phase.branch == "cbp" else self.videos.vlp
                    assert stream is not None
                    raise DuetalError(
                        f"the {term} loss is {values[bad][0].item()} in phase {phase.name}; "
                        "the run stops before the update, its last checkpoint is whole",
                        file=stream.path(name),
                        place=f"video {name!r}",
                    )

    # --- taking up a killed run -----------------------------------------------------------------

    def _save_resume(
        self, branch: Branch, optimizer: torch.optim.Optimizer, phase: Phase, epoch: int
    ) -> None:
        if not self.fabric.is_global_zero:
            return
        names = _trained_names(branch)
        state = optimizer.state_dict()["state"]
        tensors = {f"branch.{k}": v for k, v in branch.inference_state().items()}
        for index, moments in state.items():
            for key, value in moments.items():
                tensors[f"adam.{names[index]}.{key}"] = torch.as_tensor(value)
        record = {"phase": phase.name, "epoch": epoch, "metrics": self.journal.position()}
        checkpoints.save(self.resume_path, tensors, record)

    def _restore(self, branch: Branch, optimizer: torch.optim.Optimizer, phase: Phase) -> int:
        """Load what a killed run had reached of this phase; give the epochs done."""
        if not self.resume_path.is_file():
            return 0
        saved = checkpoints.load(self.resume_path, needs=("phase", "epoch"))
        if saved.record["phase"] != phase.name:
            return 0
        own = {
            name.removeprefix("branch."): tensor
            for name, tensor in saved.tensors.items()
            if name.startswith("branch.")
        }
        checkpoints.load_into(branch, own, self.resume_path)
        whole = optimizer.state_dict()
        whole["state"] = {
            index: {
                key: saved.tensors[f"adam.{name}.{key}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
            for index, name in enumerate(_trained_names(branch))
            if f"adam.{name}.step" in saved.tensors
        }
        optimizer.load_state_dict(whole)
        epoch = int(saved.record["epoch"])
        self.journal.skip(epoch * self.steps_per_epoch)
        self.journal.log(f"{phase.name}: resumed after epoch {epoch} of {phase.epochs}")
        return epoch


def _trained_names(branch: Branch) -> list[str]:
    return [name for name, p in branch.named_parameters() if p.requires_grad]


def _cut(pseudo: PseudoLabels, micro: MicroBatch) -> Tensor:
    """The pseudo-labels of a micro-batch's crops: (B, T, K) int8, IGNORED where padded."""
    batch, longest = micro.mask.shape
    classes = pseudo.labels[0].shape[1]
    cut = np.full((batch, longest, classes), IGNORED, dtype=np.int8)
    for row, crop in enumerate(micro.crops):
        whole = pseudo.labels[crop.video]
        cut[row, : crop.length] = whole[crop.start : crop.start + crop.length]
    return torch.from_numpy(cut)
