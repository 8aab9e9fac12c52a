"""The terms of the loss. Each gives one number a video, so that micro-batches add up exactly."""

import torch
from torch import Tensor
from torch.nn import functional as F

from duetal.config import VideoLoss
from duetal.model.sequence import topk_mean
from duetal.training.pseudo_labels import BACKGROUND, FOREGROUND


def classification(
    logits: Tensor, mask: Tensor, labels: Tensor, *, divisor: int, kind: VideoLoss
) -> Tensor:
    """Multiple-instance loss: the video's pooled logits against its labels.

    Args:
        logits: (B, T, K).
        mask: (B, T).
        labels: (B, K), 1 where the video carries the label.
        divisor: top ceil(T / divisor) snippets of each class are pooled.
        kind: binary cross-entropy, summed over classes so that a present class weighs the same
            however many are absent, or softmax cross-entropy against the labels
            scaled to sum to 1.

    Returns:
        (B,).
    """
    pooled = topk_mean(logits, mask, divisor)
    if kind is VideoLoss.BCE:
        return F.binary_cross_entropy_with_logits(pooled, labels, reduction="none").sum(dim=1)
    target = labels / labels.sum(dim=1, keepdim=True).clamp(min=1)
    return -(target * F.log_softmax(pooled, dim=1)).sum(dim=1)


def distillation(
    logits: Tensor,
    mask: Tensor,
    labels: Tensor,
    pseudo: Tensor,
    *,
    foreground: bool,
    background: bool,
    balance: bool,
) -> Tensor:
    """KL divergence between pseudo-label and student probability over the confident set.

    A pseudo-label h is 0 or 1, so KL(h ‖ p) of the two Bernoulli variables is −log p where h = 1
    and −log(1 − p) where h = 0.

    Args:
        logits: (B, T, K) of the student.
        mask: (B, T).
        labels: (B, K), 1 where the video carries the label.
        pseudo: (B, T, K) of FOREGROUND, BACKGROUND and IGNORED.
        foreground: distil the confident foreground.
        background: distil the confident background of present classes, and absent classes.
        balance: average over the three sets' means, not over all their members at once.

    Returns:
        (B,), 0 where a video has no confident snippet.
    """
    valid = mask.unsqueeze(-1)
    present = labels.unsqueeze(1) > 0
    is_background = (pseudo == BACKGROUND) & valid
    sets = []
    if foreground:
        sets.append(((pseudo == FOREGROUND) & valid, F.softplus(-logits)))
    if background:
        sets.append((is_background & present, F.softplus(logits)))
        sets.append((is_background & ~present, F.softplus(logits)))
    sums = torch.stack([(loss * member).sum(dim=(1, 2)) for member, loss in sets])
    sizes = torch.stack([member.sum(dim=(1, 2)) for member, _ in sets])
    if not balance:
        return sums.sum(dim=0) / sizes.sum(dim=0).clamp(min=1)
    means = sums / sizes.clamp(min=1)
    return means.sum(dim=0) / (sizes > 0).sum(dim=0).clamp(min=1)


def contrast(encoded: Tensor, mask: Tensor, labels: Tensor, pseudo: Tensor) -> Tensor:
    """Pull a video's confident foreground features together and away from its background's.

    Each confident snippet is classified by its cosine to the mean foreground and mean background
    feature of its own video, at temperature 0.1.

    Args:
        encoded: (B, T, D) frame features of the student.
        mask: (B, T).
        labels: (B, K).
        pseudo: (B, T, K).

    Returns:
        (B,), 0 where a video lacks foreground or background.
    """
    present = labels.unsqueeze(1) > 0
    inside = ((pseudo == FOREGROUND) & present).any(dim=2) & mask
    outside = ((pseudo == BACKGROUND) | ~present).all(dim=2) & mask
    unit = F.normalize(encoded, dim=-1)

    def prototype(member: Tensor) -> Tensor:
        total = (unit * member.unsqueeze(-1)).sum(dim=1, keepdim=True)
        return F.normalize(total, dim=-1)

    margin = ((unit * prototype(inside)).sum(-1) - (unit * prototype(outside)).sum(-1)) / 0.1
    loss = F.binary_cross_entropy_with_logits(margin, inside.to(margin.dtype), reduction="none")
    confident = inside | outside
    mean = (loss * confident).sum(dim=1) / confident.sum(dim=1).clamp(min=1)
    return mean * (inside.any(dim=1) & outside.any(dim=1))
