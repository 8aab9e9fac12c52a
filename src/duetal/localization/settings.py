"""Settings of the way from scores per snippet to detections.

Each setting's docstring says what its default rests on: [S] the paper's supplement, [N] a published
reading note of the paper, [F] the field's common practice, [D] a decision of this project.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from duetal.core.errors import UsageError
from duetal.localization.soft_nms import NmsMethod

Scoring = Literal["max", "contrast", "max_then_contrast"]
Normalization = Literal["none", "min_max", "log_odds"]

UNBOUNDED = sys.float_info.max


@dataclass(frozen=True, slots=True)
class LocalizationSettings:
    """How the probabilities of one video become its detections.

    Raises:
        UsageError: a value out of its range, naming the setting.
    """

    class_threshold: float = 0.2
    """θ_cls: classes of a higher video-level probability are localized [S; the value F]; where none
    is higher, the best one is [F]."""

    thresholds: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    """θ_loc: consecutive snippets that score above make a proposal [S]; several thresholds give
    several proposals for an action, and soft-NMS settles which one counts [F]."""

    min_max: bool = True
    """Whether a class's score curve is stretched to 0..1 over the video before it is thresholded
    [F]. Proposals are scored on the probabilities as they are either way, so that scores of
    different videos can be compared [D]."""

    scoring: Scoring = "max_then_contrast"
    """A proposal's score: "max", the highest probability inside [S]; "contrast", the mean inside
    less the mean in the margins [F], where a proposal below its surroundings scores below zero and
    is dropped; "max_then_contrast", the highest probability inside, and of equal scores (the
    proposals around one peak) soft-NMS keeps the one of higher contrast first [D]."""

    margin: float = 0.25
    """Width of the contrast's margins before and after a proposal, as a part of its length [F];
    rounded up to whole snippets [D]."""

    scale_by_video_probability: bool = False
    """Whether a proposal's score is multiplied by its class's video-level probability, so that a
    surer class ranks higher among the detections of all videos [F: added; D: multiplied]. Off: the
    maximum alone is the score [S], and a snippet's probability already says how sure the class
    is [D]."""

    nms_method: NmsMethod = "gaussian"
    """What soft-NMS does to overlapping proposals of a class [F; soft-NMS itself S]."""

    nms_sigma: float = 0.3
    """Width of the Gaussian decay [F]."""

    nms_iou_threshold: float = 0.5
    """tIoU above which "linear" and "hard" act [F]."""

    min_score: float = 0.001
    """Detections whose score is below, at first or after soft-NMS, are dropped [F]."""

    max_per_class: int | None = None
    """Detections kept of one class in one video; none for all [D]."""

    @classmethod
    def literal(cls, threshold: float = 0.5) -> "LocalizationSettings":
        """The supplement to the letter: one θ_loc on the raw probabilities, maximum scoring [S].

        Args:
            threshold: θ_loc; the supplement does not give it [D].
        """
        return cls(
            thresholds=(threshold,),
            min_max=False,
            scoring="max",
            scale_by_video_probability=False,
        )

    def __post_init__(self) -> None:
        _check_number("class_threshold", self.class_threshold, 0, 1)
        if isinstance(self.thresholds, str) or not isinstance(self.thresholds, Iterable):
            raise UsageError(f"thresholds: must be a list of numbers, not {self.thresholds!r}")
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        if not self.thresholds:
            raise UsageError("thresholds: must have at least one value")
        for threshold in self.thresholds:
            _check_number("thresholds", threshold, 0, 1)
        _check_choice("scoring", self.scoring, get_args(Scoring))
        _check_number("margin", self.margin, 0, UNBOUNDED)
        _check_number("nms_sigma", self.nms_sigma, 0, UNBOUNDED)
        _check_number("nms_iou_threshold", self.nms_iou_threshold, 0, 1)
        _check_number("min_score", self.min_score, 0, UNBOUNDED)
        _check_choice("nms_method", self.nms_method, get_args(NmsMethod))
        if self.nms_sigma == 0:
            raise UsageError("nms_sigma: must be above 0")
        if self.max_per_class is not None:
            _check_number("max_per_class", self.max_per_class, 1, UNBOUNDED)
            if not isinstance(self.max_per_class, int):
                raise UsageError(f"max_per_class: must be whole, not {self.max_per_class!r}")


@dataclass(frozen=True, slots=True)
class EnsembleSettings:
    """How the probabilities of the two branches become one.

    Raises:
        UsageError: a value out of its range, naming the setting.
    """

    vlp_weight: float = 0.5
    """The VLP branch's part in the weighted mean; the CBP branch has the rest [D]."""

    normalization: Normalization = "none"
    """What is done to the two score curves of a class before their mean: "none" [D]; "min_max"
    brings both to the same range over the video, that of the mean of their lowest and of their
    highest values, where the sigmoids of the branches spread so differently that one would drown
    the other's shape [D], and the mean of the levels stays, so that videos can be compared;
    "log_odds" takes the mean of log p/(1 - p), where a branch that is sure counts for more [D]."""

    def __post_init__(self) -> None:
        _check_number("vlp_weight", self.vlp_weight, 0, 1)
        _check_choice("normalization", self.normalization, get_args(Normalization))


def _check_number(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is no number in `[low, high]`."""
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not low <= value <= high  # NaN neither
    ):
        bounds = f"of at least {low}" if high == UNBOUNDED else f"from {low} to {high}"
        raise UsageError(f"{name}: must be a number {bounds}, not {value!r}")


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name}: {value!r} is none of {', '.join(known)}")
