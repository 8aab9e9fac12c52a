"""The contents of a run's files, but for the events of its log (`duetal.results.log_events`).

| file | record |
|---|---|
| `model.json` | `ModelRecord` |
| `evaluation.json` | `RunEvaluation` |
| `label_evaluation.json` | `LabelEvaluation` |
| `summary.json`, of several seeds | `SeedSummary` |
| `unseen.json`, of a run on a part of the classes, or several | `UnseenScores` |
| `choices.json` | `ChoiceFile` |
| `scores/index.json` | `ScoreIndex` |
| `ground_truth.json`, `detections/<stage>.json` | `TruthFile`, `StageDetections` |
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    PositiveInt,
    computed_field,
    model_validator,
)

from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.files import read_json
from duetal.core.grid import TimeGrid
from duetal.core.known_times import LabelUse
from duetal.core.records import Record, parse
from duetal.evaluation.result import Evaluation, Summary
from duetal.results import version_0_1

#: The stage that is no checkpoint: the final branches together.
ENSEMBLE = "ensemble"
#: The name of the detector, where stages have that of their branch.
DETECTOR = "detector"
FORMAT = 2


def _ordered(segment: tuple[float, float]) -> tuple[float, float]:
    if segment[0] > segment[1]:
        raise ValueError(f"segment ends ({segment[1]}) before it starts ({segment[0]})")
    return segment


#: Of a stage, phase or branch: a part of a file's name, never a path out of the run's folder.
Named = Annotated[str, Field(pattern=r"^[^./\\\x00][^/\\\x00]*$")]
Interval = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(_ordered)]


# --- model.json ---------------------------------------------------------------------------------


class PhaseRecord(Record):
    """One phase of training; see `duetal.method.schedule.Phase`."""

    name: Named
    title: str
    student: str
    teacher: str | None = None
    distils: list[str] = []
    epochs: int | None = None
    stage: Named


class StageRecord(Record):
    """A checkpoint, `checkpoints/<name>.safetensors`: a branch after a phase."""

    name: Named
    title: str
    branch: str
    phase: str | None = None


class BranchRecord(Record):
    """A branch: C of the features that it reads, and the checkpoint that localization uses."""

    name: Named
    title: str
    dim: PositiveInt
    final: str


class DetectorRecord(Record):
    """The detector: its title, the streams that it reads, and its rounds, the last one in use.

    `teachers` are the checkpoints that made its first pseudo-segments, and that choose the classes
    of a video.
    """

    title: str
    streams: dict[Named, PositiveInt]  # C by the name of the branch that reads it.
    teachers: Annotated[list[str], Field(min_length=1)]
    stages: Annotated[list[StageRecord], Field(min_length=1)]


class Heldout(Record):
    """The held-out training videos of a choice, and the video-level mAP of each stage on them."""

    videos: list[str]
    mean_ap: dict[str, float] = Field(alias="mAP")


class TrainingLabels(Record):
    """What was learnt from, counted: `labels.use`, labels of videos, points and segments."""

    use: LabelUse
    videos: int
    points: int = 0
    segments: int = 0

    def __str__(self) -> str:
        counts = {"video label": self.videos, "point": self.points, "segment": self.segments}
        parts = [f"{n:,} {what}{'s' * (n != 1)}" for what, n in counts.items() if n]
        return f"trained on {', '.join(parts)}"


class ModelRecord(Record):
    """The contents of a trained run, and which of its checkpoints localization uses.

    `stages` and `phases` are in order of training, `branches` in that of tables. `features`
    holds the settings of extraction, where the store records them; `text_encoder` is what read the
    names of the classes.
    """

    format: Literal[2] = 2
    duetal: str
    classes: Annotated[list[str], Field(min_length=1)]
    display_names: dict[str, str] = {}
    grid: TimeGrid
    text_encoder: str | None = None
    branches: Annotated[list[BranchRecord], Field(min_length=1)]
    phases: list[PhaseRecord] = []
    stages: Annotated[list[StageRecord], Field(min_length=1)]
    detector: DetectorRecord | None = None
    selection: str
    heldout: Heldout | None = None
    training_videos: int | None = None
    labels: TrainingLabels | None = None
    simulated: bool | None = None
    features: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_final(self) -> Self:
        for branch in self.branches:
            stages = [stage for stage in self.stages if stage.name == branch.final]
            if not stages or stages[0].branch != branch.name:
                cause = f"{branch.final!r} is not one of its stages"
                raise ValueError(f"the final checkpoint of {branch.name}: {cause}")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `model.json`, of this version or of 0.1.0.

        Raises:
            DuetalError: unreadable, damaged, or of a later version of duetal.
        """
        value = read_json(path)
        found = value.get("format", 1) if isinstance(value, dict) else None
        if isinstance(found, int) and found > FORMAT:
            cause = f"made by a later version of duetal (format {found}, this one reads {FORMAT})"
            raise DuetalError(cause, file=path)
        if found == 1:
            try:
                value = version_0_1.upgrade_model(value)
            except (KeyError, TypeError, AttributeError) as error:
                raise DuetalError(f"not a model of duetal: {error!r}", file=path) from error
        return parse(cls, value, path)

    @property
    def trained_on(self) -> str:
        """What was learnt from, in words; shown beside each score."""
        return str(self.labels or "")

    def stage(self, name: str) -> StageRecord:
        """The stage of a name."""
        return next(s for s in (*self.stages, *self.rounds()) if s.name == name)

    def rounds(self) -> list[StageRecord]:
        """The stages of the detector."""
        return self.detector.stages if self.detector else []

    def is_detector(self, stages: Sequence[str]) -> bool:
        """Whether checkpoints are one of the detector's."""
        return any(stage.name in stages for stage in self.rounds())

    def branch(self, name: str) -> BranchRecord:
        """The branch of a name."""
        return next(branch for branch in self.branches if branch.name == name)

    def branch_of(self, stage: str) -> BranchRecord:
        """The branch of a stage."""
        return self.branch(self.stage(stage).branch)

    def finals(self) -> list[str]:
        """The checkpoint of each branch that localization uses."""
        return [branch.final for branch in self.branches]

    def in_use(self) -> list[str]:
        """These, and the last one of the detector."""
        return self.finals() + [stage.name for stage in self.rounds()[-1:]]

    def titles(self) -> dict[str, str]:
        """Title by name of every branch, and of the detector."""
        titles = {branch.name: branch.title for branch in self.branches}
        return titles | ({DETECTOR: self.detector.title} if self.detector else {})

    def evaluated_stages(self) -> dict[str, list[str]]:
        """Every stage to evaluate, in order, the checkpoints it takes.

        The ensemble comes after the branches, and the detector, which they teach, last.
        """
        stages = {stage.name: [stage.name] for stage in self.stages}
        ensemble = {ENSEMBLE: self.finals()} if len(self.branches) > 1 else {}
        return stages | ensemble | {stage.name: [stage.name] for stage in self.rounds()}

    def title_of(self, stage: str) -> str:
        """The title of a stage, or of the ensemble."""
        return "Ensemble" if stage == ENSEMBLE else self.stage(stage).title

    def stages_named(self, name: str | None) -> list[str]:
        """The checkpoints that a user's argument selects.

        Args:
            name: a branch, "both" or "ensemble", "detector", or a stage; None: the first branch.

        Raises:
            UsageError: a branch that the run does not have, or an unknown stage (with the nearest).
        """
        branches = {branch.name: [branch.final] for branch in self.branches}
        if len(branches) > 1:
            branches |= dict.fromkeys(("both", ENSEMBLE), self.finals())
        if self.detector:
            branches[DETECTOR] = [self.detector.stages[-1].name]
        stages = [stage.name for stage in (*self.stages, *self.rounds())]
        if name is None:
            return [self.branches[0].final]
        if name in branches or name in stages:
            return branches.get(name, [name])
        if len(branches) == 1 and name in (*version_0_1.TITLES, "both", ENSEMBLE):
            only = self.branches[0].title
            raise UsageError(f"{name}: the run was trained on one modality, it has {only} alone")
        raise UsageError(unknown("stage", name, [*stages, *branches]))

    def rule(self, stages: Sequence[str]) -> str:
        """How these checkpoints were chosen; shown beside each of their scores."""
        if set(stages) <= set(self.in_use()):
            return self.selection
        return f"{', '.join(stages)}, chosen by name; the run's own choice: {self.selection}"


