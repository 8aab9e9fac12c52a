"""The sections of settings that the method reads."""

from pydantic import model_validator

from duetal.core.settings_section import Settings
from duetal.method.backbone_settings import BackboneSettings
from duetal.method.cbp import CBPSettings
from duetal.method.losses import LossSettings
from duetal.method.sampling import SamplingSettings
from duetal.method.schedule import ScheduleSettings, TrainingMode
from duetal.method.vlp import VLPSettings


class MethodSettings(Settings):
    """All settings of the method; `duetal.config.Config` adds where and on what a run happens."""

    data: SamplingSettings = SamplingSettings()
    backbone: BackboneSettings = BackboneSettings()
    cbp: CBPSettings = CBPSettings()
    vlp: VLPSettings = VLPSettings()
    losses: LossSettings = LossSettings()
    schedule: ScheduleSettings = ScheduleSettings()

    @model_validator(mode="after")
    def _check(self) -> "MethodSettings":
        mode = self.schedule.mode
        if self.backbone.train is not None and mode is not TrainingMode.ALTERNATE:
            raise ValueError(f"backbone.train: backbones learn with mode=alternate, not {mode}")
        if self.data.crop % self.cbp.stride:
            raise ValueError(
                f"data.crop ({self.data.crop}) does not divide by the pyramid's largest stride "
                f"({self.cbp.stride}, from cbp.levels)"
            )
        return self
