"""A crop's values are dropped by its seed alone, as often as asked."""

import pytest
import torch

from duetal.method.dropout import CropDropout, crop_dropout

P = 0.3


def dropped(
    seeds: list[int], length: int = 40, *, whole_channels: bool = False, layer: int = 0
) -> torch.Tensor:
    """What a layer makes of ones (B, T, 16), where others were passed before it."""
    module = CropDropout(P, whole_channels=whole_channels).train()
    with crop_dropout(seeds):
        for _ in range(layer + 1):
            found = module(torch.ones(len(seeds), length, 16))
    return found


@pytest.mark.parametrize("whole_channels", [False, True])
def test_the_mask_is_the_crops_own(whole_channels: bool) -> None:
    together = dropped([7, 2**40 + 3, -1], 60, whole_channels=whole_channels)
    for row, seed in enumerate((7, 2**40 + 3, -1)):
        alone = dropped([seed], 40, whole_channels=whole_channels)
        assert torch.equal(together[row, :40], alone[0])
    assert not torch.equal(together[0], together[1])
    other = dropped([7], 60, whole_channels=whole_channels, layer=1)
    assert not torch.equal(together[0], other[0])


def test_values_are_independent_and_as_many_as_asked() -> None:
    found = dropped(list(range(300)), 50)
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - P)])
    kept = (found > 0).double() - (1 - P)
    error = (P * (1 - P) / kept.numel()) ** 0.5
    assert abs(kept.mean()) < 4 * error
    for dim in range(3):
        first = kept.narrow(dim, 0, kept.shape[dim] - 1)
        second = kept.narrow(dim, 1, kept.shape[dim] - 1)
        assert abs((first * second).mean()) < 4 * error
        others = tuple(other for other in range(3) if other != dim)
        share = kept.mean(others)
        assert share.std() < 1.5 * (P * (1 - P) / (kept.numel() / len(share))) ** 0.5


def test_channels_are_dropped_in_all_snippets() -> None:
    found = dropped(list(range(500)), whole_channels=True)
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert (found > 0).double().mean() == pytest.approx(1 - P, abs=0.03)


@pytest.mark.parametrize("whole_channels", [False, True])
def test_elsewhere_it_is_pytorchs(whole_channels: bool) -> None:
    module, x = CropDropout(P, whole_channels=whole_channels), torch.randn(64, 20, 16)
    torch.manual_seed(0)
    found = module(x)
    ratio = found / x
    if whole_channels:
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert (found != 0).double().mean() == pytest.approx(1 - P, abs=0.05)
    assert torch.equal(module.eval()(x), x)
