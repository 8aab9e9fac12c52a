"""The loop: a step's gradient, update and precision, and how it stops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from duetal.backbones.text_towers import load_text_tower
from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos
from duetal.method import losses, sampling
from duetal.method.label_weights import label_weights
from duetal.method.layers import BranchNetwork
from duetal.method.loop import (
    Lesson,
    Method,
    TrainingCallback,
    alternate,
    compute_gradient,
)
from duetal.method.losses import LOSSES, LossSettings, LossTerm, Predictions
from duetal.method.pseudo_labels import PseudoLabels
from duetal.method.sampling import Crop, epoch_batches, random_seed
from duetal.method.schedule import Phase
from duetal.method.weight_average import average_weights, take_averages
from duetal.results import checkpoints

MakeBranch = Callable[[Config, str], BranchNetwork]
MakeLesson = Callable[..., Lesson]
MakeConfig = Callable[..., Config]
KINDS = ("cbp", "vlp")
BATCH = [Crop(0, 0, 6), Crop(9, 3, 16), Crop(4, 0, 14), Crop(2, 0, 10), Crop(9, 8, 16)]


def whole_batch(crops: Sequence[Crop], budget: int) -> list[list[Crop]]:
    return [list(crops)] if crops else []


def gradients(lesson: Lesson, batch: Sequence[Crop]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The gradient of one step by name, and the terms of its loss."""
    lesson.student.zero_grad()
    terms = compute_gradient(lesson, batch)
    named = lesson.student.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}, terms


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [1, 32])
def test_micro_batches_add_up_to_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_lesson: MakeLesson,
    kind: str,
    budget: int,
) -> None:
    """Videos one by one, or few at a time, against all of them padded to the longest."""
    config = make_config(micro_batch_snippets=budget, contrastive_weight=0.5)
    lesson = make_lesson(config, make_branch(config, kind), kind)
    parts, terms = gradients(lesson, BATCH)
    monkeypatch.setattr(sampling, "micro_batches", whole_batch)
    whole, expected_terms = gradients(lesson, BATCH)
    assert parts.keys() == whole.keys()
    assert len(parts) == sum(p.requires_grad for p in lesson.student.parameters())
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=3e-6, rtol=1e-5, msg=name)
    assert terms == pytest.approx(expected_terms, rel=1e-5)
    assert set(terms) == {"classification", "distillation", "contrast"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_descends_the_mean_of_the_weighted_terms(
    videos: WeakVideos,
    pseudo: PseudoLabels,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_lesson: MakeLesson,
    kind: str,
) -> None:
    """L = L_cls + λ·L_kd, averaged over the batch: by one plain backward."""
    config = make_config(distillation_weight=0.3)
    branch = make_branch(config, kind)
    lesson = make_lesson(config, branch, kind)
    got, terms = gradients(lesson, BATCH)

    branch.zero_grad(set_to_none=True)
    sums = np.zeros(2)
    for crop in BATCH:
        stop = crop.start + crop.length
        read = videos.streams[kind].read(videos.names[crop.video], crop.start, stop)
        features = torch.from_numpy(read)[None]
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
        labels = torch.from_numpy(videos.labels[crop.video]).float()[None]
        hard = torch.from_numpy(pseudo[crop.video][crop.start : stop])[None]
        logits, encoded = branch(features, mask)
        weights = torch.from_numpy(label_weights(videos.labels)[[crop.video]])
        batch = Predictions(logits, encoded, mask, labels, hard, lesson.phase.distils, weights, 0.2)
        classified = losses.classification(batch, config.losses)
        taught = losses.distillation(batch, config.losses)
        ((classified + 0.3 * taught).sum() / len(BATCH)).backward()
        sums += [classified.item(), 0.3 * taught.item()]
    assert terms == pytest.approx(
        {"classification": sums[0] / len(BATCH), "distillation": sums[1] / len(BATCH)}, rel=1e-5
    )
    for name, p in branch.named_parameters():
        if p.requires_grad:
            assert p.grad is not None
            torch.testing.assert_close(got[name], p.grad, atol=1e-6, rtol=1e-5, msg=name)


class Weights(TrainingCallback):
    """Keeps a student's weights from before and after a phase, and the losses of its epochs."""

    def __init__(self) -> None:
        self.before: dict[str, dict[str, Tensor]] = {}
        self.after: dict[str, dict[str, Tensor]] = {}
        self.epochs: list[tuple[str, int, dict[str, float]]] = []
        self.student: BranchNetwork | None = None

    def on_phase_start(self, phase: Phase, student: BranchNetwork, optimizer: Any) -> int:
        self.student = student
        self.before[phase.name] = {n: p.detach().clone() for n, p in student.named_parameters()}
        return 0

    def on_epoch_end(
        self,
        phase: Phase,
        epoch: int,
        losses: Mapping[str, float],
        student: BranchNetwork,
        optimizer: Any,
    ) -> None:
        self.epochs.append((phase.name, epoch, dict(losses)))

    def on_phase_end(self, phase: Phase, student: BranchNetwork) -> None:
        self.after[phase.name] = {n: p.detach().clone() for n, p in student.named_parameters()}


def run_loop(
    config: Config, videos: WeakVideos, method: Method, callback: TrainingCallback
) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision=config.machine.precision)
    alternate(fabric, config, videos, load_text_tower, callback, method)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_update_is_adams(videos: WeakVideos, make_config: MakeConfig, decay: float) -> None:
    """One step of Adam moves every weight by the learning rate against its gradient's sign."""
    config = make_config(
        learning_rate=1e-3,
        weight_decay=decay,
        batch_size=10,
        b_learning_rate=5e-3,
        warmup_epochs=1,
        b_epochs=1,
        f_epochs=1,
        zero_shot_start=False,
    )
    weights = Weights()
    run_loop(config, videos, Method(), weights)
    for phase, rate in (("warmup", 1e-3), ("B1", 5e-3), ("F1", 1e-3)):
        for name, before in weights.before[phase].items():
            after = weights.after[phase][name]
            if name.startswith("text.model.") or name == "gates":
                assert torch.equal(before, after), name
                continue
            moved = after - before * (1 - rate * decay)
            assert moved.abs().max() <= rate * 1.001, name
            assert moved.abs().max() > 0, name


