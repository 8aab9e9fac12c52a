"""One step of training: its gradient, its update, its precision, and how it stops."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.datasets.dataset import WeakVideos
from duetal.training import checkpoints, losses, phase
from duetal.training.phase import Branch, Phase, Trainer
from duetal.training.pseudo_labels import PseudoLabels
from duetal.training.sampling import Crop, epoch_batches, random_seed

MakeBranch = Callable[[Config, str], Branch]
MakeTrainer = Callable[[Config], Trainer]
MakeConfig = Callable[..., Config]
KINDS = ("cbp", "vlp")


class Recorder(torch.optim.Optimizer):
    """An optimizer that keeps the gradient of each step and changes nothing."""

    def __init__(self, branch: Branch):
        self.branch = branch
        self.gradients: list[dict[str, Tensor]] = []
        super().__init__([p for p in branch.parameters() if p.requires_grad], {})

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        self.gradients.append(
            {
                name: p.grad.clone()
                for name, p in self.branch.named_parameters()
                if p.grad is not None
            }
        )


def pseudo_labels(videos: WeakVideos) -> PseudoLabels:
    random = np.random.default_rng(5)
    return PseudoLabels(
        [
            np.where(present, random.integers(-1, 2, size=(videos.cbp.length(name), 3)), 0).astype(
                np.int8
            )
            for name, present in zip(videos.names, videos.labels, strict=True)
        ]
    )


def phase_of(kind: str, epochs: int = 2) -> Phase:
    return Phase("X1", f"{kind}-x1", kind, epochs, foreground=kind == "cbp", background=True)


def whole_batch(crops: Sequence[Crop], budget: int) -> list[list[Crop]]:
    return [list(crops)] if crops else []


def gradients(
    trainer: Trainer, branch: Branch, videos: WeakVideos, kind: str, batch: Sequence[Crop]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The gradient of one step by name, and the terms of its loss."""
    recorder = Recorder(branch)
    stream = videos.cbp if kind == "cbp" else videos.vlp
    assert stream is not None
    trained = [p for p in branch.parameters() if p.requires_grad]
    terms = trainer._step(
        branch, stream, phase_of(kind), pseudo_labels(videos), recorder, trained, batch
    )
    return recorder.gradients[0], terms


