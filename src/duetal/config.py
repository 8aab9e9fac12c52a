"""Every setting of a run: typed, documented, strict.

Each setting's docstring begins with a tag that says what its default rests on: [S] the paper's
supplement, [N] a reading note of the paper, [F] the field's common practice, [D] our decision.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from duetal.core.errors import UsageError, unknown
from duetal.core.files import write_text


class VideoLoss(StrEnum):
    """How video-level logits meet the video's labels."""

    BCE = "bce"
    SOFTMAX = "softmax"


class ScoreFunction(StrEnum):
    """How the VLP branch turns cosine similarities into probabilities."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


class Normalization(StrEnum):
    """Over what a teacher's scores are scaled to [0, 1] before the thresholds of a pseudo-label."""

    CLASS = "class"
    VIDEO = "video"
    NONE = "none"


class TeacherScore(StrEnum):
    """What a teacher's word is thresholded on."""

    PROBABILITY = "probability"
    LOGIT = "logit"


class Scoring(StrEnum):
    """What a proposal's score is."""

    MAX = "max"
    CONTRAST = "contrast"
    MAX_THEN_CONTRAST = "max_then_contrast"


class EnsembleMean(StrEnum):
    """What of the two branches is averaged, snippet by snippet."""

    PROBABILITY = "probability"
    LOG_ODDS = "log_odds"


class Selection(StrEnum):
    """Which checkpoint of each branch a finished run uses. The test set is never a choice."""

    LAST = "last"
    HELDOUT = "heldout"


class Precision(StrEnum):
    """In what numbers the network computes; losses, weights and updates stay in 32 bits.

    float16 is missing on purpose: it needs a scale of the loss that is found by trial, and a
    resumed run would have to find it again.
    """

    FULL = "32-true"
    BF16 = "bf16-mixed"