def test_a_clipped_gradient_has_the_norm_asked_for(
    make_config: MakeConfig, make_branch: MakeBranch, make_lesson: MakeLesson
) -> None:
    for kind in KINDS:
        config = make_config(gradient_clip=0.01)
        clipped, _ = gradients(make_lesson(config, make_branch(config, kind), kind), BATCH)
        norm = torch.cat([g.flatten() for g in clipped.values()]).norm()
        assert norm.item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_stays_close(
    make_config: MakeConfig, make_branch: MakeBranch, make_lesson: MakeLesson, kind: str
) -> None:
    found = []
    for precision in ("32-true", "bf16-mixed"):
        config = make_config(precision=precision)
        gradient, terms = gradients(make_lesson(config, make_branch(config, kind), kind), BATCH)
        assert all(g.dtype == torch.float32 for g in gradient.values())
        found.append((torch.cat([gradient[name].flatten() for name in sorted(gradient)]), terms))
    (exact, exact_terms), (mixed, mixed_terms) = found
    assert mixed_terms == pytest.approx(exact_terms, rel=0.02)
    assert not torch.equal(exact, mixed)
    assert torch.cosine_similarity(exact, mixed, dim=0) > 0.99


# --- a loss that is not finite ------------------------------------------------------------------


def poisoned(term: str, row_labels: Tensor, from_call: int) -> Method:
    """A method in which one term of the video with these labels is NaN from a given call on."""
    calls = 0

    def poison(original: LossTerm) -> LossTerm:
        def loss(batch: Predictions, settings: LossSettings) -> Tensor:
            nonlocal calls
            calls += 1
            values = original.loss(batch, settings)
            hit = (batch.labels == row_labels).all(dim=1) & (batch.mask.sum(dim=1) == 6)
            return torch.where(hit & (calls >= from_call), torch.nan, values)

        return replace(original, loss=loss)

    return Method(losses=tuple(poison(t) if t.name == term else t for t in LOSSES))


