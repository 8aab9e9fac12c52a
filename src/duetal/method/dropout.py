"""Dropout that depends on the crop alone, and not on what it is computed together with.

PyTorch's draws a mask for a whole micro-batch, so a run would change with the number of processes
that share its batches, and with what fits into memory. Here a value's fate is a hash of the step's
seed, the crop, the layer, the snippet and the channel, on every device.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: The seeds (B,) int32 of the crops that are computed now, and the number of the next layer.
_CROPS: ContextVar[tuple[Tensor, Iterator[int]] | None] = ContextVar("crops", default=None)


@contextmanager
def crop_dropout(seeds: Sequence[int]) -> Iterator[None]:
    """Around a forward pass over B crops: the seed of each, of which 32 bits count."""
    wrapped = [(seed + 2**31) % 2**32 - 2**31 for seed in seeds]
    token = _CROPS.set((torch.tensor(wrapped, dtype=torch.int32), count()))
    try:
        yield
    finally:
        _CROPS.reset(token)


class CropDropout(nn.Module):
    """Dropout of values (B, T, C), or with `whole_channels` of a channel in all T at once.

    Within `crop_dropout` a crop's values are dropped by its seed; elsewhere as PyTorch does. Those
    that are left are scaled by 1 / (1 - p).
    """

    def __init__(self, p: float, *, whole_channels: bool = False):
        super().__init__()
        self.p, self.whole_channels = p, whole_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C); in eval mode as it is."""
        if not (self.training and self.p):
            return x
        crops = _CROPS.get()
        if crops is None:
            ones = torch.ones_like(x[:, :1] if self.whole_channels else x)
            return x * F.dropout(ones, self.p)
        seeds, layers = crops
        length = 1 if self.whole_channels else x.shape[1]
        kept = _keep(seeds.to(x.device), next(layers), length, x.shape[2], self.p)
        return x * kept.to(x.dtype).div_(1 - self.p)


def _keep(seeds: Tensor, layer: int, length: int, channels: int, p: float) -> Tensor:
    """(B, T, C) booleans, each False with probability p."""
    places = torch.arange(length, dtype=torch.int32, device=seeds.device)
    columns = torch.arange(channels, dtype=torch.int32, device=seeds.device)
    of_layer = _scrambled(seeds + layer)[:, None]
    of_place = _scrambled(of_layer ^ _scrambled(places))[:, :, None]
    drawn = _scrambled(of_place ^ _scrambled(columns + 1))
    return drawn >= round(p * 2**32) - 2**31


def _scrambled(x: Tensor) -> Tensor:
    """A hash of int32 values, to int32; Austin Appleby's finalizer of MurmurHash3."""
    # A shift of int32 brings in copies of the sign, which the masks remove.
    x = x ^ (x >> 16).bitwise_and_(0xFFFF)
    x = x.mul_(-2048144789)
    x ^= (x >> 13).bitwise_and_(0x7FFFF)
    x = x.mul_(-1028477387)
    x ^= (x >> 16).bitwise_and_(0xFFFF)
    return x
