"""The detector's network: anchor-free heads on a temporal pyramid, after ActionFormer (ECCV 2022).

Every position of every scale predicts classes, the distances to both borders, and centre-ness. A
position of stride s stands for s snippets; places are in snippets, so that borders lie between
them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.detector.detector_settings import DetectorSettings
from duetal.method.layers import MaskedConv, apply_mask, masked_avg_pool

#: On the embedding and on residual branches.
_DROPOUT = 0.2


@dataclass(frozen=True)
class PyramidOutput:
    """What P positions of all scales predict."""

    classes: Tensor  # (B, P, K) logits.
    start: Tensor  # (B, P) in snippets from the crop's start.
    end: Tensor  # (B, P)
    centreness: Tensor  # (B, P) logits.
    mask: Tensor  # (B, P) True where a position holds a real snippet.


def position_grid(length: int, scales: int) -> tuple[Tensor, Tensor]:
    """Centre, in snippets, and stride, (P,) each, of the positions over `length` snippets."""
    strides = [1 << scale for scale in range(scales)]
    centres = [(torch.arange(length // stride) + 0.5) * stride for stride in strides]
    sizes = [torch.full((length // stride,), float(stride)) for stride in strides]
    return torch.cat(centres), torch.cat(sizes)


class PyramidBlock(nn.Module):
    """A convolution, then an MLP; Layer Norm before each, residual after each."""

    def __init__(self, width: int):
        super().__init__()
        self.conv_norm, self.conv = nn.LayerNorm(width), MaskedConv(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) → (B, T, width), zeros at padded positions."""
        normed = apply_mask(self.conv_norm(x), mask)
        x = x + self.dropout(F.gelu(self.conv(normed, mask)))
        return apply_mask(x + self.dropout(self.mlp(self.mlp_norm(x))), mask)


class PyramidHead(nn.Module):
    """Convolutions that all scales share: (B, T, width) → (B, T, channels)."""

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.convs = nn.ModuleList(MaskedConv(width, width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.last = MaskedConv(width, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Zeros at padded positions."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = apply_mask(F.gelu(norm(conv(x, mask))), mask)
        out: Tensor = self.last(x, mask)
        return out


class PyramidDetector(nn.Module):
    """Features (B, T, C) of all streams, joined, to detections at P positions.

    They are standardised with a mean and standard deviation (C,), which are part of the model.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, num_classes: int, settings: DetectorSettings):
        super().__init__()
        width = settings.width
        self.scales, self.coarsest = settings.scales, settings.coarsest
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.channel_dropout = nn.Dropout1d(settings.input_dropout)
        self.embedding, self.embedding_norm = MaskedConv(dim, width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(_DROPOUT)
        self.blocks = nn.ModuleList(PyramidBlock(width) for _ in range(settings.scales))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(settings.scales))
        self.class_head = PyramidHead(width, num_classes)
        self.border_head = PyramidHead(width, 3)
        # Nearly all positions are background: a first guess of 5 % keeps the loss from its shock.
        assert self.class_head.last.conv.bias is not None
        nn.init.constant_(self.class_head.last.conv.bias, -3.0)
        self.scale_factors = nn.Parameter(torch.ones(settings.scales))

    def forward(self, features: Tensor, mask: Tensor) -> PyramidOutput:
        """Of features (B, T, C) and a mask (B, T), True where a snippet is real.

        T is padded to a multiple of the coarsest stride.
        """
        missing = -features.shape[1] % self.coarsest
        mask = F.pad(mask, (0, missing))
        x = F.pad((features - self.mean) / self.std, (0, 0, 0, missing))
        x = self.channel_dropout(apply_mask(x, mask).transpose(1, 2)).transpose(1, 2)
        centres, strides = position_grid(x.shape[1], self.scales)
        x = self.dropout(F.gelu(self.embedding_norm(self.embedding(x, mask))))
        x = apply_mask(x, mask)
        classes, borders, masks = [], [], []
        for scale, block in enumerate(self.blocks):
            if scale:
                x, mask = masked_avg_pool(x, mask)
            x = block(x, mask)
            level = apply_mask(self.norms[scale](x), mask)
            classes.append(self.class_head(level, mask))
            border = self.border_head(level, mask)
            reach = 2 * F.softplus(border[..., :2] * self.scale_factors[scale])
            borders.append(torch.cat([reach, border[..., 2:]], dim=-1))
            masks.append(mask)
        border = torch.cat(borders, dim=1)
        reach = border[..., :2] * strides.to(x)[:, None]
        centre = centres.to(x)
        return PyramidOutput(
            torch.cat(classes, dim=1),
            centre - reach[..., 0],
            centre + reach[..., 1],
            border[..., 2],
            torch.cat(masks, dim=1),
        )
