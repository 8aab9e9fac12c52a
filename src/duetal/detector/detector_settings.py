"""The settings of the detector."""

import math
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
    proposals too. 0: no detector. Measured: one gives nine tenths of the gain."""
    teacher: Teacher = Teacher.ENSEMBLE
    """[D] `ensemble`: the final checkpoints of all branches; `first`: of the first branch."""
    epochs: int = Field(25, ge=1, le=1_000_000)
    """[D] Epochs of a round; each reads one crop of every training video."""
    detector_batch: int = Field(16, ge=1, le=100_000)
    """[D] Crops in one update."""
    detector_rate: float = Field(2e-3, gt=0, le=1e30)
    """[D] AdamW's highest learning rate; it rises for 50 updates and falls by a cosine to 0."""
    width: int = Field(64, ge=8, le=65_536)
    """[D] Channels of the detector."""
    scales: int = Field(4, ge=1, le=12)
    """[D] Temporal scales, with strides 1, 2, 4, …"""
    input_dropout: float = Field(0.6, ge=0, lt=1)
    """[D] Share of the features' channels that a training crop lacks from end to end."""
    least_confidence: float = Field(0.3, ge=0, le=1)
    """[D] Pseudo-segments of a lower confidence, relative to the best of the class in its video,
    teach nothing: their snippets are ignored."""
    unsure_border: float = Field(1.5, ge=0, le=1_000_000)
    """[D] Snippets of spread above which a border is not taught."""

    def updates(self, videos: int) -> int:
        """Updates of one round on a number of training videos."""
        return self.epochs * math.ceil(videos / self.detector_batch)

    @property
    def coarsest(self) -> int:
        """Snippets per position of the coarsest scale."""
        return 1 << (self.scales - 1)
