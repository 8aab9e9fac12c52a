"""The VLP branch: zero-shot CLIP at the start, gradients through its prompts, its checkpoints."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from duetal.method.layers import apply_mask
from duetal.method.text import StoredText
from duetal.method.vlp import VLPBranch, VLPSettings

MakeVLP = Callable[..., VLPBranch]
T = 11


def inputs(videos: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(videos, T, 16), torch.ones(videos, T, dtype=torch.bool)


def zero_shot(branch: VLPBranch, features: torch.Tensor) -> torch.Tensor:
    """Cosines of image and plain text features, as CLIP is used without training."""
    text = F.normalize(branch.text.plain(), dim=-1)
    return F.normalize(features, dim=-1) @ text.T


@torch.no_grad()
def test_step_zero_is_zero_shot_clip(make_vlp: MakeVLP) -> None:
    branch = make_vlp(trained=False)
    branch.bias.fill_(0.25)
    features, mask = inputs()
    cosines = zero_shot(branch, features)
    logits, encoded = branch(features, mask)
    torch.testing.assert_close(branch.cosines(encoded), cosines, atol=1e-6, rtol=0)
    torch.testing.assert_close(logits, (cosines - 0.25) / 0.07, atol=1e-5, rtol=0)
    assert torch.equal(logits.argsort(dim=-1), cosines.argsort(dim=-1))
    # CLIP knows no lengths, only directions.
    torch.testing.assert_close(branch(9 * features, mask)[0], logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_step_zero_with_softmax_is_clips_softmax_beside_a_background(make_vlp: MakeVLP) -> None:
    branch = make_vlp(trained=False, score_function="softmax", temperature=0.05)
    branch.bias.fill_(0.1)
    features, mask = inputs()
    scores = F.pad(zero_shot(branch, features), (0, 1), value=0.1)
    expected = (scores / 0.05).softmax(dim=-1)[..., :-1]
    probabilities = torch.sigmoid(branch(features, mask)[0])
    torch.testing.assert_close(probabilities, expected, atol=2e-6, rtol=1e-5)


@torch.no_grad()
def test_without_zero_shot_start_prompts_and_layers_act_at_once(make_vlp: MakeVLP) -> None:
    branch = make_vlp(trained=False, zero_shot_start=False)
    features, _ = inputs()
    text = F.normalize(branch.text(), dim=-1)
    torch.testing.assert_close(branch.text_features(), text)
    assert (branch.text_features() - F.normalize(branch.text.plain(), dim=-1)).abs().max() > 1e-2
    assert "gates" not in branch.state_dict() or branch.gates.abs().max() == 0
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    started = F.normalize(features, dim=-1) * 4.0  # sqrt of 16 channels
    assert (branch.encode(features, mask) - started).abs().max() > 1e-5


def test_temporal_layers_start_small(make_vlp: MakeVLP) -> None:
    weights = [p for p in make_vlp(trained=False).layers.parameters() if p.ndim == 2]
    assert torch.cat([w.flatten() for w in weights]).std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("zero_shot_start", [True, False])
def test_a_step_in_parts_has_the_gradient_of_one_backward(
    make_vlp: MakeVLP, zero_shot_start: bool
) -> None:
    """Micro-batches within a step, against one backward through everything."""
    branch = make_vlp(trained=True, zero_shot_start=zero_shot_start)
    features, mask = inputs(4)
    target = torch.randn(4, T, 3)

    (branch(features, mask)[0] * target).sum().backward()
    direct = {name: p.grad for name, p in branch.named_parameters() if p.grad is not None}
    branch.zero_grad(set_to_none=True)

    with branch.step_context():
        for rows in (slice(0, 1), slice(1, 4)):
            (branch(features[rows], mask[rows])[0] * target[rows]).sum().backward()
    parts = {name: p.grad for name, p in branch.named_parameters() if p.grad is not None}

    assert parts.keys() == direct.keys()
    assert "text.prompts" in parts
    assert not any(name.startswith("text.model.") for name in parts)
    for name, gradient in direct.items():
        error = (parts[name] - gradient).abs().max() / gradient.abs().max()
        assert error < 1e-5, name


def test_a_step_of_no_videos_has_no_gradient(make_vlp: MakeVLP) -> None:
    branch = make_vlp(trained=True)
    with branch.step_context():
        pass
    assert branch.text.prompts.grad is None


@torch.no_grad()
@pytest.mark.parametrize("zero_shot_start", [True, False])
def test_inference_state_brings_the_scores_back(make_vlp: MakeVLP, zero_shot_start: bool) -> None:
    branch = make_vlp(trained=True, zero_shot_start=zero_shot_start)
    features, mask = inputs()
    state = branch.inference_state()
    assert not any(name.startswith("text.model.") for name in state)
    assert state["text.prompts"].shape == (5, 16)

    settings = VLPSettings(heads=2, positions=32, zero_shot_start=zero_shot_start)
    other = VLPBranch(StoredText(torch.zeros(3, 16)), 16, settings).eval()
    other.load_state_dict({name: state[name] for name in other.state_dict()})
    assert torch.equal(other(features, mask)[0], branch(features, mask)[0])


@torch.no_grad()
def test_gates_let_the_temporal_layers_in(make_vlp: MakeVLP) -> None:
    branch = make_vlp(trained=False)
    features, mask = inputs()
    shut = branch.encode(features, mask)
    branch.gates.fill_(1.0)  # tanh(10): open
    branch.standardize(torch.full((16,), 0.1), torch.full((16,), 0.5))
    expected = shut
    for index, layer in enumerate(branch.layers):
        read = apply_mask((expected - 0.1) / 0.5, mask)
        if index == 0:
            read = apply_mask(read + branch.positions[: shut.shape[1]], mask)
        expected = expected + layer(read, mask) - read
    torch.testing.assert_close(branch.encode(features, mask), expected, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("positions", [32, 0])
def test_an_embedding_of_places_makes_the_order_of_snippets_count(
    make_vlp: MakeVLP, positions: int
) -> None:
    branch = make_vlp(trained=False, positions=positions, init=0.1)
    branch.gates.fill_(1.0)
    features, _ = inputs()
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    order = torch.randperm(features.shape[1])
    moved = branch(features[:, order], mask)[0]
    same = torch.allclose(moved, branch(features, mask)[0][:, order], atol=1e-5)
    assert same is not bool(positions)
    # Places behind the last of training's crop share its embedding.
    long = features.repeat(1, 9, 1)
    assert branch(long, torch.ones(long.shape[:2], dtype=torch.bool))[0].isfinite().all()
