"""Layers over padded sequences whose outputs do not depend on the padding.

Everywhere `x` is (B, T, C) and `mask` is (B, T), True where a snippet is real. Padded positions
hold zeros between the layers, as a convolution pads a sequence without padding.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BranchNetwork(nn.Module):
    """The network of a branch.

    Its forward takes features (B, T, C) and a mask (B, T), and gives logits (B, T, K), whose
    sigmoid is the probability of each class at each snippet, and frame features (B, T, D).
    """

    def step_context(self) -> AbstractContextManager[None]:
        """Around the micro-batches of one optimizer step: share what they have in common."""
        return nullcontext()

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


class SelfAttention(nn.Module):
    """Multi-head self-attention over the valid positions; C, `embed_dim`, is a multiple of `heads`.

    `radius` is the number of positions to either side that a position attends to; None: all.
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
        batch, length, dim = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=self._attention_mask(mask, x.device)
        )
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return out

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
        self.dropout = nn.Dropout(dropout)

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


def topk_mean(scores: Tensor, mask: Tensor, ratio: int) -> Tensor:
    """Video-level score (B, K) of each class: the mean of its top ceil(T_valid / ratio) snippets.

    Of scores (B, T, K); a `ratio` of 8 takes the top eighth.
    """
    counts = (mask.sum(dim=1) + ratio - 1) // ratio
    lowest = torch.finfo(scores.dtype).min
    masked = scores.masked_fill(~mask.unsqueeze(-1), lowest)
    top = masked.topk(int(counts.max()), dim=1).values
    rank = torch.arange(top.shape[1], device=scores.device)
    taken = (rank[None, :] < counts[:, None]).unsqueeze(-1)
    return top.masked_fill(~taken, 0.0).sum(dim=1) / counts.unsqueeze(-1)
