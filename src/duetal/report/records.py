"""The files of a run folder as typed records; what the report does not show is ignored."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from duetal.core.errors import DuetalError
from duetal.core.files import read_json

Record = TypeVar("Record", bound="FileRecord")


def _finite_or_none(value: Any) -> Any:
    """A loss that was not finite becomes a gap in its curve."""
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def _ordered(segment: tuple[float, float]) -> tuple[float, float]:
    if segment[0] > segment[1]:
        raise ValueError(f"segment ends ({segment[1]}) before it starts ({segment[0]})")
    return segment


Gap = Annotated[FiniteFloat | None, BeforeValidator(_finite_or_none)]
Interval = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(_ordered)]


class FileRecord(BaseModel):
    """Base of all records: unknown keys are ignored, a run of a newer version stays readable."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class StageScores(FileRecord):
    """The evaluate JSON of one stage; AP as fractions of 1."""

    stage: str
    title: str | None = None
    tiou: list[FiniteFloat]
    mean_ap: list[FiniteFloat] = Field(alias="mAP")
    averages: dict[str, FiniteFloat] = {}
    per_class: dict[str, list[FiniteFloat]] = {}
    videos: int | None = None
    segments: int | None = None
    predictions: int | None = None
    dropped: dict[str, int] = {}


class StageDiagnostics(FileRecord):
    """Per-snippet precision and recall of one stage against the ground truth."""

    precision: FiniteFloat
    recall: FiniteFloat
    f1: FiniteFloat | None = None


class PseudoLabelDiagnostics(FileRecord):
    """How right the pseudo-labels of one phase were; None where there were none to judge."""

    foreground_precision: FiniteFloat | None = None
    foreground_recall: FiniteFloat | None = None
    background_precision: FiniteFloat | None = None
    background_recall: FiniteFloat | None = None


class Diagnostics(FileRecord):
    """Per-snippet diagnostics by stage and by phase."""

    stages: dict[str, StageDiagnostics] = {}
    pseudo_labels: dict[str, PseudoLabelDiagnostics] = {}


class EvaluationFile(FileRecord):
    """`evaluation.json`."""

    protocol: str = ""
    selection: str = ""
    simulated: bool = False
    stages: list[StageScores] = []
    diagnostics: Diagnostics | None = None


class LabelScores(FileRecord):
    """How well one stage tells the labels of the held-out videos; fractions of 1."""

    stage: str
    title: str | None = None
    mean_ap: FiniteFloat = Field(alias="mAP")
    first_right: FiniteFloat


class LabelEvaluationFile(FileRecord):
    """`label_evaluation.json`, of a run whose held-out videos have labels and no segments."""

    selection: str = ""
    videos: list[str] = []
    chance: FiniteFloat = 0.0
    stages: list[LabelScores] = []


class Spread(FileRecord):
    """Mean and standard deviation over seeds; a single one has no deviation."""

    mean: FiniteFloat
    std: FiniteFloat | None = None


class StageSummary(FileRecord):
    """One stage over several seeds; AP as fractions of 1."""

    stage: str
    title: str | None = None
    tiou: list[FiniteFloat]
    mean: list[FiniteFloat] = Field(alias="mAP_mean")
    std: list[FiniteFloat | None] = Field(alias="mAP_std")
    averages: dict[str, Spread] = {}


class SummaryFile(FileRecord):
    """`summary.json` of a run of several seeds."""

    protocol: str = ""
    selection: str = ""
    simulated: bool = False
    seeds: list[int] = []
    stages: list[StageSummary] = []


class GridRecord(FileRecord):
    """The time grid as it is stored."""

    fps: PositiveFloat = 25.0
    stride: PositiveInt = 16
    window: PositiveInt = 16


class ModelFile(FileRecord):
    """`model.json`: the rule that chose the checkpoint, and what its snippets' labels are of."""

    selection: str = ""
    classes: list[str] = []
    grid: GridRecord = GridRecord()


class EpochEvent(FileRecord):
    """A line of `metrics.jsonl`: one epoch's mean loss."""

    phase: str
    branch: str = ""
    epoch: int
    loss: Gap
    terms: dict[str, Gap] = {}


class LabelCounts(FileRecord):
    """Snippets by what the teacher said of them."""

    foreground: NonNegativeInt = 0
    background: NonNegativeInt = 0
    ignored: NonNegativeInt = 0


class PseudoLabelEvent(LabelCounts):
    """A line of `metrics.jsonl`: the pseudo-labels of one step."""

    phase: str
    teacher: str = ""
    classes: dict[str, LabelCounts] = {}


class TruthSegment(FileRecord):
    """One marked action instance, in seconds."""

    segment: Interval
    label: str


class TruthVideo(FileRecord):
    """One video of `ground_truth.json`."""

    duration: FiniteFloat | None = None
    annotations: list[TruthSegment] = []


class GroundTruthFile(FileRecord):
    """`ground_truth.json`, in ActivityNet form."""

    database: dict[str, TruthVideo] = {}


class Detection(FileRecord):
    """One detection, in seconds."""

    segment: Interval
    label: str
    score: FiniteFloat


class DetectionsFile(FileRecord):
    """`detections/<stage>.json`, in ActivityNet results form."""

    results: dict[str, list[Detection]] = {}


class ScoreIndexFile(FileRecord):
    """`scores/index.json`."""

    classes: list[str]
    grid: GridRecord = GridRecord()


def parse(kind: type[Record], value: Any, file: Path, place: str | None = None) -> Record:
    """Make a record of a JSON value.

    Raises:
        DuetalError: the value has another shape; the place is the path of keys to the fault.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        keys = ".".join(str(part) for part in first["loc"])
        where = ", ".join(part for part in (place, keys) if part)
        raise DuetalError(first["msg"], file=file, place=where or None) from error


def read_record(kind: type[Record], path: Path) -> Record | None:
    """Read a JSON file as a record; None where there is no such file (yet).

    Raises:
        DuetalError: unreadable, not JSON or of another shape.
    """
    if not path.exists():
        return None
    return parse(kind, read_json(path), path)
