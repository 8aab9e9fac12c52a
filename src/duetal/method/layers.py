"""Layers over padded sequences whose outputs do not depend on the padding.

Everywhere `x` is (B, T, C) and `mask` is (B, T), True where a snippet is real. Padded positions
hold zeros between the layers, as a convolution pads a sequence without padding.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.method.dropout import CropDropout
from duetal.method.trainable_backbone import TrainableBackbone


class BranchNetwork(nn.Module):
    """The network of a branch.

    Its forward takes features (B, T, C) and a mask (B, T), and gives logits (B, T, K), whose
    sigmoid is the probability of each class at each snippet, and frame features (B, T, D). What is
    shown and ranked are probabilities of logits / `temperature`, which do not saturate.
    """

    temperature: Tensor
    #: Whether the probability that a video has a class is a softmax over its classes.
    classes_compete: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("classes_compete", torch.tensor(False))
        #: Of the features, where it is trained too.
        self.backbone: TrainableBackbone | None = None

    def step_context(self) -> AbstractContextManager[None]:
        """Around the micro-batches of one optimizer step: share what they have in common."""
        return nullcontext()

    def take_turn(self, epoch: int) -> None:
        """Before epoch 0, 1, …: choose the part that the epoch trains, of a network of several."""

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that this epoch trains."""
        return [p for p in self.parameters() if p.requires_grad]

    def inference_state(self) -> dict[str, Tensor]:
        """The tensors that inference needs: a checkpoint's content."""
        return dict(self.state_dict())


def apply_mask(x: Tensor, mask: Tensor) -> Tensor:
    """Set padded positions to zero."""
    return x * mask.unsqueeze(-1).to(x.dtype)


class MaskedConv(nn.Module):
    """1-D convolution over time, stride 1, with an odd kernel in snippets, that keeps T."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3):
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, channels_in) → (B, T, channels_out), zeros at padded positions."""
        return apply_mask(self.conv(x.transpose(1, 2)).transpose(1, 2), mask)


#: Up to this many windows, attention at once is as fast as in blocks.
WORTH_CUTTING = 6


def _window(radius: int) -> int:
    """How many positions a block of queries attends to: itself, and the radius on either side."""
    return max(32, radius) + 2 * radius


