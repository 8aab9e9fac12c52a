"""The vision-language branch: action probabilities from CLIP features and category names."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.model.sequence import TransformerBlock, zero_padding
from duetal.model.text import PromptedTextEncoder, StoredText

#: A gate is tanh(GATE_SCALE · γ), with γ learnt from 0 at the learning rate of everything else; the
#: factor lets it open within the few hundred steps of a B step.
GATE_SCALE = 10.0


class VLPBranch(nn.Module):
    """CLIP image features to a logit for each snippet and class.

    P^vl = sigmoid((cos − b) / τ) or softmax(cos / τ) over classes, where cos is the cosine between
    a snippet's feature, passed through temporal Transformer layers, and a class's text feature.

    Args:
        text: the prompted text encoder, or its stored result for inference.
        channels: D of the CLIP features; must equal the text features' width.
        layers: temporal Transformer layers.
        heads: attention heads.
        radius: attention radius in snippets; 0 means all.
        dropout: on the input of the temporal layers and on their residual branches.
        init: standard deviation of the temporal layers' first weights.
        temperature: τ.
        softmax: softmax over classes in place of sigmoid.
        zero_shot_start: make the untrained branch exactly zero-shot CLIP.
    """

    initial_text: Tensor
    zero_shot_text: Tensor

    def __init__(
        self,
        text: PromptedTextEncoder | StoredText,
        channels: int,
        *,
        layers: int = 2,
        heads: int = 8,
        radius: int = 0,
        dropout: float = 0.0,
        init: float = 0.01,
        temperature: float = 0.07,
        softmax: bool = False,
        zero_shot_start: bool = True,
    ):
        super().__init__()
        self.text = text
        self.temperature = temperature
        self.softmax = softmax
        self.zero_shot_start = zero_shot_start
        self.input_dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerBlock(channels, heads, radius, dropout) for _ in range(layers)
        )
        for name, parameter in self.layers.named_parameters():
            # Paper's supplement: temporal Transformer and prompts start at N(0, 0.01).
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=init)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.gates = nn.Parameter(torch.zeros(layers))
        #: b, the cosine that means "even"; set to the training videos' mean cosine at the start.
        self.bias = nn.Parameter(torch.zeros(()))
        self._text_graph: Tensor | None = None
        self._text_leaf: Tensor | None = None
        with torch.no_grad():
            self.register_buffer("initial_text", text().clone())
            self.register_buffer("zero_shot_text", text.plain().clone())

    def text_features(self) -> Tensor:
        """(K, D) unit vectors.

        With `zero_shot_start` they are the plain names' features plus what the prompts have learnt
        since they started, so that random prompts do not spoil what CLIP knows.
        """
        features = self.text()
        if self.zero_shot_start:
            features = self.zero_shot_text + features - self.initial_text
        unit: Tensor = F.normalize(features, dim=-1)
        return unit

    def begin_step(self) -> None:
        """Compute the text features once for all micro-batches of an optimizer step.

        The text encoder is the heaviest part of the branch and sees the same names every time;
        micro-batches gather their gradient at its output, `end_step` sends it through.
        """
        self._text_graph = self.text_features()
        self._text_leaf = self._text_graph.detach().requires_grad_()

    def end_step(self) -> None:
        """Send the gathered gradient of the text features back to the prompts."""
        assert self._text_graph is not None
        assert self._text_leaf is not None
        if self._text_leaf.grad is not None and self._text_graph.requires_grad:
            self._text_graph.backward(self._text_leaf.grad)  # type: ignore[no-untyped-call]
        self._text_graph = self._text_leaf = None

    def encode(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D): frame features after the temporal Transformer."""
        # CLIP features come in any length; per-channel variance 1 is what the layers expect.
        x: Tensor = zero_padding(F.normalize(features, dim=-1), mask) * features.shape[-1] ** 0.5
        x = self.input_dropout(x)
        for index, layer in enumerate(self.layers):
            if self.zero_shot_start:
                x = x + torch.tanh(GATE_SCALE * self.gates[index]) * (layer(x, mask) - x)
            else:
                x = layer(x, mask)
        return x

    def cosines(self, encoded: Tensor) -> Tensor:
        """(B, T, D) → (B, T, K) cosine similarities with the text features."""
        text = self.text_features() if self._text_leaf is None else self._text_leaf
        cosines: Tensor = F.normalize(encoded, dim=-1) @ text.T
        return cosines

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Score a padded batch.

        Args:
            features: (B, T, D).
            mask: (B, T), True where a snippet is real.

        Returns:
            Logits (B, T, K), whose sigmoid is P^vl, and frame features (B, T, D).
        """
        encoded = self.encode(features, mask)
        cosines = self.cosines(encoded)
        if self.softmax:
            return softmax_logits(cosines / self.temperature), encoded
        return (cosines - self.bias) / self.temperature, encoded

    def inference_state(self) -> dict[str, Tensor]:
        """All that inference needs, prompts included, without the frozen text encoder."""
        state = {k: v for k, v in self.state_dict().items() if not k.startswith("text.model.")}
        with torch.no_grad():
            state["text.features"] = self.text().detach().clone()
        return state


def softmax_logits(scores: Tensor) -> Tensor:
    """The logits whose sigmoid is the softmax over the last dimension.

    Every loss then reads one kind of logit. log p − log(1 − p) loses digits where p is nearly 1,
    which only the largest class can be; for it, 1 − p is the sum of the others.
    """
    log_p = F.log_softmax(scores, dim=-1)
    largest = scores.argmax(dim=-1, keepdim=True)
    others = log_p.exp().scatter(-1, largest, 0.0)
    rest = others.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)
    return log_p - torch.log1p(-others).scatter(-1, largest, rest.log())