class Config(BaseModel):
    """All settings of a training run; a recipe is one flat YAML file of them."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    # --- data ---------------------------------------------------------------------------------
    dataset: str = ""
    """The dataset's folder or YAML file; given on the command line or in the recipe."""
    text_encoder: str = ""
    """[S] The frozen CLIP text encoder (ViT-B/16): a local folder or a hub name. Empty: the one
    that the dataset names."""
    crop: int = Field(1000, ge=8)
    """[S] T, the consecutive snippets of a video that one training step reads; whole videos are
    scored in overlapping windows of this length."""
    batch_size: int = Field(64, ge=1)
    """[S] Videos in one update, over all processes."""
    repeats_per_epoch: int = Field(1, ge=1)
    """[D] Random crops of each video in one epoch; 1 is the literal reading."""
    micro_batch_snippets: int = Field(4096, ge=1)
    """[D] Padded snippets that go through the network at once. Gradients add up over the batch,
    so this bounds memory and changes nothing else."""

    # --- schedule -----------------------------------------------------------------------------
    warmup_epochs: int = Field(10, ge=1)
    """[S] Epochs of CBP on category labels alone."""
    b_epochs: int = Field(20, ge=1)
    """[S] Epochs of VLP in each B step."""
    f_epochs: int = Field(20, ge=1)
    """[S] Epochs of CBP in each F step."""
    alternations: int = Field(2, ge=0)
    """[D] Times the B step and the F step follow each other; 0 trains CBP's warm-up alone."""
    # Beyond these bounds an update's factors are no 32-bit numbers.
    learning_rate: float = Field(1e-4, gt=0, le=1e30)
    """[S] Adam's learning rate."""
    vlp_learning_rate: float = Field(0.0, ge=0, le=1e30)
    """[D] Adam's learning rate for the VLP branch; 0 takes `learning_rate`."""
    weight_decay: float = Field(0.0, ge=0, le=1000)
    """[D] Decoupled weight decay (AdamW); 0 is Adam."""
    gradient_clip: float = Field(0.0, ge=0)
    """[D] Largest norm of a step's gradient; 0 leaves gradients alone."""

    # --- CBP branch ---------------------------------------------------------------------------
    cbp_width: int = Field(512, ge=8)
    """[D] Width of the Transformer pyramid."""
    cbp_levels: int = Field(4, ge=1, le=8)
    """[D] Temporal scales, with strides 1, 2, 4, …"""
    cbp_blocks: int = Field(1, ge=1)
    """[D] Transformer blocks at each scale."""
    cbp_heads: int = Field(8, ge=1)
    """[D] Attention heads."""
    cbp_attention_radius: int = Field(2, ge=0)
    """[D] Positions to either side that self-attention sees at each scale; 0: the whole crop.
    Measured: with the whole crop in sight every snippet knows the video's labels and says them."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """[D] Dropout on the CBP branch's embedding and residual branches."""
    feature_normalization: bool = False
    """[D] Standardise each CBP feature channel with the mean and deviation of the training
    videos; they become part of the model."""

    # --- VLP branch ---------------------------------------------------------------------------
    prompts_before: int = Field(16, ge=0)
    """[S] Learnable prompt vectors before the category name."""
    prompts_after: int = Field(16, ge=0)
    """[S] Learnable prompt vectors after the category name."""
    vlp_layers: int = Field(2, ge=0)
    """[S] Temporal Transformer layers over the frame features."""
    vlp_heads: int = Field(8, ge=1)
    """[D] Attention heads of the temporal Transformer."""
    vlp_attention_radius: int = Field(0, ge=0)
    """[D] Positions to either side that temporal self-attention sees; 0: the whole crop."""
    vlp_dropout: float = Field(0.0, ge=0, lt=1)
    """[D] Dropout on the VLP branch's input and residual branches."""
    vlp_init: float = Field(0.01, gt=0)
    """[S] Standard deviation of the temporal Transformer's first weights; at the paper's width of
    512. A narrower branch hardly wakes from it and wants more."""
    temperature: float = Field(0.07, gt=0)
    """[S] τ of the cosine similarity."""
    score_function: ScoreFunction = ScoreFunction.SIGMOID
    """[D] Sigmoid of (cos − b)/τ with a learnable b, or softmax over classes."""
    zero_shot_start: bool = True
    """[D] Make the untrained VLP branch exactly zero-shot CLIP: temporal layers enter through a
    gate that starts shut, prompts as their difference to where they started. Off: plain residual
    layers and plain prompts."""

    # --- losses and pseudo-labels -------------------------------------------------------------
    video_loss: VideoLoss = VideoLoss.BCE
    """[F] Loss of video-level logits against the video's labels."""
    topk_divisor: int = Field(8, ge=1)
    """[F] A class's video-level logit is the mean of its top ceil(T/this) snippet logits."""
    pseudo_high: float = Field(0.7, gt=0, lt=1)
    """[D] δ_h: a normalised teacher score above it is foreground."""
    pseudo_low: float = Field(0.15, gt=0, lt=1)
    """[D] δ_l: a normalised teacher score below it is background; between, ignored [N]."""
    pseudo_normalization: Normalization = Normalization.VIDEO
    """[D] Scale a teacher's scores to [0, 1] over each video's present classes together
    (`video`), over each present class by itself (`class`), or not at all (`none`)."""
    pseudo_score: TeacherScore = TeacherScore.PROBABILITY
    """[D] Threshold a teacher's probabilities, or its logits: a sigmoid trained on video labels
    saturates, and the soft parts of an action fall below δ_l of its peak."""
    distillation_weight: float = Field(1.0, ge=0)
    """[D] λ in L = L_cls + λ·L_kd."""
    foreground_only: bool = False
    """[D] F step: distil VLP's foreground alone (the strict reading), without its background."""
    balance_sets: bool = True
    """[D] Average the distillation loss over foreground, background and absent classes
    separately, so that the many cannot drown the few."""
    contrastive_weight: float = Field(0.0, ge=0)
    """[D] Weight of the foreground/background contrastive term on the student's frame features."""

    # --- choice of the checkpoint -------------------------------------------------------------
    selection: Selection = Selection.LAST
    """[D] `last`, or `heldout`: of each branch the checkpoint with the best video-level mAP on
    training videos held out from training."""
    heldout_fraction: float = Field(0.2, gt=0, lt=1)
    """[D] Share of the training videos held out when `selection` is `heldout`."""

    # --- localization -------------------------------------------------------------------------
    protocol: str = "seconds"
    """The evaluation protocol of the table that ends a run, where test segments are known."""
    class_threshold: float = Field(0.2, ge=0, le=1)
    """[F] θ_cls: classes with a higher video-level probability are localized."""
    scoring: Scoring = Scoring.MAX_THEN_CONTRAST
    """[F] A proposal's score: `max`, the highest probability inside [S]; `contrast`, the mean
    inside less the mean around; `max_then_contrast`, the highest, contrast breaking ties."""
    soft_nms_sigma: float = Field(0.3, gt=0)
    """[F] σ of the Gaussian soft-NMS."""
    ensemble_weight: float = Field(0.5, ge=0, le=1)
    """[D] Share of the VLP branch in the ensemble."""
    ensemble_mean: EnsembleMean = EnsembleMean.PROBABILITY
    """[D] Whether the ensemble averages snippet probabilities or their log-odds."""

    # --- machine ------------------------------------------------------------------------------
    seed: int = Field(0, ge=0)
    """Seed of everything random."""
    accelerator: str = "auto"
    """Lightning Fabric's accelerator: auto, cpu, cuda, mps."""
    devices: int = Field(1, ge=1)
    """Processes of this machine that share the batch."""
    precision: Precision = Precision.FULL
    """Lightning Fabric's precision: 32-true, or bf16-mixed."""
    threads: int = Field(0, ge=0)
    """CPU threads of each process; 0 leaves PyTorch's choice."""
    checkpoint_every: int = Field(1, ge=1)
    """Epochs between the checkpoints that `--resume` starts from."""
    tensorboard: bool = False
    """Also write TensorBoard events (needs `pip install duetal[tensorboard]`)."""

    @model_validator(mode="after")
    def _check_across(self) -> Self:
        if self.pseudo_low > self.pseudo_high:
            raise ValueError(
                f"pseudo_low ({self.pseudo_low}) is above pseudo_high ({self.pseudo_high})"
            )
        if self.cbp_width % self.cbp_heads:
            raise ValueError(
                f"cbp_width ({self.cbp_width}) is not a multiple of cbp_heads ({self.cbp_heads})"
            )
        if self.crop % 2 ** (self.cbp_levels - 1):
            raise ValueError(
                f"crop ({self.crop}) does not divide by the pyramid's largest stride "
                f"({2 ** (self.cbp_levels - 1)}, from cbp_levels)"
            )
        return self

    def differences(self, other: "Config", ignore: Iterable[str] = ()) -> list[str]:
        """Name the settings in which two configurations differ, as "key: mine, not theirs"."""
        skip = set(ignore)
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [
            f"{key}: {mine[key]!r}, not {theirs[key]!r}"
            for key in mine
            if key not in skip and mine[key] != theirs[key]
        ]

    def save(self, path: Path) -> None:
        """Write the resolved configuration as YAML."""
        write_text(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


def load_config(text: str, source: Path | str, overrides: Iterable[str] = ()) -> Config:
    """Make a configuration of a YAML text and `key=value` overrides.

    Args:
        text: one flat YAML mapping.
        source: where the text came from, for error messages.
        overrides: `key=value` words of the command line; values are read as YAML scalars.

    Raises:
        UsageError: not a flat mapping, an unknown key (with the nearest known one), a bad value.
    """
    try:
        content = yaml.safe_load(text)
    except Exception as error:
        # A scalar that is not of its tag (`!!int ''`) fails in any way that Python has.
        mark = getattr(error, "problem_mark", None)
        place = None if mark is None else f"line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "malformed"
        raise UsageError(f"not YAML: {problem}", file=source, place=place) from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise UsageError("not a mapping of settings to values", file=source)
    given = parse_overrides(overrides)
    return make_config({str(k): v for k, v in content.items()} | given, source, given)


def parse_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """Read `key=value` words.

    Raises:
        UsageError: a word without "=" or with an unknown key.
    """
    values: dict[str, Any] = {}
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"expected key=value, got {word!r}")
        _check_key(key, "command line")
        try:
            values[key] = _read_value(key, value)
        except Exception as error:
            raise UsageError(f"value {value!r} cannot be read", place=key) from error
    return values


def _read_value(key: str, text: str) -> Any:
    """A setting that is text takes the word as typed, even when it looks like a number."""
    return text if Config.model_fields[key].annotation is str else yaml.safe_load(text)


def make_config(
    values: Mapping[str, Any], source: Path | str, overridden: Collection[str] = ()
) -> Config:
    """Validate settings.

    Args:
        values: by key.
        source: where they came from, for error messages.
        overridden: keys whose values came from the command line instead.

    Raises:
        UsageError: naming the first setting at fault.
    """
    for key in values:
        _check_key(key, source)
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or None
        given = f", got {first['input']!r}" if place else ""
        cause = first["msg"].removeprefix("Value error, ")
        file = "command line" if place in overridden else source
        raise UsageError(f"{cause}{given}", file=file, place=place) from error


def _check_key(key: str, source: Path | str) -> None:
    if key not in Config.model_fields:
        raise UsageError(unknown("setting", key, Config.model_fields), file=source)
