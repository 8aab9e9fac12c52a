"""The terms of the loss. Each gives one number a video, so that micro-batches add up exactly.

L = L_cls + λ · L_kd (+ a term of known times, + a contrastive one; both are off by default). To add
a term, write a function of `Predictions` and `LossSettings`, give its weight a setting, and list it
in `LOSSES`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from duetal.method.certain_labels import KnownLossSettings
from duetal.method.layers import BranchNetwork, topk_mean
from duetal.method.pseudo_labels import BACKGROUND, FOREGROUND, PseudoLabelSettings

#: The ratio that pooling begins with: half of a video.
_WIDE = 2.0


class VideoLoss(StrEnum):
    """The loss of video-level logits against the video's labels."""

    BCE = "bce"
    SOFTMAX = "softmax"


class LossSettings(PseudoLabelSettings, KnownLossSettings):
    """The loss, and the pseudo-labels it distils."""

    video_loss: VideoLoss = VideoLoss.BCE
    """[F] Loss of video-level logits against the video's labels."""
    topk_ratio: int = Field(8, ge=1, le=1_000_000)
    """[F] A class's video-level logit is the mean of its top ceil(T/this) snippet logits."""
    class_ratios: tuple[Annotated[float, Field(ge=1, le=1_000_000)], ...] | None = None
    """[D] The same by class, in the order of the dataset's classes; `auto` finds them: an action
    that fills half of a video is pooled over more of it than one that lasts a moment. None:
    `topk_ratio` for every class."""
    pooling_warmup: float = Field(0.35, ge=0, le=1)
    """[D] Share of a phase without a teacher in which the pooled part of a video shrinks, from half
    of it to the class's own. Narrow pooling from the start may fix on what only accompanies an
    action."""
    weigh_labels: bool = True
    """[D] A video's label of a class counts the more, the less its other labels tell of it: classes
    that nearly always occur together are told apart by the videos that have one alone."""
    sum_classes: bool = False
    """[D] Sum the loss of video labels over classes, as version 0.1.0 did, in place of the mean: λ
    then weighs less the more classes there are."""
    distillation_weight: float = Field(1.0, ge=0, le=1_000_000)
    """[D] λ in L = L_cls + λ·L_kd. Both are means over classes, so it means the same at every K."""
    balance_sets: bool = True
    """[D] Average the distillation loss over foreground, background and absent classes
    separately, so that the many cannot drown the few."""
    contrastive_weight: float = Field(0.0, ge=0, le=1_000_000)
    """[D] Weight of the foreground/background contrastive term on the student's frame features."""

    @property
    def pooling(self) -> float | tuple[float, ...]:
        """The ratio of every class, or one for each."""
        return self.topk_ratio if self.class_ratios is None else self.class_ratios

    def pooling_at(self, progress: float) -> float | tuple[float, ...]:
        """The ratios when a share of the phase, 0 to 1, is done: geometric from 2 to `pooling`."""
        if progress >= self.pooling_warmup:
            return self.pooling
        done = progress / self.pooling_warmup
        if isinstance(self.pooling, tuple):
            return tuple(_narrowed(ratio, done) for ratio in self.pooling)
        return _narrowed(self.pooling, done)


def _narrowed(ratio: float, done: float) -> float:
    """Between the ratio that pooling begins with and its own, in equal factors."""
    return float(_WIDE * (ratio / _WIDE) ** done)


@dataclass(frozen=True)
class Predictions:
    """A student's output for a micro-batch, and what is known of its videos."""

    logits: Tensor  # (B, T, K).
    encoded: Tensor  # (B, T, D) frame features.
    mask: Tensor  # (B, T) True where a snippet is real.
    labels: Tensor  # (B, K), 1 where the video carries the label.
    #: (B, T, K) of FOREGROUND, BACKGROUND and IGNORED; None in a phase without a teacher.
    pseudo: Tensor | None = None
    distils: Collection[str] = ()  # See `Phase.distils`.
    label_weights: Tensor | None = None  # (B, K), see `label_weights`; None: 1 each.
    progress: float = 1.0  # Share of the phase that is done, see `pooling_warmup`.
    #: (B, T, K) as `pseudo`, of what a person has said; None where no time is known.
    certain: Tensor | None = None


def classification(batch: Predictions, settings: LossSettings) -> Tensor:
    """Multiple-instance loss (B,): the video's pooled logits against its labels.

    Binary cross-entropy is the mean over classes, as distillation is a mean: so λ weighs the two
    alike at every K. Softmax cross-entropy is against the labels scaled to sum to 1.
    """
    pooled = topk_mean(batch.logits, batch.mask, settings.pooling_at(batch.progress))
    labels = batch.labels
    if settings.video_loss is VideoLoss.BCE:
        losses = F.binary_cross_entropy_with_logits(
            pooled, labels, batch.label_weights, reduction="none"
        )
        return losses.sum(dim=1) if settings.sum_classes else losses.mean(dim=1)
    if batch.label_weights is not None:
        # A class of weight 0 may occur or not.
        pooled = pooled.masked_fill(batch.label_weights == 0, torch.finfo(pooled.dtype).min)
    target = labels / labels.sum(dim=1, keepdim=True).clamp(min=1)
    return -(target * F.log_softmax(pooled, dim=1)).sum(dim=1)


