"""The loss of the detector: classes, borders, centre-ness."""

import torch
from torch import Tensor
from torch.nn import functional as F

from duetal.detector.pyramid import PyramidOutput
from duetal.detector.targets import Targets

#: γ of the focal loss.
_FOCUS = 2.0
_CENTRENESS_WEIGHT = 0.5


def detector_losses(found: PyramidOutput, targets: Targets, centre: Tensor) -> dict[str, Tensor]:
    """The weighted terms, by name; each a mean over the batch's positions that find a segment.

    `centre` are the (P,) places of positions in snippets.
    """
    return {
        "classes": _classes(found, targets),
        "borders": _borders(found, targets),
        "centreness": _CENTRENESS_WEIGHT * _centreness(found, targets, centre),
    }


def _classes(found: PyramidOutput, targets: Targets) -> Tensor:
    """Focal loss, −(1 − p_t)^γ log p_t (Lin et al., ICCV 2017), without α."""
    cross_entropy = F.binary_cross_entropy_with_logits(
        found.classes, targets.classes, reduction="none"
    )
    missed = 1 - torch.exp(-cross_entropy)
    weight = targets.class_weight * found.mask.unsqueeze(-1)
    positive = (targets.classes * weight).sum()
    return (missed**_FOCUS * cross_entropy * weight).sum() / positive.clamp(min=1)


def _borders(found: PyramidOutput, targets: Targets) -> Tensor:
    """1-D distance-IoU loss (Zheng et al., AAAI 2020), 1 − IoU + (Δ middle / hull)².

    An unsure border is taken from the target, and so has no gradient.
    """
    weight = targets.border_weight * found.mask
    start = torch.where(targets.sure[..., 0], found.start, targets.borders[..., 0])
    end = torch.where(targets.sure[..., 1], found.end, targets.borders[..., 1])
    true_start, true_end = targets.borders.unbind(-1)
    inner = (torch.minimum(end, true_end) - torch.maximum(start, true_start)).clamp(min=0)
    union = (end - start) + (true_end - true_start) - inner
    hull = torch.maximum(end, true_end) - torch.minimum(start, true_start)
    iou = inner / union.clamp(min=1e-6)
    shift = ((start + end - true_start - true_end) / 2 / hull.clamp(min=1e-6)) ** 2
    return ((1 - iou + shift) * weight).sum() / weight.sum().clamp(min=1)


def _centreness(found: PyramidOutput, targets: Targets, centre: Tensor) -> Tensor:
    """Cross-entropy with √(shorter / longer distance to a border) (FCOS, ICCV 2019)."""
    weight = targets.border_weight * found.mask
    before = (centre - targets.borders[..., 0]).clamp(min=0)
    after = (targets.borders[..., 1] - centre).clamp(min=0)
    longer = torch.maximum(before, after).clamp(min=1e-6)
    target = torch.sqrt(torch.minimum(before, after) / longer)
    loss = F.binary_cross_entropy_with_logits(found.centreness, target, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp(min=1)
