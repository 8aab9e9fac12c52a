"""The method: the two branches trained in turns, each teaching the other what it knows best.

    warm-up   CBP learns from the videos' category labels alone
    B step    CBP, frozen, teaches VLP its confident background: VLP's false alarms go
    F step    VLP, frozen, teaches CBP its confident foreground: CBP's misses go

Ju et al., "Distilling Vision-Language Pre-training to Collaborate with Weakly-Supervised Temporal
Action Localization", CVPR 2023.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from duetal.config import Config
from duetal.core.files import remove_unfinished
from duetal.datasets.dataset import WeakVideos
from duetal.features.streams import FeatureStream
from duetal.model.cbp import CBPBranch
from duetal.model.vlp import VLPBranch
from duetal.training import branches, checkpoints
from duetal.training.journal import Journal
from duetal.training.phase import Branch, Phase, Trainer
from duetal.training.pseudo_labels import PseudoLabels, teach
from duetal.training.sampling import steps_per_epoch

WARM_UP = "cbp-warmup"
ZERO_SHOT = "vlp-zeroshot"


def b_step(config: Config, turn: int) -> Phase:
    """VLP learns CBP's confident background."""
    return Phase(f"B{turn}", f"vlp-b{turn}", "vlp", config.b_epochs, background=True)


def f_step(config: Config, turn: int) -> Phase:
    """CBP learns VLP's confident foreground (and its background, so that negatives exist)."""
    return Phase(
        f"F{turn}",
        f"cbp-f{turn}",
        "cbp",
        config.f_epochs,
        foreground=True,
        background=not config.foreground_only,
    )


def phases(config: Config, *, two_modalities: bool) -> Iterator[Phase]:
    """All phases of a run, in order; with one modality the warm-up takes CBP's whole schedule."""
    warm_up = config.warmup_epochs
    if not two_modalities:
        # Nobody teaches; CBP trains on labels for as long as it would have been taught.
        warm_up += config.alternations * config.f_epochs
    yield Phase("warmup", WARM_UP, "cbp", warm_up)
    if two_modalities:
        for turn in range(1, config.alternations + 1):
            yield b_step(config, turn)
            yield f_step(config, turn)


def total_steps(config: Config, videos: int, *, two_modalities: bool) -> int:
    """Optimizer steps of a whole run."""
    epoch = steps_per_epoch(videos, batch_size=config.batch_size, repeats=config.repeats_per_epoch)
    return sum(phase.epochs * epoch for phase in phases(config, two_modalities=two_modalities))


@dataclass(frozen=True)
class Streams:
    """The features that each branch reads."""

    cbp: FeatureStream
    vlp: FeatureStream | None

    def of(self, branch: str) -> FeatureStream:
        """The stream of "cbp" or "vlp"."""
        stream = self.cbp if branch == "cbp" else self.vlp
        assert stream is not None
        return stream