def classes_compete(branch: BranchNetwork, settings: LossSettings) -> bool:
    """Whether the classes of a branch compete for a video: by its loss, or of themselves."""
    return settings.video_loss is VideoLoss.SOFTMAX or bool(branch.classes_compete)


def distillation(batch: Predictions, settings: LossSettings) -> Tensor:
    """KL divergence (B,) between pseudo-label and student probability over the confident set.

    A pseudo-label h is 0 or 1, so KL(h ‖ p) of the two Bernoulli variables is −log p where h = 1
    and −log(1 − p) where h = 0. A video without a confident snippet has 0.
    """
    assert batch.pseudo is not None
    foreground, background, losses = _divergences(batch, batch.pseudo)
    present = batch.labels.unsqueeze(1) > 0
    sets = []
    if "foreground" in batch.distils:
        sets.append(foreground)
    if "background" in batch.distils:
        sets += [background & present, background & ~present]
    return _mean(losses, sets, balanced=settings.balance_sets)


def known(batch: Predictions, settings: LossSettings) -> Tensor:
    """The same (B,) of the snippets of which a person has said what happens.

    The classes that a video has weigh as much as those that it has not. Their foreground weighs
    what it is of their snippets: else borders would go outwards.
    """
    assert batch.certain is not None
    foreground, background, losses = _divergences(batch, batch.certain)
    present = batch.labels.unsqueeze(1) > 0
    sets = [(foreground | background) & present, background & ~present]
    return _mean(losses, sets, balanced=settings.balance_sets)


def _divergences(batch: Predictions, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which snippets are foreground and background in a target, and their losses; (B, T, K)."""
    valid = batch.mask.unsqueeze(-1)
    foreground, background = ((target == kind) & valid for kind in (FOREGROUND, BACKGROUND))
    return foreground, background, F.softplus(torch.where(foreground, -1, 1) * batch.logits)


def _mean(losses: Tensor, sets: Collection[Tensor], *, balanced: bool) -> Tensor:
    """(B,) mean of losses (B, T, K) over sets, each by itself where they are to be balanced."""
    sums = torch.stack([(losses * member).sum(dim=(1, 2)) for member in sets])
    sizes = torch.stack([member.sum(dim=(1, 2)) for member in sets])
    if not balanced:
        return sums.sum(dim=0) / sizes.sum(dim=0).clamp(min=1)
    means = sums / sizes.clamp(min=1)
    return means.sum(dim=0) / (sizes > 0).sum(dim=0).clamp(min=1)


def contrast(batch: Predictions, settings: LossSettings) -> Tensor:
    """Pull confident foreground features together and away from the video's background (B,).

    Each confident snippet is classified by its cosine to the mean foreground and mean background
    feature of its own video, at temperature 0.1. A video that lacks one of them has 0.
    """
    assert batch.pseudo is not None
    present = batch.labels.unsqueeze(1) > 0
    inside = ((batch.pseudo == FOREGROUND) & present).any(dim=2) & batch.mask
    outside = ((batch.pseudo == BACKGROUND) | ~present).all(dim=2) & batch.mask
    unit = F.normalize(batch.encoded, dim=-1)

    def prototype(member: Tensor) -> Tensor:
        total = (unit * member.unsqueeze(-1)).sum(dim=1, keepdim=True)
        return F.normalize(total, dim=-1)

    margin = ((unit * prototype(inside)).sum(-1) - (unit * prototype(outside)).sum(-1)) / 0.1
    loss = F.binary_cross_entropy_with_logits(margin, inside.to(margin.dtype), reduction="none")
    confident = inside | outside
    mean = (loss * confident).sum(dim=1) / confident.sum(dim=1).clamp(min=1)
    return mean * (inside.any(dim=1) & outside.any(dim=1))


@dataclass(frozen=True)
class LossTerm:
    """A term of the loss."""

    name: str  # In the log, in `metrics.jsonl` and in plots.
    loss: Callable[[Predictions, LossSettings], Tensor]  # Gives one number a video, (B,).
    #: Its factor, from the settings; a term of weight 0 is not computed.
    weight: Callable[[LossSettings], float] = lambda settings: 1.0
    needs_teacher: bool = False  # Whether it reads pseudo-labels; left out without a teacher.
    needs_times: bool = False  # Whether it reads known times; left out where there are none.


LOSSES = (
    LossTerm("classification", classification),
    LossTerm("distillation", distillation, lambda s: s.distillation_weight, needs_teacher=True),
    LossTerm("known", known, lambda s: s.known_weight, needs_times=True),
    LossTerm("contrast", contrast, lambda s: s.contrastive_weight, needs_teacher=True),
)


def active_terms(
    terms: Collection[LossTerm],
    settings: LossSettings,
    *,
    has_teacher: bool,
    has_times: bool = False,
) -> list[LossTerm]:
    """The terms of a phase: those of a weight that have what they need."""
    return [
        term
        for term in terms
        if term.weight(settings)
        and (has_teacher or not term.needs_teacher)
        and (has_times or not term.needs_times)
    ]