BATCH = [Crop(0, 0, 6), Crop(9, 3, 16), Crop(4, 0, 14), Crop(2, 0, 10), Crop(9, 8, 16)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [1, 32])
def test_micro_batches_add_up_to_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
    videos: WeakVideos,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_trainer: MakeTrainer,
    kind: str,
    budget: int,
) -> None:
    """Videos one by one, or few at a time, against all of them padded to the longest."""
    config = make_config(micro_batch_snippets=budget, contrastive_weight=0.5)
    branch, trainer = make_branch(config, kind), make_trainer(config)
    parts, terms = gradients(trainer, branch, videos, kind, BATCH)
    monkeypatch.setattr(phase, "micro_batches", whole_batch)
    whole, expected_terms = gradients(trainer, branch, videos, kind, BATCH)
    assert parts.keys() == whole.keys()
    assert len(parts) == sum(p.requires_grad for p in branch.parameters())
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-6, rtol=1e-5, msg=name)
    assert terms == pytest.approx(expected_terms, rel=1e-5)
    assert set(terms) == {"classification", "distillation", "contrast"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_descends_the_mean_of_the_weighted_terms(
    videos: WeakVideos,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_trainer: MakeTrainer,
    kind: str,
) -> None:
    """L = L_cls + λ·L_kd, averaged over the batch: by one plain backward."""
    config = make_config(distillation_weight=0.3)
    branch = make_branch(config, kind)
    got, terms = gradients(make_trainer(config), branch, videos, kind, BATCH)

    branch.zero_grad(set_to_none=True)
    stream = videos.cbp if kind == "cbp" else videos.vlp
    assert stream is not None
    pseudo, which, sums = pseudo_labels(videos), phase_of(kind), np.zeros(2)
    for crop in BATCH:
        stop = crop.start + crop.length
        features = torch.from_numpy(stream.read(videos.names[crop.video], crop.start, stop))[None]
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
        labels = torch.from_numpy(videos.labels[crop.video]).float()[None]
        hard = torch.from_numpy(pseudo.labels[crop.video][crop.start : stop])[None]
        logits, _ = branch(features, mask)
        word = losses.classification(logits, mask, labels, divisor=8, kind=config.video_loss)
        taught = losses.distillation(
            logits, mask, labels, hard, balance=config.balance_sets,
            foreground=which.foreground, background=which.background,
        )  # fmt: skip
        ((word + 0.3 * taught).sum() / len(BATCH)).backward()
        sums += [word.item(), 0.3 * taught.item()]
    assert terms == pytest.approx(
        {"classification": sums[0] / len(BATCH), "distillation": sums[1] / len(BATCH)}, rel=1e-5
    )
    for name, p in branch.named_parameters():
        if p.requires_grad:
            assert p.grad is not None
            torch.testing.assert_close(got[name], p.grad, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_update_is_adams(
    videos: WeakVideos,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_trainer: MakeTrainer,
    decay: float,
) -> None:
    """One step of Adam moves every weight by the learning rate against its gradient's sign."""
    config = make_config(
        learning_rate=1e-3, weight_decay=decay, batch_size=10, vlp_learning_rate=5e-3
    )
    for kind, rate in (("cbp", 1e-3), ("vlp", 5e-3)):
        branch = make_branch(config, kind)
        before = {name: p.detach().clone() for name, p in branch.named_parameters()}
        stream = videos.cbp if kind == "cbp" else videos.vlp
        assert stream is not None
        make_trainer(config).train(branch, stream, phase_of(kind, epochs=1), pseudo_labels(videos))
        for name, p in branch.named_parameters():
            if not p.requires_grad:
                assert torch.equal(before[name], p)
                continue
            moved = p.detach() - before[name] * (1 - rate * decay)
            assert moved.abs().max() <= rate * 1.001, name
            assert moved.abs().max() > 0, name


def test_a_clipped_gradient_has_the_norm_asked_for(
    videos: WeakVideos,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_trainer: MakeTrainer,
) -> None:
    for kind in KINDS:
        config = make_config(gradient_clip=0.01)
        clipped, _ = gradients(make_trainer(config), make_branch(config, kind), videos, kind, BATCH)
        norm = torch.cat([g.flatten() for g in clipped.values()]).norm()
        assert norm.item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_stays_close(
    videos: WeakVideos,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_trainer: MakeTrainer,
    kind: str,
) -> None:
    found = []
    for precision in ("32-true", "bf16-mixed"):
        config = make_config(precision=precision)
        branch = make_branch(config, kind)
        gradient, terms = gradients(make_trainer(config), branch, videos, kind, BATCH)
        assert all(g.dtype == torch.float32 for g in gradient.values())
        found.append((torch.cat([gradient[name].flatten() for name in sorted(gradient)]), terms))
    (exact, exact_terms), (mixed, mixed_terms) = found
    assert mixed_terms == pytest.approx(exact_terms, rel=0.02)
    assert not torch.equal(exact, mixed)
    assert torch.cosine_similarity(exact, mixed, dim=0) > 0.99


# --- a loss that is not finite ------------------------------------------------------------------


def poison(monkeypatch: pytest.MonkeyPatch, term: str, row_labels: Tensor, from_call: int) -> None:
    """Make one term of the video with these labels NaN, from a given call on."""
    calls = 0
    original = getattr(losses, term)

    def poisoned(logits: Tensor, mask: Tensor, labels: Tensor, *rest: Any, **named: Any) -> Tensor:
        nonlocal calls
        calls += 1
        values = original(logits, mask, labels, *rest, **named)
        hit = (labels == row_labels).all(dim=1) & (mask.sum(dim=1) == 6)
        return torch.where(hit & (calls >= from_call), torch.nan, values)

    monkeypatch.setattr(losses, term, poisoned)


@pytest.mark.parametrize("term", ["classification", "distillation"])
def test_a_non_finite_loss_names_video_and_term_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch,
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
    poison(monkeypatch, term, torch.from_numpy(videos.labels[0]).float(), 30)
    with pytest.raises(DuetalError, match=rf"'v00': the {term} loss is nan in phase [BF]1"):
        train(config, videos, stopped)
    monkeypatch.undo()
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
    read = videos.cbp.read

    def huge(name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        values = read(name, start, stop)
        return values * np.float32(1e38) if name == "v05" else values

    monkeypatch.setattr(videos.cbp, "read", huge)
    with pytest.raises(DuetalError, match=r"'v05': the classification loss is (nan|inf)"):
        train(make_config(), videos, tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_a_non_finite_gradient_never_reaches_the_weights(
    monkeypatch: pytest.MonkeyPatch,
    videos: WeakVideos,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_trainer: MakeTrainer,
) -> None:
    """A loss may be finite where its gradient is not: the root of 0 is 0, and infinitely steep."""
    original = losses.classification

    def steep(logits: Tensor, *rest: Any, **named: Any) -> Tensor:
        zero = logits[:, 0, 0] - logits[:, 0, 0].detach()
        return original(logits, *rest, **named) + zero.sqrt()

    monkeypatch.setattr(losses, "classification", steep)
    config = make_config()
    branch = make_branch(config, "cbp")
    before = {name: p.detach().clone() for name, p in branch.named_parameters()}
    with pytest.raises(DuetalError, match=r".: the gradient is not finite.*phase X1"):
        make_trainer(config).train(branch, videos.cbp, phase_of("cbp"), pseudo_labels(videos))
    assert all(torch.equal(before[name], p) for name, p in branch.named_parameters())


# --- what an epoch tells ------------------------------------------------------------------------


def test_epochs_are_recorded(
    videos: WeakVideos,
    make_config: MakeConfig,
    make_branch: MakeBranch,
    make_trainer: MakeTrainer,
    tmp_path: Path,
) -> None:
    config = make_config(learning_rate=1e-12, repeats_per_epoch=3)
    branch = make_branch(config, "cbp")
    make_trainer(config).train(branch, videos.cbp, phase_of("cbp"), pseudo_labels(videos))
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(e["event"], e["phase"], e["branch"], e["epoch"], e["epochs"]) for e in events] == [
        ("epoch", "X1", "cbp", 1, 2),
        ("epoch", "X1", "cbp", 2, 2),
    ]
    for event in events:
        assert event["loss"] == pytest.approx(sum(event["terms"].values()))
        assert event["seconds"] >= 0
    # The epoch's mean over its crops, though the last batch is smaller than the others; at this
    # learning rate it can be computed after the fact.
    lengths = [videos.cbp.length(name) for name in videos.names]
    drawn = epoch_batches(
        lengths, crop=16, batch_size=4, repeats=3, seed=random_seed(config.seed, "X1", 1)
    )
    crops = [crop for batch in drawn for crop in batch]
    _, whole = gradients(make_trainer(config), branch, videos, "cbp", crops)
    assert events[1]["terms"] == pytest.approx(whole, rel=1e-4)