class SelfAttention(nn.Module):
    """Multi-head self-attention over the valid positions; C, `embed_dim`, is a multiple of `heads`.

    `radius` is the number of positions to either side that a position attends to; None: all. With a
    radius, time and memory grow with T · radius and not with T².
    """

    def __init__(self, embed_dim: int, heads: int, radius: int | None = None):
        super().__init__()
        self.heads = heads
        self.radius = radius
        # A key's bias cancels in the softmax: its gradient is rounding noise, of which Adam would
        # make full steps. The norm before and `out` make the other two biases redundant.
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=False)
        self.out = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C); padded rows are undefined but finite."""
        qkv = self.qkv(x)
        # An exported graph has a free T, but the number of blocks would be fixed: it takes the
        # general form.
        exporting = torch.compiler.is_exporting()
        if self.radius is None or exporting or x.shape[1] <= WORTH_CUTTING * _window(self.radius):
            mixed = self._attend_at_once(qkv, mask)
        else:
            mixed = self._attend_in_blocks(qkv, mask, self.radius)
        out: Tensor = self.out(mixed)
        return out

    def _attend_at_once(self, qkv: Tensor, mask: Tensor) -> Tensor:
        """(B, T, 3C) → (B, T, C) by (T, T) weights."""
        batch, length, width = qkv.shape
        heads = qkv.view(batch, length, 3, self.heads, width // 3 // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        allowed = self._attention_mask(mask, qkv.device)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return mixed.transpose(1, 2).reshape(batch, length, width // 3)

    def _attend_in_blocks(self, qkv: Tensor, mask: Tensor, radius: int) -> Tensor:
        """(B, T, 3C) → (B, T, C), each block of positions among those within the radius of it."""
        batch, length, width = qkv.shape
        window = _window(radius)
        size = window - 2 * radius
        blocks = -(-length // size)
        # As many positions as whole blocks have, and a radius more on either side.
        behind = blocks * size - length
        around = (radius, behind + radius)
        channels = width // 3
        head = (self.heads, channels // self.heads)
        query = F.pad(qkv[..., :channels], (0, 0, 0, behind))
        query = query.view(batch * blocks, size, *head).transpose(1, 2)
        # (B, blocks, 2C, window)
        windows = F.pad(qkv[..., channels:], (0, 0, *around)).unfold(1, window, size)
        windows = windows.reshape(batch * blocks, 2, *head, window)
        key, value = windows.transpose(-1, -2).unbind(1)
        distance = torch.arange(window, device=qkv.device) - radius
        distance = distance - torch.arange(size, device=qkv.device)[:, None]
        valid = F.pad(mask, around).unfold(1, window, size)[:, :, None]
        # A position attends to itself in any case: softmax of a row without any is NaN.
        allowed = ((distance.abs() <= radius) & valid) | (distance == 0)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed.flatten(0, 1).unsqueeze(1)
        )
        return mixed.transpose(1, 2).reshape(batch, blocks * size, channels)[:, :length]

    def _attention_mask(self, mask: Tensor, device: torch.device) -> Tensor | None:
        """(B or 1, 1, T or 1, T) booleans: which position attends to which; None: all to all."""
        near = None
        if self.radius is not None:
            position = torch.arange(mask.shape[1], device=device)
            near = (position[:, None] - position[None, :]).abs() <= self.radius
        # An exported graph has no branch on values: it takes the general mask.
        if not torch.compiler.is_exporting() and bool(mask.all()):
            return None if near is None else near[None, None]
        valid = mask[:, None, None, :]
        if near is None:
            return valid
        # A padded row far behind the video's end would attend to nothing: softmax of it is NaN.
        return (near & valid) | torch.eye(mask.shape[1], dtype=torch.bool, device=device)


class TransformerBlock(nn.Module):
    """Self-attention, then an MLP; Layer Norm before each, residual after each (pre-LN).

    The first three arguments are those of `SelfAttention`. Dropout is on both residual branches;
    `expansion` is the hidden width of the MLP over `embed_dim`.
    """

    def __init__(
        self,
        embed_dim: int,
        heads: int,
        radius: int | None = None,
        dropout: float = 0.0,
        expansion: int = 4,
    ):
        super().__init__()
        self.attention_norm = nn.LayerNorm(embed_dim)
        self.attention = SelfAttention(embed_dim, heads, radius)
        self.mlp_norm = nn.LayerNorm(embed_dim)
        self.mlp = nn.Sequential(
            nn.Linear(embed_dim, expansion * embed_dim),
            nn.GELU(),
            nn.Linear(expansion * embed_dim, embed_dim),
        )
        self.dropout = CropDropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C), zeros at padded positions."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        x = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return apply_mask(x, mask)


def masked_avg_pool(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each pair of neighbours, over the valid ones. T must be even.

    Returns:
        (B, T/2, C) and the mask (B, T/2): a pair is valid when one of it is.
    """
    batch, length, dim = x.shape
    pairs = mask.view(batch, length // 2, 2)
    summed = apply_mask(x, mask).view(batch, length // 2, 2, dim).sum(dim=2)
    count = pairs.sum(dim=2, keepdim=True).clamp(min=1)
    return summed / count, pairs.any(dim=2)


def repeat_positions(x: Tensor, mask: Tensor, factor: int) -> Tensor:
    """(B, T, C) → (B, T · factor, C): every position `factor` times."""
    return x.repeat_interleave(factor, dim=1)


def masked_interpolate(x: Tensor, mask: Tensor, factor: int) -> Tensor:
    """(B, T, C) → (B, T · factor, C): linear between the centres of the valid positions."""
    if factor == 1:
        return x
    stacked = torch.cat([apply_mask(x, mask), mask.unsqueeze(-1).to(x.dtype)], dim=-1)
    finer = F.interpolate(
        stacked.transpose(1, 2), scale_factor=float(factor), mode="linear", align_corners=False
    ).transpose(1, 2)
    return finer[..., :-1] / finer[..., -1:].clamp(min=1e-6)


def topk_mean(scores: Tensor, mask: Tensor, ratio: float | Sequence[float]) -> Tensor:
    """Video-level score (B, K) of each class: the mean of its top ceil(T_valid / ratio) snippets.

    Of scores (B, T, K); a `ratio` of 8 takes the top eighth, K of them are one for each class.
    """
    ratios = torch.as_tensor(ratio, dtype=torch.float64).reshape(1, -1)
    counts = (mask.sum(dim=1, keepdim=True).cpu() / ratios).ceil().long()
    most, counts = int(counts.max()), counts.to(scores.device)
    lowest = torch.finfo(scores.dtype).min
    masked = scores.masked_fill(~mask.unsqueeze(-1), lowest)
    top = masked.topk(most, dim=1).values
    rank = torch.arange(most, device=scores.device)
    taken = rank[None, :, None] < counts[:, None, :]
    return top.masked_fill(~taken, 0.0).sum(dim=1) / counts
