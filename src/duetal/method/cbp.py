"""The classification-pretrained branch: action probabilities from I3D features.

Paper's supplement: "one Transformer pyramid encoder … alternating blocks of multi-head
self-attention and MLPs, Layer Norm before each block, residual after each", then "one lightweight
convolutional decoder, 3-layer 1D convolutional networks".
"""

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.core.settings_section import Settings
from duetal.method.dropout import CropDropout
from duetal.method.layers import (
    BranchNetwork,
    MaskedConv,
    TransformerBlock,
    apply_mask,
    masked_avg_pool,
    masked_interpolate,
    repeat_positions,
)


class CBPSettings(Settings):
    """The CBP branch."""

    embed_dim: int = Field(512, ge=8, le=65_536)
    """[D] Width of the Transformer pyramid."""
    levels: int = Field(2, ge=1, le=8)
    """[D] Temporal scales, with strides 1, 2, 4, … More of them blur borders: a coarse scale's
    position is longer than many actions."""
    interpolation: bool = True
    """[D] Bring coarse scales back to stride 1 by linear interpolation; off: by repetition, which
    gives every border the places of a coarse scale's blocks."""
    blocks: int = Field(1, ge=1, le=1000)
    """[D] Transformer blocks at each scale."""
    heads: int = Field(8, ge=1, le=1024)
    """[D] Attention heads."""
    attention_radius: int | None = Field(2, ge=1, le=1_000_000)
    """[D] Positions to either side that self-attention sees at each scale; none: the whole crop.
    Measured: with the whole crop in sight every snippet predicts the video's labels."""
    members: int = Field(1, ge=1, le=100)
    """[F] Networks of different initial weights whose logits are averaged. Epoch by epoch they
    learn in turn, so that they share the epochs of a phase. From labels alone a network may settle
    on the wrong part of some class; on which class differs from one to the next."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """[D] Dropout on the embedding and on residual branches."""
    channel_dropout: float = Field(0.7, ge=0, lt=1)
    """[D] Share of the features' channels that a training crop lacks from end to end, so that no
    few channels can tell the videos apart."""
    linear_path: float = Field(0.0, ge=0, le=1e6)
    """[D] Add to the pyramid's logits those of a linear classifier of each snippet, times this. Its
    weights start at 0, and Adam moves its logits this much faster than the pyramid's. It is the
    stronger part where there are few videos. 0: none."""
    feature_normalization: bool = True
    """[D] Standardise each feature channel with its mean and standard deviation over the training
    videos; they become part of the model."""

    @model_validator(mode="after")
    def _check_heads(self) -> "CBPSettings":
        dim, heads = self.embed_dim, self.heads
        if dim % heads:
            raise ValueError(f"embed_dim ({dim}) is not a multiple of heads ({heads})")
        return self

    @property
    def stride(self) -> int:
        """Snippets per position of the coarsest scale."""
        return 1 << (self.levels - 1)


class CBPBranch(BranchNetwork):
    """Features of a padded batch to a logit for each snippet and class.

    `dim` is C of the features (2048 for I3D RGB and flow), `num_classes` is K.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, num_classes: int, settings: CBPSettings):
        super().__init__()
        width, heads = settings.embed_dim, settings.heads
        radius, dropout = settings.attention_radius, settings.dropout
        self.stride, self.interpolation = settings.stride, settings.interpolation
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.channel_dropout = CropDropout(settings.channel_dropout, whole_channels=True)
        self.embedding = MaskedConv(dim, width)
        self.embedding_dropout = CropDropout(dropout)
        self.levels = nn.ModuleList(
            nn.ModuleList(
                TransformerBlock(width, heads, radius, dropout) for _ in range(settings.blocks)
            )
            for _ in range(settings.levels)
        )
        self.linear_path = settings.linear_path
        if self.linear_path:
            self.linear = nn.Linear(dim, num_classes)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        self.norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(
            [MaskedConv(width, width), MaskedConv(width, width), MaskedConv(width, num_classes)]
        )

    def standardize(self, mean: Tensor, std: Tensor) -> None:
        """Set the mean and standard deviation (C,) that features are standardised with."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=1e-6))

    def encode(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) → (B, T, embed_dim): the pyramid's levels, upsampled to stride 1, summed."""
        length = features.shape[1]
        missing = -length % self.stride
        x = F.pad(features, (0, 0, 0, missing))
        level_mask = F.pad(mask, (0, missing))
        x = self.embedding_dropout(F.gelu(self.embedding(x, level_mask)))
        upsample = masked_interpolate if self.interpolation else repeat_positions
        total = torch.zeros_like(x)
        for index, level in enumerate(self.levels):
            if index:
                x, level_mask = masked_avg_pool(x, level_mask)
            assert isinstance(level, nn.ModuleList)
            for block in level:
                x = block(x, level_mask)
            total = total + upsample(x, level_mask, 2**index)
        return apply_mask(self.norm(total)[:, :length], mask)

    def decode(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """(B, T, embed_dim) → (B, T, K) logits."""
        x = encoded
        for layer in self.decoder[:-1]:
            x = F.gelu(layer(x, mask))
        logits: Tensor = self.decoder[-1](x, mask)
        return logits

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, K), whose sigmoid is P^cb, and frame features (B, T, embed_dim).

        Of features (B, T, C); the mask (B, T) is True where a snippet is real.
        """
        x = self.channel_dropout(apply_mask((features - self.mean) / self.std, mask))
        encoded = self.encode(x, mask)
        logits = self.decode(encoded, mask)
        if self.linear_path:
            logits = apply_mask(logits + self.linear_path * self.linear(x), mask)
        return logits, encoded


class CBPCommittee(BranchNetwork):
    """Several CBP branches that learn in turn, epoch by epoch; in eval mode they are averaged."""

    def __init__(self, dim: int, num_classes: int, settings: CBPSettings):
        super().__init__()
        self.members = nn.ModuleList(
            CBPBranch(dim, num_classes, settings) for _ in range(settings.members)
        )
        self._turn = 0

    def standardize(self, mean: Tensor, std: Tensor) -> None:
        """Set the mean and standard deviation (C,) that features are standardised with."""
        for member in self._all():
            member.standardize(mean, std)

    def take_turn(self, epoch: int) -> None:
        """Choose the member that the epoch trains."""
        self._turn = epoch % len(self.members)

    def trained_parameters(self) -> list[nn.Parameter]:
        """Those of the member whose turn it is."""
        behind = [] if self.backbone is None else list(self.backbone.parameters())
        return [*self._all()[self._turn].trained_parameters(), *behind]

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As of `CBPBranch`: of the member whose turn it is, or in eval mode the means of all."""
        if self.training:
            return self._all()[self._turn].forward(features, mask)
        found = [member.forward(features, mask) for member in self._all()]
        logits, encoded = zip(*found, strict=True)
        return torch.stack(logits).mean(dim=0), torch.stack(encoded).mean(dim=0)

    def _all(self) -> list[CBPBranch]:
        return [member for member in self.members if isinstance(member, CBPBranch)]


def make_cbp(dim: int, num_classes: int, settings: CBPSettings) -> CBPBranch | CBPCommittee:
    """A CBP branch of random weights, or several."""
    kind = CBPBranch if settings.members == 1 else CBPCommittee
    return kind(dim, num_classes, settings)
