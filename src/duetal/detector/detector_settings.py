"""The settings of the detector."""

from enum import StrEnum

from pydantic import Field

from duetal.core.settings_section import Settings


class Teacher(StrEnum):
    """What makes the first pseudo-segments, and gives the probabilities of classes in a video."""

    FIRST = "first"
    ENSEMBLE = "ensemble"


class DetectorSettings(Settings):
    """The detector that is taught by the run's own detections, after the branches."""

    rounds: int = Field(0, ge=0, le=100)
    """[D] Rounds of training; from the second on, the detector before judges the teacher's
    proposals too. 0: no detector. Measured: one gives nearly all of the gain."""
    teacher: Teacher = Teacher.ENSEMBLE
    """[D] `ensemble`: the final checkpoints of all branches; `first`: of the first branch."""
    epochs: int = Field(25, ge=1, le=1_000_000)
    """[D] Epochs of a round; each reads one crop of every training video."""
    detector_batch: int = Field(16, ge=1, le=100_000)
    """[D] Crops in one update."""
    detector_rate: float = Field(2e-3, gt=0, le=1e30)
    """[D] AdamW's highest learning rate; it rises for 50 updates and falls by a cosine to 0."""
    detector_decay: float = Field(1e-2, ge=0, le=1000)
    """[F] AdamW's weight decay."""
    average: float = Field(0.995, ge=0, lt=1)
    """[F] Share of the old weights in the moving average that becomes the detector."""
    width: int = Field(64, ge=8, le=65_536)
    """[D] Channels of the detector."""
    scales: int = Field(4, ge=1, le=12)
    """[D] Temporal scales, with strides 1, 2, 4, …"""
    input_dropout: float = Field(0.6, ge=0, lt=1)
    """[D] Share of the features' channels that a training crop lacks from end to end."""
    block_dropout: float = Field(0.2, ge=0, lt=1)
    """[D] Dropout on the embedding and on residual branches."""
    merge_iou: float = Field(0.5, gt=0, le=1)
    """[D] tIoU from which proposals agree: they become one pseudo-segment, and their spread tells
    how unsure each border is."""
    least_confidence: float = Field(0.3, ge=0, le=1)
    """[D] Pseudo-segments of a lower confidence, relative to the best of the class in its video,
    teach nothing: their snippets are ignored."""
    ignored_confidence: float = Field(0.05, ge=0, le=1)
    """[D] Below it they are background."""
    unsure_border: float = Field(1.5, ge=0, le=1_000_000)
    """[D] Snippets of spread above which a border is not taught."""
    teacher_share: float = Field(0.3, ge=0, le=1)
    """[D] From the second round on, the teacher's exponent in the geometric mean of its score and
    the detector's."""
    centre_radius: float = Field(1.5, gt=0, le=1_000_000)
    """[F] Strides from a segment's middle within which a position predicts it."""
    focus: float = Field(2.0, ge=0, le=1000)
    """[F] γ of the focal loss of classes."""
    border_weight: float = Field(1.0, ge=0, le=1000)
    """[D] Weight of the loss of borders."""
    centreness_weight: float = Field(0.5, ge=0, le=1000)
    """[D] Weight of the loss of centre-ness."""
    vote_iou: float = Field(0.5, gt=0, le=1)
    """[D] tIoU from which detections vote for the borders of one that soft-NMS keeps."""

    @property
    def coarsest(self) -> int:
        """Snippets per position of the coarsest scale."""
        return 1 << (self.scales - 1)