# --- evaluation.json, label_evaluation.json, summary.json ---------------------------------------


class NamedStage(Record):
    """A row of a table of scores: a stage, or the ensemble."""

    stage: Named
    title: str
    branch: str

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, value: Any) -> Any:
        """Derive the title and the branch that files of version 0.1.0 leave out."""
        if isinstance(value, dict) and isinstance(stage := value.get("stage"), str):
            known = {k: v for k, v in value.items() if v is not None}
            derived = {"title": version_0_1.title_of(stage), "branch": version_0_1.branch_of(stage)}
            return derived | known
        return value


class StageScores(Evaluation, NamedStage):
    """The scores of one stage."""


class SnippetScores(Record):
    """Precision, recall and F1 of a stage over the snippets of present classes."""

    precision: FiniteFloat
    recall: FiniteFloat
    f1: FiniteFloat | None = None


class PseudoLabelScores(Record):
    """Precision and recall of the pseudo-labels of a phase; None where there were none."""

    foreground_precision: FiniteFloat | None = None
    foreground_recall: FiniteFloat | None = None
    background_precision: FiniteFloat | None = None
    background_recall: FiniteFloat | None = None


class Diagnostics(Record):
    """Per-snippet scores by stage and by phase."""

    stages: dict[str, SnippetScores] = {}
    pseudo_labels: dict[str, PseudoLabelScores] = {}


