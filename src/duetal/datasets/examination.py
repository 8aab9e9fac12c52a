"""Every problem of a dataset, with file and place; nothing stops at the first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.datasets import dataset_checks
from duetal.datasets.dataset import training_faults
from duetal.datasets.layouts import Pieces, find_pieces
from duetal.datasets.opening import Labelling, open_streams, read_labelling, unlabelled
from duetal.datasets.problems import Problem, Severity
from duetal.features.streams import FeaturePart


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What a part of a stream holds: its title, C and types as stored, and how many videos."""

    title: str
    widths: tuple[int, ...]
    dtypes: tuple[str, ...]
    videos: int


@dataclass(frozen=True, slots=True)
class Findings:
    """The problems of a dataset, in the order in which they were found, and its size."""

    problems: tuple[Problem, ...]
    training: int = 0  #: Videos to train on that have features.
    evaluation: int = 0  #: Videos to evaluate on that have features.
    classes: tuple[str, ...] = ()
    hours: float = 0.0  #: Of the videos counted above.
    parts: tuple[PartSummary, ...] = ()  #: One entry for each part of each stream.
    grid: TimeGrid = field(default_factory=TimeGrid)

    def count(self, severity: Severity) -> int:
        """How many problems are of a severity."""
        return sum(problem.severity is severity for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """The findings as `duetal check --json` writes them."""
        problems = [
            asdict(problem) | {"file": None if problem.file is None else str(problem.file)}
            for problem in self.problems
        ]
        counts = {"fatal": self.count(Severity.FATAL), "warnings": self.count(Severity.WARNING)}
        return counts | asdict(self) | {"problems": problems}


def examine(path: Path, track: dataset_checks.Track = lambda names: names) -> Findings:
    """List every problem of the dataset at a folder or a YAML file, and measure it.

    Every feature is read, in bounded memory; `track` wraps the names of the videos meanwhile, to
    show progress.

    Raises:
        UsageError: a bad `dataset.yaml`.
    """
    problems: list[Problem] = []
    try:
        pieces = find_pieces(path)
    except UsageError:
        raise
    except DuetalError as error:
        return Findings((Problem.of(error),))
    labelling = read_labelling(pieces, problems.append)
    labelling, streams = open_streams(pieces, labelling, problems.append)
    parts = [part for stream in streams.values() for part in stream.parts]
    if pieces.annotations is None and pieces.train_labels is None:
        cause = "no annotation: features alone can be localized, not trained on"
        problems.append(Problem.fatal(cause, pieces.source))
        labelling = unlabelled(tuple(parts[0].entries) if parts else (), labelling)
    return _examine_videos(pieces, labelling, parts, track, problems)


def _examine_videos(
    pieces: Pieces,
    labelling: Labelling,
    parts: Sequence[FeaturePart],
    track: dataset_checks.Track,
    problems: list[Problem],
) -> Findings:
    report = problems.append
    names = tuple(dict.fromkeys((*labelling.train_labels, *labelling.evaluation)))
    lengths = dataset_checks.check_features(parts, names, track, report)
    trained = {name: labels for name, labels in labelling.train_labels.items() if name in lengths}
    for cause in training_faults(labelling.annotations.classes, trained):
        report(Problem.fatal(cause, pieces.source))
    dataset_checks.check_segments(labelling.annotations, lengths, pieces.grid, report)
    if parts:
        dataset_checks.check_durations(
            labelling.annotations, parts[0], lengths, pieces.grid, report
        )
    dataset_checks.check_strays(parts, labelling.annotations, report)
    return Findings(
        problems=tuple(problems),
        training=len(trained),
        evaluation=sum(name in lengths for name in labelling.evaluation),
        classes=labelling.annotations.classes,
        hours=sum(lengths.values()) * pieces.grid.seconds_per_snippet / 3600,
        parts=tuple(_summary(part, lengths) for part in parts),
        grid=pieces.grid,
    )


def _summary(part: FeaturePart, lengths: dict[str, int]) -> PartSummary:
    headers = [part.open(name).header for name in lengths]
    return PartSummary(
        title=part.title,
        widths=tuple(sorted({header.dim for header in headers})),
        dtypes=tuple(sorted({header.dtype.name for header in headers})),
        videos=len(part.entries),
    )
