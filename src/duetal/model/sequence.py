"""Pieces of a network over padded sequences that never look at the padding.

Everywhere `x` is (B, T, C) and `mask` is (B, T), True where a snippet is real. Padded positions
hold zeros between the pieces, so that a convolution sees at a video's end what it would see
without padding: zeros.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """Set padded positions to zero."""
    return x * mask.unsqueeze(-1).to(x.dtype)


class MaskedConv(nn.Module):
    """1-D convolution over time, stride 1, that keeps T.

    Args:
        channels_in: C of the input.
        channels_out: C of the output.
        kernel: odd width of the kernel, in snippets.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3):
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, channels_in) → (B, T, channels_out), zeros at padded positions."""
        return zero_padding(self.conv(x.transpose(1, 2)).transpose(1, 2), mask)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the valid positions.

    Args:
        width: C.
        heads: number of heads; divides `width`.
        radius: positions to either side that a position sees; 0 means all.
    """

    def __init__(self, width: int, heads: int, radius: int = 0):
        super().__init__()
        self.heads = heads
        self.radius = radius
        # A key's bias cancels in the softmax: its gradient is rounding noise, of which Adam would
        # make full steps. The other two are spoken for by the norm before and by `out`.
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C); padded rows are undefined but finite."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=self._visible(mask, x.device)
        )
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return out

    def _visible(self, mask: Tensor, device: torch.device) -> Tensor | None:
        """(B or 1, 1, T or 1, T) booleans: which position sees which; None when all see all."""
        near = None
        if self.radius:
            position = torch.arange(mask.shape[1], device=device)
            near = (position[:, None] - position[None, :]).abs() <= self.radius
        # An exported graph can't look at the mask to choose its way; it takes the general one.
        if not torch.compiler.is_exporting() and bool(mask.all()):
            return None if near is None else near[None, None]
        valid = mask[:, None, None, :]
        if near is None:
            return valid
        # A padded row far behind the video's end would see nothing, and softmax of nothing is NaN.
        return (near & valid) | torch.eye(mask.shape[1], dtype=torch.bool, device=device)


class TransformerBlock(nn.Module):
    """Self-attention, then an MLP; Layer Norm before each, residual after each (pre-LN).

    Args:
        width: C.
        heads: attention heads.
        radius: attention radius in positions; 0 means all.
        dropout: on both residual branches.
        expansion: hidden width of the MLP over `width`.
    """

    def __init__(
        self, width: int, heads: int, radius: int = 0, dropout: float = 0.0, expansion: int = 4
    ):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, radius)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C), zeros at padded positions."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        x = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return zero_padding(x, mask)


def halve(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each pair of neighbours, over the valid ones. T must be even.

    Returns:
        (B, T/2, C) and the mask (B, T/2): a pair is valid when one of it is.
    """
    batch, length, width = x.shape
    pairs = mask.view(batch, length // 2, 2)
    summed = zero_padding(x, mask).view(batch, length // 2, 2, width).sum(dim=2)
    count = pairs.sum(dim=2, keepdim=True).clamp(min=1)
    return summed / count, pairs.any(dim=2)


def topk_mean(scores: Tensor, mask: Tensor, divisor: int) -> Tensor:
    """Video-level score of each class: the mean of its top ceil(T_valid / divisor) snippets.

    Args:
        scores: (B, T, K).
        mask: (B, T).
        divisor: 8 takes the top eighth.

    Returns:
        (B, K).
    """
    counts = (mask.sum(dim=1) + divisor - 1) // divisor
    lowest = torch.finfo(scores.dtype).min
    masked = scores.masked_fill(~mask.unsqueeze(-1), lowest)
    top = masked.topk(int(counts.max()), dim=1).values
    rank = torch.arange(top.shape[1], device=scores.device)
    taken = (rank[None, :] < counts[:, None]).unsqueeze(-1)
    return top.masked_fill(~taken, 0.0).sum(dim=1) / counts.unsqueeze(-1)
