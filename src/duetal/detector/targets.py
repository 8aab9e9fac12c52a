"""What each position of the pyramid is to predict, from the pseudo-segments of a video."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from duetal.detector.detector_settings import DetectorSettings
from duetal.detector.pseudo_segments import PseudoSegment
from duetal.detector.pyramid import position_grid

#: Snippets around a border whose class is not taught, at least: it lies between two snippets.
_LEAST_MARGIN = 0.5
#: The same at most, as a part of the segment's length.
_MOST_MARGIN = 0.25
#: Strides from a segment's middle within which a position finds it.
_CENTRE_RADIUS = 1.5
#: Pseudo-segments of a lower confidence are background.
_IGNORED_CONFIDENCE = 0.05
#: Weight of background at positions inside a segment that other positions are to find.
_INSIDE = 0.3
#: A scale s finds segments that reach from s · 2 to s · 4 snippets, with this slack on both sides.
_SLACK = 0.25


@dataclass(frozen=True)
class Targets:
    """Targets of P positions; with a dimension B in front, of a batch."""

    classes: Tensor  # (P, K) 1 where a segment of the class is to be found.
    class_weight: Tensor  # (P, K) 0 where the class is not taught.
    borders: Tensor  # (P, 2) start and end in snippets.
    sure: Tensor  # (P, 2) whether each border is taught.
    border_weight: Tensor  # (P,) 0 where no segment is to be found.

    @classmethod
    def stack(cls, parts: Sequence["Targets"]) -> "Targets":
        """The targets of a batch."""
        return cls(*(torch.stack([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def to(self, device: torch.device | str) -> "Targets":
        """The same on a device."""
        return Targets(*(getattr(self, f.name).to(device) for f in fields(self)))


def assign(
    segments: Sequence[PseudoSegment],
    start: int,
    length: int,
    num_classes: int,
    settings: DetectorSettings,
) -> Targets:
    """The targets of a crop of `length` snippets that begins at snippet `start`.

    Positions near a segment's middle find it, at the scale that fits its length (centre sampling
    and scale ranges of FCOS and ActionFormer). Where segments share a position, the shortest one's
    borders are taught. Classes are not taught around a border as far as it is unsure, nor in
    segments that are too weak to be taught.
    """
    centre, stride = position_grid(length, settings.scales)
    low = torch.where(stride > 1, stride * 2, 0.0) * (1 - _SLACK)
    high = stride * 4 * (1 + _SLACK)
    high[stride == settings.coarsest] = torch.inf
    classes = torch.zeros(len(centre), num_classes)
    class_weight = torch.ones(len(centre), num_classes)
    borders, sure = torch.zeros(len(centre), 2), torch.zeros(len(centre), 2, dtype=torch.bool)
    border_weight, shortest = torch.zeros(len(centre)), torch.full((len(centre),), torch.inf)
    for segment in sorted(segments, key=lambda s: s.confidence):
        if segment.confidence < _IGNORED_CONFIDENCE:
            continue
        first, last, label = segment.start - start, segment.end - start, segment.label
        most = max(_LEAST_MARGIN, _MOST_MARGIN * (last - first))
        before = min(max(segment.start_spread, _LEAST_MARGIN), most)
        after = min(max(segment.end_spread, _LEAST_MARGIN), most)
        class_weight[(centre > first - before) & (centre < last + after), label] = 0.0
        if segment.confidence < settings.least_confidence:
            continue
        reach = torch.maximum(centre - first, last - centre)
        inside = (centre > first) & (centre < last)
        near = (centre - (first + last) / 2).abs() <= _CENTRE_RADIUS * stride
        chosen = inside & near & (reach >= low) & (reach <= high)
        if not chosen.any():
            if not inside.any():
                continue
            chosen = inside & (reach == reach[inside].min())
        classes[inside, label] = chosen[inside].float()
        class_weight[inside, label] = _INSIDE
        class_weight[chosen, label] = segment.confidence
        taken = chosen & (last - first < shortest)
        shortest[taken] = last - first
        borders[taken] = torch.tensor([first, last], dtype=borders.dtype)
        border_weight[taken] = segment.confidence
        spreads = torch.tensor([segment.start_spread, segment.end_spread])
        # A border outside the crop can't be seen.
        seen = torch.tensor([first >= 0, last <= length])
        sure[taken] = (spreads <= settings.unsure_border) & seen
    return Targets(classes, class_weight, borders, sure, border_weight)
