"""Every problem of a dataset, with file and place; nothing stops at the first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.datasets.feature_checks import Track, check_durations, check_features, check_strays
from duetal.datasets.label_checks import check_classes, check_segments
from duetal.datasets.layouts import Pieces, find_pieces
from duetal.datasets.opening import Knowledge, open_streams, read_knowledge, unlabelled
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
    """The problems of a dataset, and its size.

    Args:
        problems: in the order in which they were found.
        training: videos to train on that have features.
        evaluation: videos to evaluate on that have features.
        classes: class names.
        hours: of the videos counted above.
        parts: one entry for each part of each stream.
        grid: the time grid.
    """

    problems: tuple[Problem, ...]
    training: int = 0
    evaluation: int = 0
    classes: tuple[str, ...] = ()
    hours: float = 0.0
    parts: tuple[PartSummary, ...] = ()
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


def check(path: Path) -> list[Problem]:
    """List every problem of the dataset at a folder or a YAML file.

    Raises:
        UsageError: a bad `dataset.yaml`.
    """
    return list(examine(path).problems)


def examine(path: Path, track: Track = lambda names: names) -> Findings:
    """List every problem of a dataset, and measure it. Reads every feature, in bounded memory.

    Args:
        path: the dataset's folder or YAML file.
        track: wraps the names of the videos while their features are read, to show progress.

    Raises:
        UsageError: a bad `dataset.yaml`.
    """
    problems: list[Problem] = []
    try:
        pieces = find_pieces(path)
    except UsageError:
        raise
    except DuetalError as error:
        return Findings((Problem.fatal(error),))
    known = read_knowledge(pieces, problems.append)
    streams = open_streams(pieces, problems.append)
    parts = [part for stream in streams.values() for part in stream.parts]
    if pieces.annotations is None and pieces.train_labels is None:
        cause = "no annotation: features alone can be localized, not trained on"
        problems.append(Problem.fatal(DuetalError(cause, file=pieces.source)))
        known = unlabelled(tuple(parts[0].entries) if parts else (), known)
    return _examine_videos(pieces, known, parts, track, problems)


def _examine_videos(
    pieces: Pieces,
    known: Knowledge,
    parts: Sequence[FeaturePart],
    track: Track,
    problems: list[Problem],
) -> Findings:
    report = problems.append
    names = tuple(dict.fromkeys((*known.train_labels, *known.evaluation)))
    lengths = check_features(parts, names, track, report)
    trained = {name: labels for name, labels in known.train_labels.items() if name in lengths}
    check_classes(known.annotations.classes, trained, pieces.source, report)
    check_segments(known.annotations, lengths, pieces.grid, report)
    if parts:
        check_durations(known.annotations, parts[0], lengths, pieces.grid, report)
    check_strays(parts, known.annotations, report)
    return Findings(
        problems=tuple(problems),
        training=len(trained),
        evaluation=sum(name in lengths for name in known.evaluation),
        classes=known.annotations.classes,
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