@pytest.mark.parametrize("term", ["classification", "distillation"])
def test_a_non_finite_loss_names_video_and_term_and_harms_nothing(
    videos: WeakVideos,
    make_config: MakeConfig,
    train: Callable[..., list[str]],
    tmp_path: Path,
    term: str,
) -> None:
    config = make_config(dropout=0.1, b_epochs=3)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(config, videos, whole)
    # v00 is the one video of 6 snippets; by its 30th batch, training is in B1 or beyond.
    method = poisoned(term, torch.from_numpy(videos.labels[0]).float(), 30)
    with pytest.raises(DuetalError, match=rf"'v00': the {term} loss is nan in phase [BF]1"):
        train(config, videos, stopped, method)
    assert "stopped: " in (stopped / "log.txt").read_text()
    for path in (stopped / "checkpoints").iterdir():
        for name, tensor in checkpoints.load(path).tensors.items():
            assert torch.isfinite(tensor).all(), f"{path.name}: {name}"
    # With the cause gone, the run goes on as if nothing had been.
    train(config, videos, stopped)
    for path in (whole / "checkpoints").glob("[cv]*.safetensors"):
        expected = checkpoints.load(path).tensors
        got = checkpoints.load(stopped / "checkpoints" / path.name).tensors
        assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())


def test_features_too_large_for_the_network_name_their_video(
    monkeypatch: pytest.MonkeyPatch,
    videos: WeakVideos,
    make_config: MakeConfig,
    train: Callable[..., list[str]],
    tmp_path: Path,
) -> None:
    stream = videos.streams["cbp"]
    read = stream.read

    def huge(name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        values = read(name, start, stop)
        return values * np.float32(1e38) if name == "v05" else values

    monkeypatch.setattr(stream, "read", huge)
    with pytest.raises(DuetalError, match=r"'v05': the classification loss is (nan|inf)"):
        train(make_config(feature_normalization=False), videos, tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_a_non_finite_gradient_never_reaches_the_weights(
    videos: WeakVideos, make_config: MakeConfig
) -> None:
    """A loss may be finite where its gradient is not: the root of 0 is 0, and infinitely steep."""

    def steep(batch: Predictions, settings: LossSettings) -> Tensor:
        zero = batch.logits[:, 0, 0] - batch.logits[:, 0, 0].detach()
        return zero.sqrt()

    weights = Weights()
    method = Method(losses=(*LOSSES, LossTerm("steep", steep)))
    with pytest.raises(DuetalError, match=r"phase warmup: the gradient is not finite"):
        run_loop(make_config(), videos, method, weights)
    assert weights.student is not None
    for name, parameter in weights.student.named_parameters():
        assert torch.equal(weights.before["warmup"][name], parameter), name


# --- the losses of an epoch ---------------------------------------------------------------------


def test_an_epochs_losses_are_means_over_its_crops(
    videos: WeakVideos, make_config: MakeConfig, make_lesson: MakeLesson
) -> None:
    """The last batch is smaller than the others; at this rate, weights hardly move."""
    config = make_config(learning_rate=1e-12, repeats_per_epoch=3, alternations=0)
    weights = Weights()
    run_loop(config, videos, Method(), weights)
    assert [(name, epoch) for name, epoch, _ in weights.epochs] == [("warmup", 1), ("warmup", 2)]
    seed = random_seed(config.schedule.seed, "warmup", 1)
    lengths = [videos.length(name) for name in videos.names]
    crops = [crop for batch in epoch_batches(lengths, config.data, seed) for crop in batch]
    untrained = Method().branch("cbp").build(config, videos, load_text_tower)
    lesson = replace(make_lesson(config, untrained, "cbp"), pseudo=None, progress=0.5)
    _, whole = gradients(lesson, crops)
    assert weights.epochs[1][2] == pytest.approx(whole, rel=1e-4)


def test_a_phase_ends_with_the_moving_average_of_its_weights() -> None:
    """a_1 = w_1, a_n = d a_{n-1} + (1 - d) w_n with d = min(decay, (1 + n)/(10 + n))."""
    weight, unused = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    adam = torch.optim.AdamW([weight, unused], lr=0.1)
    expected = None
    for step in range(1, 31):
        (weight * torch.tensor([1.0, -2.0, 3.0]) * step).sum().backward()
        adam.step()
        average_weights(adam, 0.7)
        decay = min(0.7, (1 + step) / (10 + step))
        now = weight.detach().clone()
        expected = now if expected is None else decay * expected + (1 - decay) * now
    take_averages(adam)
    assert expected is not None
    torch.testing.assert_close(weight.detach(), expected)
    torch.testing.assert_close(unused.detach(), torch.ones(3))
