"""What shares a batch with a video, and how far it is padded, changes none of its scores."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from duetal.method import layers
from duetal.method.cbp import CBPBranch
from duetal.method.vlp import VLPBranch

TOLERANCE = 1e-5
LENGTHS = (1, 2, 7, 8, 9, 33, 64)
Branch = CBPBranch | VLPBranch


def video(length: int, dim: int) -> Tensor:
    return torch.randn(length, dim, generator=torch.Generator().manual_seed(length))


def batch(lengths: tuple[int, ...], dim: int, extra: int, filler: float) -> tuple[Tensor, Tensor]:
    """Videos padded to the longest and `extra` more, with `filler` where nothing is."""
    features = torch.full((len(lengths), max(lengths) + extra, dim), filler)
    mask = torch.zeros(features.shape[:2], dtype=torch.bool)
    for row, length in enumerate(lengths):
        features[row, :length] = video(length, dim)
        mask[row, :length] = True
    return features, mask


def largest_change(branch: Branch, dim: int) -> float:
    """Over all videos and ways to batch them, the largest change of a logit or a frame feature."""
    worst = 0.0
    whole = torch.ones(1, 64, dtype=torch.bool)
    alone = {n: branch(video(n, dim)[None], whole[:, :n]) for n in LENGTHS}
    groups = [LENGTHS, LENGTHS[::-1], (7, 64), (9, 9, 1), *((n,) for n in LENGTHS)]
    for lengths in groups:
        for extra, filler in [(0, 0.0), (5, 0.0), (41, 3.0)]:
            outputs = branch(*batch(lengths, dim, extra, filler))
            for row, length in enumerate(lengths):
                for got, expected in zip(outputs, alone[length], strict=True):
                    change = (got[row, :length] - expected[0]).abs().max().item()
                    worst = max(worst, change)
    return worst


@torch.no_grad()
@pytest.mark.parametrize(("radius", "windows"), [(None, 6), (3, 6), (3, 1), (3, 0)])
def test_cbp(
    make_cbp: Callable[..., CBPBranch],
    monkeypatch: pytest.MonkeyPatch,
    radius: int | None,
    windows: int,
) -> None:
    monkeypatch.setattr(layers, "WORTH_CUTTING", windows)
    assert largest_change(make_cbp(radius), 16) <= TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("radius", [None, 3])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("zero_shot_start", [False, True])
def test_vlp(
    make_vlp: Callable[..., VLPBranch], radius: int | None, softmax: bool, zero_shot_start: bool
) -> None:
    branch = make_vlp(
        trained=True,
        attention_radius=radius,
        score_function="softmax" if softmax else "sigmoid",
        zero_shot_start=zero_shot_start,
    )
    assert largest_change(branch, 16) <= TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 1000])
def test_the_pyramid_takes_any_length(
    make_cbp: Callable[..., CBPBranch], levels: int, length: int
) -> None:
    branch = make_cbp(levels=levels)
    mask = torch.ones(2, length, dtype=torch.bool)
    logits, encoded = branch(torch.randn(2, length, 16), mask)
    assert logits.shape == (2, length, 3)
    assert encoded.shape == (2, length, 16)
    assert torch.isfinite(logits).all()
