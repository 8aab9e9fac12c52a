"""The layers, each against its definition."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from duetal.method import layers
from duetal.method.layers import (
    MaskedConv,
    SelfAttention,
    TransformerBlock,
    masked_avg_pool,
    masked_interpolate,
    repeat_positions,
    topk_mean,
)


def padded(*lengths: int, dim: int = 8) -> tuple[Tensor, Tensor]:
    """Random sequences of the given lengths, zeros behind them, and their mask."""
    generator = torch.Generator().manual_seed(sum(lengths))
    x = torch.randn(len(lengths), max(lengths), dim, generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return x * mask.unsqueeze(-1), mask


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    ratio=st.integers(1, 10),
)
def test_topk_mean_is_the_mean_of_the_best_ceil(lengths: list[int], ratio: int) -> None:
    # Padding holds the best scores of all: it must not be taken.
    scores, mask = padded(*lengths, dim=3)
    scores = scores.masked_fill(~mask.unsqueeze(-1), 100.0)
    got = topk_mean(scores, mask, ratio)
    for row, length in enumerate(lengths):
        for k in range(3):
            column = sorted(scores[row, :length, k].tolist(), reverse=True)
            best = column[: math.ceil(length / ratio)]
            assert got[row, k].item() == pytest.approx(sum(best) / len(best), abs=1e-5)


def test_masked_avg_pool_averages_the_valid_neighbours() -> None:
    x = torch.tensor([[[1.0], [3.0], [5.0], [70.0]], [[2.0], [4.0], [60.0], [80.0]]])
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    pooled, valid = masked_avg_pool(x, mask)
    assert pooled[..., 0].tolist() == [[2.0, 5.0], [3.0, 0.0]]
    assert valid.tolist() == [[True, True], [True, False]]


def test_masked_interpolation_is_linear_between_the_centres_of_valid_positions() -> None:
    x = torch.tensor([[[1.0], [5.0], [90.0]], [[2.0], [70.0], [80.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    finer = masked_interpolate(x, mask, 2)[..., 0]
    # Centres of two lie a quarter of a position beside those of one; ends hold their value.
    torch.testing.assert_close(finer[0, :4], torch.tensor([1.0, 2.0, 4.0, 5.0]))
    torch.testing.assert_close(finer[1, :2], torch.tensor([2.0, 2.0]))
    assert torch.equal(masked_interpolate(x, mask, 1), x)
    assert repeat_positions(x, mask, 2)[0, :4, 0].tolist() == [1.0, 1.0, 5.0, 5.0]


@pytest.mark.parametrize("radius", [None, 1, 3])
def test_attention_equals_its_formula(radius: int | None) -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8, 2, radius)
    x, mask = padded(9, 5)
    got = attention(x, mask)
    for row, length in enumerate((9, 5)):
        query, key, value = attention.qkv(x[row, :length]).view(length, 3, 2, 4).unbind(1)
        scores = torch.einsum("qhd,khd->hqk", query, key) / 2.0  # sqrt of 4 channels a head
        distance = (torch.arange(length)[:, None] - torch.arange(length)[None, :]).abs()
        if radius is not None:
            scores = scores.masked_fill(distance > radius, -math.inf)
        mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value).reshape(length, 8)
        torch.testing.assert_close(got[row, :length], attention.out(mixed), atol=1e-5, rtol=0)


@pytest.mark.parametrize("radius", [1, 2, 33, 40])
@pytest.mark.parametrize("lengths", [(700,), (640, 3), (671, 1, 300, 37), (95, 96, 97)])
def test_attention_in_blocks_equals_attention_at_once(
    monkeypatch: pytest.MonkeyPatch, radius: int, lengths: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8, 2, radius)
    x, mask = padded(*lengths)
    weights = torch.randn_like(x) * mask.unsqueeze(-1)
    results = []
    for windows in (0, 10**6):
        monkeypatch.setattr(layers, "WORTH_CUTTING", windows)
        given = x.clone().requires_grad_()
        attention.zero_grad()
        out = attention(given, mask)
        (out * weights).sum().backward()
        assert torch.isfinite(out).all()
        gradients = [p.grad / len(x[0]) for p in attention.parameters() if p.grad is not None]
        results.append([out * mask.unsqueeze(-1), given.grad, *gradients])
    for cut, at_once in zip(*results, strict=True):
        torch.testing.assert_close(cut, at_once, atol=1e-6, rtol=1e-6)


def test_attention_with_a_radius_makes_no_square_of_the_length() -> None:
    attention = SelfAttention(8, 2, 2)
    sizes: list[int] = []

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            sizes.extend(o.numel() for o in pytree.tree_leaves(out) if isinstance(o, Tensor))
            return out

    x, mask = padded(4000, 3)
    with Largest():
        attention(x, mask).sum().backward()
    assert max(sizes) < 4000**2 / 10


@pytest.mark.parametrize("radius", [None, 2])
@pytest.mark.parametrize("length", [30, 300])
def test_nothing_is_nan_behind_a_short_video(radius: int | None, length: int) -> None:
    block = TransformerBlock(8, 2, radius)
    x, mask = padded(length, 1)
    out = block(x, mask)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in block.parameters() if p.grad is not None)
    assert (out[1, 1:] == 0).all()


def test_convolution_sees_zeros_at_both_ends() -> None:
    torch.manual_seed(0)
    layer = MaskedConv(8, 4)
    x, mask = padded(6, 3)
    alone, whole = padded(3)
    alone = x[1:, :3]
    torch.testing.assert_close(layer(x, mask)[1:, :3], layer(alone, whole))
    assert (layer(x, mask)[1, 3:] == 0).all()
