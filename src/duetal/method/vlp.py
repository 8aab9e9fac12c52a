"""The vision-language branch: action probabilities from CLIP features and category names."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.core.errors import UsageError
from duetal.core.settings_section import Settings
from duetal.method.dropout import CropDropout
from duetal.method.layers import BranchNetwork, TransformerBlock, apply_mask
from duetal.method.text import PromptedTextEncoder, StoredText

#: A gate is tanh(GATE_SCALE · γ), with γ learnt from 0 at the learning rate of everything else; the
#: factor lets it open within the few hundred steps of a B step.
GATE_SCALE = 10.0


class ScoreFunction(StrEnum):
    """How the VLP branch turns cosine similarities into probabilities."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    #: Of version 0.1.0: the present class takes what absent ones lose, on background as well.
    SOFTMAX_WITHOUT_BACKGROUND = "softmax_without_background"


class VLPSettings(Settings):
    """The VLP branch."""

    prompts_before: int = Field(16, ge=0, le=1000)
    """[S] Learnable prompt vectors before the category name."""
    prompts_after: int = Field(16, ge=0, le=1000)
    """[S] Learnable prompt vectors after the category name."""
    layers: int = Field(2, ge=0, le=1000)
    """[S] Temporal Transformer layers over the frame features."""
    heads: int = Field(8, ge=1, le=1024)
    """[D] Attention heads of the temporal Transformer."""
    attention_radius: int | None = Field(None, ge=1, le=1_000_000)
    """[D] Positions to either side that temporal self-attention sees; none: the whole crop."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """[D] Dropout on the input of the temporal layers and on their residual branches."""
    input_normalization: bool = True
    """[D] The temporal layers read each feature channel standardised with its mean and standard
    deviation over the training videos: CLIP features have a large part in common. What the text is
    compared with stays as it is."""
    init: float = Field(0.01, gt=0, le=1000)
    """[S] Standard deviation of the temporal Transformer's first weights, at the paper's width of
    512. A narrower branch learns too slowly from it and needs more."""
    temperature: float = Field(0.07, gt=0, le=1000)
    """[S] τ of the cosine similarity."""
    score_function: ScoreFunction = ScoreFunction.SIGMOID
    """[D] Sigmoid of (cos − b)/τ with a learnable b, or softmax over the classes and a background
    of cosine b: without a place for "nothing", absent classes that go down lift the present one
    everywhere."""
    classes_compete: bool = True
    """[D] With `sigmoid`: the probability that a video has a class is CLIP's own softmax over
    classes, of the pooled scores, for as long as that fits the training labels better than a
    sigmoid each: all classes of an untrained branch pass those, and to a trained one the softmax
    denies what is there beside another class. Off: a sigmoid each."""
    positions: int = Field(1000, ge=0, le=1_000_000)
    """[F] Places in a crop that have a learnable embedding, added before the temporal layers, which
    know no order otherwise; later ones share the last. 0: none."""
    zero_shot_start: bool = True
    """[D] Make the untrained branch exactly zero-shot CLIP: temporal layers enter through a gate
    that starts shut, prompts as their difference to where they started. Off: plain residual
    layers and plain prompts."""


class VLPBranch(BranchNetwork):
    """CLIP image features to a logit for each snippet and class.

    P^vl = sigmoid((cos − b) / τ) or softmax(cos / τ) over the classes and a background of cosine b,
    where cos is the cosine between a snippet's feature, passed through temporal Transformer layers,
    and a class's text feature.

    Args:
        text: the prompted text encoder, or its stored result for inference.
        dim: D of the CLIP features; must equal that of the text features.
        settings: of the branch.

    Raises:
        UsageError: the number of heads does not divide D.
    """

    mean: Tensor
    std: Tensor
    initial_text: Tensor
    zero_shot_text: Tensor

    def __init__(self, text: PromptedTextEncoder | StoredText, dim: int, settings: VLPSettings):
        super().__init__()
        is_sigmoid = settings.score_function is ScoreFunction.SIGMOID
        self.classes_compete.fill_(settings.classes_compete and is_sigmoid)
        if dim % settings.heads:
            cause = f"{settings.heads} does not divide the dimension of the features, {dim}"
            raise UsageError(cause, place="vlp.heads")
        self.text = text
        self.tau = settings.temperature
        self.score_function = settings.score_function
        self.zero_shot_start = settings.zero_shot_start
        self.input_normalization = settings.input_normalization
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.input_dropout = CropDropout(settings.dropout)
        self.layers = nn.ModuleList(
            TransformerBlock(dim, settings.heads, settings.attention_radius, settings.dropout)
            for _ in range(settings.layers)
        )
        for name, parameter in self.layers.named_parameters():
            # Paper's supplement: temporal Transformer and prompts start at N(0, 0.01).
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=settings.init)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.positions: nn.Parameter | None = None
        if settings.positions and settings.layers:
            places = torch.empty(settings.positions, dim).normal_(std=settings.init)
            self.positions = nn.Parameter(places)
        self.gates = nn.Parameter(torch.zeros(settings.layers))
        #: b, the cosine at which P = 0.5; set to the training videos' mean cosine at the start.
        self.bias = nn.Parameter(torch.zeros(()))
        self._cached_text: Tensor | None = None
        with torch.no_grad():
            self.register_buffer("initial_text", text().clone())
            self.register_buffer("zero_shot_text", text.plain().clone())

    def standardize(self, mean: Tensor, std: Tensor) -> None:
        """Set the mean and standard deviation (D,) of frames of norm √D."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=1e-3))

    def text_features(self) -> Tensor:
        """(K, D) unit vectors.

        With `zero_shot_start` they are the plain names' features plus what the prompts have learnt
        since they started, so that random prompts do not spoil zero-shot CLIP.
        """
        features = self.text()
        if self.zero_shot_start:
            features = self.zero_shot_text + features - self.initial_text
        unit: Tensor = F.normalize(features, dim=-1)
        return unit

    @contextmanager
    def step_context(self) -> Iterator[None]:
        """Compute the text features once for all micro-batches of an optimizer step.

        The text encoder is the heaviest part of the branch and reads the same names every time.
        Micro-batches accumulate their gradient at its output; at the end it goes through once.
        """
        features = self.text_features()
        self._cached_text = features.detach().requires_grad_()
        try:
            yield
            if self._cached_text.grad is not None and features.requires_grad:
                features.backward(self._cached_text.grad)  # type: ignore[no-untyped-call]
        finally:
            self._cached_text = None

    def encode(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D): frame features after the temporal Transformer."""
        # CLIP features have any norm; the layers expect per-channel variance 1.
        x: Tensor = apply_mask(F.normalize(features, dim=-1), mask) * features.shape[-1] ** 0.5
        if not self.input_normalization:
            x = self.input_dropout(x)
        for index, layer in enumerate(self.layers):
            seen = x
            if self.input_normalization:
                seen = apply_mask((x - self.mean) / self.std, mask)
                seen = self.input_dropout(seen) if index == 0 else seen
            if index == 0:
                seen = self._placed(seen, mask)
            gate = torch.tanh(GATE_SCALE * self.gates[index]) if self.zero_shot_start else 1.0
            x = x + gate * (layer(seen, mask) - seen)
        return x

    def _placed(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) with the embedding of each place in the crop added."""
        if self.positions is None:
            return x
        place = torch.arange(x.shape[1], device=x.device).clamp(max=len(self.positions) - 1)
        return apply_mask(x + self.positions[place], mask)

    def cosines(self, encoded: Tensor) -> Tensor:
        """(B, T, D) → (B, T, K) cosine similarities with the text features."""
        text = self.text_features() if self._cached_text is None else self._cached_text
        cosines: Tensor = F.normalize(encoded, dim=-1) @ text.T
        return cosines

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, K), whose sigmoid is P^vl, and frame features (B, T, D).

        Of features (B, T, D); the mask (B, T) is True where a snippet is real.
        """
        encoded = self.encode(features, mask)
        cosines = self.cosines(encoded)
        if self.score_function is ScoreFunction.SOFTMAX:
            background = self.bias.expand(*cosines.shape[:2], 1)
            scores = torch.cat([cosines, background], dim=-1) / self.tau
            return softmax_logits(scores)[..., :-1], encoded
        if self.score_function is ScoreFunction.SOFTMAX_WITHOUT_BACKGROUND:
            return softmax_logits(cosines / self.tau), encoded
        return (cosines - self.bias) / self.tau, encoded

    def inference_state(self) -> dict[str, Tensor]:
        """All that inference needs, prompts included, without the frozen text encoder."""
        state = {k: v for k, v in self.state_dict().items() if not k.startswith("text.model.")}
        with torch.no_grad():
            state["text.features"] = self.text().detach().clone()
        return state


def softmax_logits(scores: Tensor) -> Tensor:
    """The logits whose sigmoid is the softmax over the last dimension.

    So every loss reads one kind of logit. log p − log(1 − p) loses digits where p is nearly 1,
    which only the largest class can be; for it, 1 − p is the sum of the others.
    """
    log_p = F.log_softmax(scores, dim=-1)
    largest = scores.argmax(dim=-1, keepdim=True)
    others = log_p.exp().scatter(-1, largest, 0.0)
    rest = others.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)
    return log_p - torch.log1p(-others).scatter(-1, largest, rest.log())
