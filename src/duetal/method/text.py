"""Text features of category names, with learnable prompt vectors around each name."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

#: What the log says where there is no prompt to learn.
PLAIN_TEXT = "plain text features; what makes them takes no prompts, so none are learnt"


class TextTower(Protocol):
    """A frozen text encoder and the tokens of the classes.

    `model` is a `transformers` text model that returns `text_embeds`, or its features as
    `pooler_output`. `plain_tokens` (K, L₀) are the token ids of the names alone, padded; `tokens`
    (K, L) include placeholders for `num_prompts` prompt vectors; `prompt_positions` (K, L) holds
    the index of the prompt vector at each position, -1 elsewhere.
    """

    @property
    def model(self) -> nn.Module: ...  # noqa: D102
    @property
    def plain_tokens(self) -> Tensor: ...  # noqa: D102
    @property
    def tokens(self) -> Tensor: ...  # noqa: D102
    @property
    def prompt_positions(self) -> Tensor: ...  # noqa: D102
    @property
    def num_prompts(self) -> int: ...  # noqa: D102


@runtime_checkable
class FixedText(Protocol):
    """Text features (K, D) of the classes alone, without an encoder that could read prompts."""

    @property
    def features(self) -> Tensor: ...  # noqa: D102


class PromptedTextEncoder(nn.Module):
    """Text features of all classes, as a function of the prompt vectors.

    Each class is read as `[SOS] p₁…pₘ name pₘ₊₁…pₙ [EOT]` (paper's supplement: 16 + 16 vectors):
    its token sequence has placeholders where the prompts go, and a hook on the token embedding
    replaces them. The library's own forward does all the rest (positions, causal mask, pooling at
    EOT's shifted position, projection), so without prompts the result is the library's. SigLIP has
    no SOS, pads every text to one length and pools at its last position.

    Args:
        tower: the text encoder, which is frozen, and its tokens.
    """

    plain_tokens: Tensor
    tokens: Tensor
    prompt_positions: Tensor

    def __init__(self, tower: TextTower):
        super().__init__()
        self.model = tower.model.eval().requires_grad_(False)
        self.register_buffer("plain_tokens", tower.plain_tokens, persistent=False)
        self.register_buffer("tokens", tower.tokens, persistent=False)
        self.register_buffer("prompt_positions", tower.prompt_positions, persistent=False)
        self._insert = False
        embedding = tower.model.get_input_embeddings()  # type: ignore[operator]
        self.embed_dim: int = embedding.weight.shape[1]
        # Paper's supplement: N(0, 0.01), read as a standard deviation of 0.01.
        self.prompts = nn.Parameter(
            torch.empty(tower.num_prompts, self.embed_dim).normal_(std=0.01)
        )
        embedding.register_forward_hook(self._insert_prompts)

    def train(self, mode: bool = True) -> "PromptedTextEncoder":
        """Training mode does not reach the frozen encoder."""
        super().train(mode)
        self.model.eval()
        return self

    def _insert_prompts(self, module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
        if not self._insert or not len(self.prompts):
            return embedded
        positions = self.prompt_positions.unsqueeze(-1)
        prompts = self.prompts[self.prompt_positions.clamp(min=0)].to(embedded.dtype)
        return torch.where(positions >= 0, prompts, embedded)

    def forward(self) -> Tensor:
        """Text features (K, D) of the prompted names, not normalised."""
        self._insert = True
        try:
            return self._features(self.tokens)
        finally:
            self._insert = False

    @torch.no_grad()
    def plain(self) -> Tensor:
        """Text features (K, D) of the names without prompts, not normalised."""
        return self._features(self.plain_tokens)

    def _features(self, tokens: Tensor) -> Tensor:
        output = self.model(input_ids=tokens)
        features: Tensor = output.text_embeds if "text_embeds" in output else output.pooler_output
        return features


class StoredText(nn.Module):
    """Text features (K, D), given, or of a trained branch, whose inference needs no encoder."""

    features: Tensor

    def __init__(self, features: Tensor):
        super().__init__()
        self.register_buffer("features", features)

    def forward(self) -> Tensor:
        """Text features (K, D), not normalised."""
        return self.features

    def plain(self) -> Tensor:
        """The same; the features without prompts are in the branch's checkpoint."""
        return self.features