class Alternation:
    """One training run in its folder.

    Every finished phase leaves a checkpoint `RUN/checkpoints/<stage>.safetensors`, each step its
    pseudo-labels; the phase under way leaves `resume.safetensors`. Running again in the same folder
    takes up there, and ends in the weights that an uninterrupted run would have.

    Args:
        fabric: device, precision and processes.
        config: the run's settings.
        videos: training videos and their labels; nothing here knows a segment.
        folder: the run's folder.
        text_encoder: CLIP's folder or hub name; needed with two modalities.
    """

    def __init__(
        self,
        fabric: Fabric,
        config: Config,
        videos: WeakVideos,
        folder: Path,
        *,
        text_encoder: str = "",
    ):
        self.fabric = fabric
        self.config = config
        self.videos = videos
        self.folder = folder
        self.streams = Streams(videos.cbp, videos.vlp)
        self.two_modalities = videos.vlp is not None
        self.text_encoder = text_encoder

    def run(self) -> list[str]:
        """Train; give the stages in order.

        Raises:
            DuetalError: bad features, a non-finite loss, a checkpoint that does not fit.
        """
        config = self.config
        steps = total_steps(config, len(self.videos.names), two_modalities=self.two_modalities)
        with Journal(
            self.folder, steps, active=self.fabric.is_global_zero, tensorboard=config.tensorboard
        ) as journal:
            self.journal = journal
            if self.fabric.is_global_zero:
                remove_unfinished(self.folder)
            journal.rewind(self._recorded())
            self.trainer = Trainer(self.fabric, config, self.videos, self.folder, journal)
            return self._alternate()

    def _alternate(self) -> list[str]:
        config = self.config
        warm_up, *_ = phases(config, two_modalities=self.two_modalities)
        cbp = self._new_cbp()
        self._train(cbp, warm_up, None)
        stages = [warm_up.stage]
        if not self.two_modalities:
            return stages

        vlp = self._new_vlp()
        self._finish_stage(vlp, ZERO_SHOT)
        stages.append(ZERO_SHOT)
        for turn in range(1, config.alternations + 1):
            b = b_step(config, turn)
            self._train(vlp, b, teacher=("cbp", cbp))
            f = f_step(config, turn)
            self._train(cbp, f, teacher=("vlp", vlp))
            stages += [b.stage, f.stage]
        return stages

    def _train(self, student: Branch, phase: Phase, teacher: tuple[str, Branch] | None) -> None:
        """Train one phase, or load its result where an earlier start has finished it."""
        path = self._checkpoint(phase.stage)
        if path.is_file():
            checkpoints.load_into(student, checkpoints.load(path).tensors, path)
            self.journal.skip(phase.epochs * self.trainer.steps_per_epoch)
            self.journal.log(f"{phase.name}: already done")
            return
        began = time.monotonic()
        pseudo = None if teacher is None else self._teach(*teacher, phase)
        self.trainer.train(student, self.streams.of(phase.branch), phase, pseudo)
        seconds = round(time.monotonic() - began, 3)
        self.journal.record(
            {"event": "phase_end", "phase": phase.name, "stage": phase.stage, "seconds": seconds}
        )
        self._finish_stage(student, phase.stage)

    def _teach(self, name: str, teacher: Branch, phase: Phase) -> PseudoLabels:
        """Let the frozen teacher label every training video."""
        config = self.config
        stream = self.streams.of(name)
        pseudo = teach(
            branches.for_inference(config, teacher, stream.dim),
            self.videos,
            stream,
            window=config.crop,
            high=config.pseudo_high,
            low=config.pseudo_low,
            normalization=config.pseudo_normalization,
            score=config.pseudo_score,
            device=self.fabric.device,
        )
        if self.fabric.is_global_zero:
            # Nothing reads them back in training; they are kept to be looked at.
            path = self.folder / "pseudo_labels" / f"{phase.name}.safetensors"
            by_video = zip(self.videos.names, map(torch.from_numpy, pseudo.labels), strict=True)
            checkpoints.save(path, dict(by_video), {"phase": phase.name, "teacher": name})
        if not self.trainer.resume_path.is_file() or self._resumed_phase() != phase.name:
            counts = pseudo.counts(self.videos)
            self.journal.record(
                {"event": "pseudo_labels", "phase": phase.name, "teacher": name, **counts}
            )
        return pseudo

    def _new_cbp(self) -> CBPBranch:
        stream = self.streams.cbp
        branch = branches.cbp_branch(self.config, stream.dim, len(self.videos.classes))
        if self.config.feature_normalization:
            branch.standardize(*branches.channel_statistics(self.videos, stream))
        return branch.to(self.fabric.device)

    def _new_vlp(self) -> VLPBranch:
        stream = self.streams.of("vlp")
        text = branches.fitting_text_encoder(self.config, self.text_encoder, self.videos)
        branch = branches.vlp_branch(self.config, text, stream.dim)
        branch.bias.data.fill_(branches.mean_cosine(branch, self.videos, stream))
        return branch.to(self.fabric.device)

    # --- the run's folder -----------------------------------------------------------------------

    def _checkpoint(self, stage: str) -> Path:
        return self.folder / "checkpoints" / f"{stage}.safetensors"

    def _finish_stage(self, branch: Branch, stage: str) -> None:
        """Keep a stage's weights; the record says how far metrics.jsonl had come."""
        if self.fabric.is_global_zero and not self._checkpoint(stage).is_file():
            record = {"stage": stage, "metrics": self.journal.position()}
            checkpoints.save(self._checkpoint(stage), branch.inference_state(), record)
        self.fabric.barrier()

    def _resumed_phase(self) -> str:
        saved = checkpoints.load(self.trainer.resume_path, needs=("phase",))
        return str(saved.record["phase"])

    def _recorded(self) -> int:
        """Bytes of metrics.jsonl that belong to the newest checkpoint."""
        folder = self.folder / "checkpoints"
        files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
        saved = (checkpoints.load(path, needs=("metrics",)) for path in files)
        return max((int(one.record["metrics"]) for one in saved), default=0)