class RunEvaluation(Record):
    """The scores of every stage of a run on the dataset's test videos, the ensemble last."""

    protocol: str = ""
    selection: str = ""
    trained_on: str = ""
    simulated: bool = False
    stages: list[StageScores]
    diagnostics: Diagnostics | None = None


class LabelScores(NamedStage):
    """How well a stage ranks held-out videos by their labels.

    `per_class` is the average precision of each class that occurs, `first_right` the share of
    labelled videos whose highest-scoring class is one of their labels.
    """

    first_right: FiniteFloat
    per_class: dict[str, FiniteFloat] = {}

    @computed_field(alias="mAP")  # type: ignore[prop-decorator]
    @property
    def mean_ap(self) -> float:
        """The mean over the classes that occur."""
        return fmean(self.per_class.values()) if self.per_class else 0.0


class LabelEvaluation(Record):
    """The evaluation of a run whose held-out videos have labels and no segments.

    `chance` is the mean average precision that a random ranking has, on average.
    """

    selection: str = ""
    trained_on: str = ""
    videos: list[str]
    chance: FiniteFloat
    stages: list[LabelScores]


class UnseenScores(Record):
    """The classes that a run was not trained on, by what found them; of several runs their mean."""

    scores: dict[str, Evaluation] = {}
    summary: dict[str, Summary] = {}


class StageSummary(Summary, NamedStage):
    """One stage over several seeds."""


class SeedSummary(Record):
    """Every stage over several seeds."""

    protocol: str = ""
    selection: str = ""
    trained_on: str = ""
    simulated: bool = False
    seeds: list[int] = []
    stages: list[StageSummary]


# --- scores, ground truth, detections -----------------------------------------------------------


class Choice(Record):
    """A setting, or several that belong together, chosen before training, and why."""

    values: dict[str, Any]
    reason: str


class ChoiceFile(Record):
    """The settings that were chosen before training, in order."""

    choices: list[Choice]


class ScoreIndex(Record):
    """Classes, grid and branches of the arrays in `scores/`."""

    classes: list[str]
    grid: TimeGrid = TimeGrid()
    branches: list[Named] = list(version_0_1.TITLES)
    #: Seconds at which the first snippet begins, of the videos where that is not 0.
    offsets: dict[str, float] = {}


class TruthSegment(Record):
    """One annotated action, in seconds."""

    segment: Interval
    label: str


class TruthVideo(Record):
    """One video of the ground truth."""

    duration: FiniteFloat | None = None
    annotations: list[TruthSegment] = []


class TruthFile(Record):
    """The evaluated videos, in ActivityNet form."""

    database: dict[str, TruthVideo] = {}


class StageDetection(Record):
    """One detection, in seconds."""

    segment: Interval
    label: str
    score: FiniteFloat


class StageDetections(Record):
    """The detections of a stage, in ActivityNet results form."""

    results: dict[str, list[StageDetection]] = {}
