"""Settings of the way from scores per snippet to detections."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator

from duetal.core.errors import UsageError
from duetal.core.settings_section import Settings
from duetal.localization.soft_nms import NmsMethod


class Scoring(StrEnum):
    """What a proposal's score is."""

    MAX = "max"
    CONTRAST = "contrast"
    LOG_CONTRAST = "log_contrast"
    MAX_THEN_CONTRAST = "max_then_contrast"


class EnsembleMean(StrEnum):
    """What of the branches is averaged, snippet by snippet."""

    PROBABILITY = "probability"
    MIN_MAX = "min_max"
    LOG_ODDS = "log_odds"


class LocalizationSettings(Settings):
    """How the probabilities of one video become its detections."""

    class_threshold: float = Field(0.05, ge=0, le=1)
    """[D] θ_cls: classes of a higher video-level probability are localized [S]; where none is
    higher, the best one is. A class that is not there ranks low by its scores; one that is left out
    is lost."""
    thresholds: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (
        tuple(tenths / 10 for tenths in range(1, 10))
    )
    """[F] θ_loc: consecutive snippets that score above make a proposal [S]; several thresholds give
    several proposals for an action, and soft-NMS chooses between them."""
    min_max: bool = True
    """[F] Stretch a class's score curve to 0..1 over the video before it is thresholded. Proposals
    are scored on the probabilities as they are either way, so that scores of different videos can
    be compared [D]."""
    scoring: Scoring = Scoring.MAX_THEN_CONTRAST
    """[F] A proposal's score: `max`, the highest probability inside [S]; `contrast`, the mean
    inside less the mean in the margins, where a proposal below its surroundings is dropped;
    `max_then_contrast`, the highest, contrast breaking ties [D]; `log_contrast`, the mean of both
    less a part of the margins, whose snippets count less the farther they are (FreeZAD)."""
    smoothing: int = Field(1, ge=1, le=1001)
    """[F] Snippets of the moving average that score curves are smoothed by, odd; 1: none."""
    margin: float = Field(0.25, ge=0)
    """[F] Width of the contrast's margins before and after a proposal, as a part of its length;
    rounded up to whole snippets [D]."""
    scale_by_video_probability: bool = False
    """[D] Multiply a proposal's score by its class's video-level probability, so that a more
    probable class ranks higher among the detections of all videos [F: added; D: multiplied]."""
    nms_method: NmsMethod = "gaussian"
    """[F] What soft-NMS does to overlapping proposals of a class [soft-NMS itself: S]."""
    nms_sigma: float = Field(0.3, gt=0)
    """[F] σ of the Gaussian soft-NMS."""
    nms_iou_threshold: float = Field(0.5, ge=0, le=1)
    """[F] tIoU above which the methods `linear` and `hard` act."""
    min_score: float = Field(0.001, ge=0)
    """[F] Detections whose score is below, at first or after soft-NMS, are dropped."""
    max_per_class: int | None = Field(None, ge=1)
    """[D] Detections kept of one class in one video."""
    max_per_minute: float | None = Field(300.0, gt=0, le=1e6)
    """[D] Detections of all classes kept per minute of a video, the best ones; 300 of a video for
    which that is less. What is beyond are near copies of low score. Measured: mAP differs by 0.06
    points or less."""
    ensemble_weight: float = Field(0.5, ge=0, le=1)
    """[D] Share of the VLP branch in the ensemble; with more branches, of all but the first."""
    ensemble_mean: EnsembleMean = EnsembleMean.PROBABILITY
    """[D] What the ensemble averages: snippet `probability`; `min_max`, curves stretched to one
    range, that of the mean of their lowest and of their highest values; or `log_odds`, in which a
    branch of extreme probabilities counts for more."""

    @field_validator("smoothing")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("an odd number of snippets")
        return value

    def replace(self, **values: Any) -> Self:
        """The same settings with some changed.

        Raises:
            UsageError: an unknown setting or a value out of its range, naming the setting.
        """
        try:
            return type(self).model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            first = error.errors()[0]
            cause = f"{first['msg']}, got {first['input']!r}"
            raise UsageError(cause, place=f"localization.{first['loc'][0]}") from error

    def literal(self, threshold: float = 0.5) -> Self:
        """The supplement to the letter: one θ_loc on the raw probabilities, maximum scoring [S].

        Args:
            threshold: θ_loc; the supplement does not give it [D].
        """
        return self.replace(
            thresholds=(threshold,),
            min_max=False,
            scoring=Scoring.MAX,
            scale_by_video_probability=False,
        )
