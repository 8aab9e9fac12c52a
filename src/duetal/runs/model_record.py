"""`model.json`: what a trained run holds, and which of its checkpoints are to be used."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.files import read_json, write_json
from duetal.core.grid import TimeGrid
from duetal.runs.stages import ENSEMBLE, branch_of


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True)


class GridRecord(_Strict):
    """The time grid of the features; see `duetal.core.grid.TimeGrid`."""

    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    stride: Annotated[int, Field(gt=0)]
    window: Annotated[int, Field(gt=0)]

    @staticmethod
    def of(grid: TimeGrid) -> "GridRecord":
        """As a record."""
        return GridRecord(fps=grid.fps, stride=grid.stride, window=grid.window)

    def grid(self) -> TimeGrid:
        """The grid itself."""
        return TimeGrid(self.fps, self.stride, self.window)


class Channels(_Strict):
    """C of the features that each branch reads; None for a branch that is not there."""

    cbp: Annotated[int, Field(gt=0)]
    vlp: Annotated[int, Field(gt=0)] | None = None


class FinalStages(_Strict):
    """The checkpoint of each branch that localization uses."""

    cbp: str
    vlp: str | None = None


class Heldout(_Strict):
    """What a choice on held-out training videos rests on."""

    videos: list[str]
    #: Video-level mAP by stage.
    mean_ap: Annotated[dict[str, float], Field(alias="mAP")]

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class ModelRecord(_Strict):
    """The content of `model.json`; written when all stages are trained."""

    format: Literal[1] = 1
    #: The version of duetal that trained it.
    duetal: str
    classes: Annotated[list[str], Field(min_length=1)]
    display_names: dict[str, str] = {}
    grid: GridRecord
    channels: Channels
    #: In order of training; each is `checkpoints/<stage>.safetensors`.
    stages: Annotated[list[str], Field(min_length=1)]
    final: FinalStages
    #: The rule that chose the final checkpoints, one sentence.
    selection: str
    heldout: Heldout | None = None
    #: How many videos it was trained on; None in records of earlier versions.
    training_videos: int | None = None
    #: Whether their features are simulated; likewise.
    simulated: bool | None = None
    #: How the features were made that it was trained on, as their store says; None where no store
    #: does.
    features: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_final(self) -> Self:
        for branch, stage in (("cbp", self.final.cbp), ("vlp", self.final.vlp)):
            if stage is not None and (stage not in self.stages or branch_of(stage) != branch):
                raise ValueError(f"final.{branch}: {stage!r} is not one of its stages")
        if (self.final.vlp is None) != (self.channels.vlp is None):
            raise ValueError("a VLP branch has both a final stage and channels")
        return self

    def stages_named(self, name: str) -> list[str]:
        """The checkpoints that a word of the user means.

        Args:
            name: "cbp", "vlp", "both", "ensemble", or the name of a stage.

        Raises:
            UsageError: a branch that the run does not have, or an unknown stage (with the nearest).
        """
        if name == "cbp":
            return [self.final.cbp]
        if name in ("vlp", "both", ENSEMBLE):
            if self.final.vlp is None:
                raise UsageError(f"{name}: the run was trained on one modality, it has CBP alone")
            return [self.final.vlp] if name == "vlp" else [self.final.cbp, self.final.vlp]
        if name not in self.stages:
            raise UsageError(unknown("stage", name, [*self.stages, ENSEMBLE]))
        return [name]

    def rule(self, stages: list[str]) -> str:
        """How these checkpoints were chosen, to stand beside every score of theirs."""
        if set(stages) <= {self.final.cbp, self.final.vlp}:
            return self.selection
        return f"{', '.join(stages)}, asked for by name; of the run's own choice: {self.selection}"

    def write(self, path: Path) -> None:
        """Write it, atomically."""
        write_json(path, self.model_dump(mode="json", by_alias=True, exclude_none=False))


def read_model(path: Path) -> ModelRecord:
    """Read `model.json`.

    Raises:
        DuetalError: unreadable, damaged, or of a later version of duetal.
    """
    try:
        return ModelRecord.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or None
        cause = first["msg"].removeprefix("Value error, ")
        raise DuetalError(f"not a model of duetal: {cause}", file=path, place=place) from error
