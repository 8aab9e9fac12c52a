"""The classification-pretrained branch: action probabilities from I3D features.

Paper's supplement: "one Transformer pyramid encoder … alternating blocks of multi-head
self-attention and MLPs, Layer Norm before each block, residual after each", then "one lightweight
convolutional decoder, 3-layer 1D convolutional networks".
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.model.sequence import MaskedConv, TransformerBlock, halve, zero_padding


class CBPBranch(nn.Module):
    """Features of one video or a padded batch to a logit for each snippet and class.

    Args:
        channels: C of the features (2048 for I3D RGB and flow).
        classes: K.
        width: width of the pyramid.
        levels: temporal scales, with strides 1, 2, 4, …
        blocks: Transformer blocks at each scale.
        heads: attention heads.
        radius: attention radius at each scale, in that scale's positions; 0 means all.
        dropout: on the embedding and on residual branches.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: int = 512,
        levels: int = 4,
        blocks: int = 1,
        heads: int = 8,
        radius: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.stride = 2 ** (levels - 1)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.embedding = MaskedConv(channels, width)
        self.embedding_dropout = nn.Dropout(dropout)
        self.levels = nn.ModuleList(
            nn.ModuleList(TransformerBlock(width, heads, radius, dropout) for _ in range(blocks))
            for _ in range(levels)
        )
        self.norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(
            [MaskedConv(width, width), MaskedConv(width, width), MaskedConv(width, classes)]
        )

    def standardize(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the per-channel mean and deviation (C,) that features are standardised with."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp(min=1e-6))

    def begin_step(self) -> None:
        """Nothing is shared between this branch's micro-batches."""

    def end_step(self) -> None:
        """Nothing is shared between this branch's micro-batches."""

    def inference_state(self) -> dict[str, Tensor]:
        """All that inference needs."""
        return dict(self.state_dict())

    def encode(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) → (B, T, width): the pyramid's levels, upsampled to stride 1 and summed."""
        length = features.shape[1]
        missing = -length % self.stride
        x = F.pad((features - self.mean) / self.deviation, (0, 0, 0, missing))
        level_mask = F.pad(mask, (0, missing))
        x = zero_padding(x, level_mask)
        x = self.embedding_dropout(F.gelu(self.embedding(x, level_mask)))
        total = torch.zeros_like(x)
        for index, level in enumerate(self.levels):
            if index:
                x, level_mask = halve(x, level_mask)
            assert isinstance(level, nn.ModuleList)
            for block in level:
                x = block(x, level_mask)
            total = total + x.repeat_interleave(2**index, dim=1)
        return zero_padding(self.norm(total)[:, :length], mask)

    def decode(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) → (B, T, K) logits."""
        x = encoded
        for layer in self.decoder[:-1]:
            x = F.gelu(layer(x, mask))
        logits: Tensor = self.decoder[-1](x, mask)
        return logits

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Score a padded batch.

        Args:
            features: (B, T, C).
            mask: (B, T), True where a snippet is real.

        Returns:
            Logits (B, T, K), whose sigmoid is P^cb, and frame features (B, T, width).
        """
        encoded = self.encode(features, mask)
        return self.decode(encoded, mask), encoded
