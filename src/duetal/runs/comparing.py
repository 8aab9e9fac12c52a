"""Run folders and files of detections, opened alike to be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.evaluation.comparison import Contender
from duetal.evaluation.protocols import Protocol, protocol_named
from duetal.formats import read_annotations, read_detections
from duetal.formats.forms import ContentKind
from duetal.formats.guess import guess
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation


@dataclass(frozen=True)
class Opened:
    """A contender, and what its run was evaluated with.

    Args:
        contender: name and detections.
        ground_truth: of the run; None for a file of detections.
        protocol: of the run; None for a file of detections.
        folder: of the run, or of its first seed's; None for a file of detections.
    """

    contender: Contender
    ground_truth: Path | None = None
    protocol: str | None = None
    folder: Path | None = None


def open_contenders(paths: Sequence[Path], stage: str | None = None) -> list[Opened]:
    """Open run folders, of one seed or several, and detections in any form that is read.

    Args:
        paths: of each; tables call it by the shortest end of its path that no other has.
        stage: whose detections to take from the runs; the last one's unless given.

    Raises:
        DuetalError: not a run, not evaluated, or unreadable.
        UsageError: a run has no such stage.
    """
    names = _short_names(paths)
    return [
        _open_run(name, path, stage)
        if _is_run(path)
        else Opened(Contender(name, (read_detections(path),)))
        for name, path in zip(names, paths, strict=True)
    ]


def common_ground(
    opened: Sequence[Opened], annotations: Path | None, protocol: str | None
) -> tuple[Annotations, Protocol]:
    """What contenders are judged by.

    Args:
        opened: the contenders.
        annotations: ground truth that was asked for; the runs' own unless given.
        protocol: that was asked for; the runs' own unless given.

    Raises:
        DuetalError: the annotations can't be read.
        UsageError: the runs do not agree, or there is none; or an unknown protocol.
    """
    if annotations is None:
        truth, own = shared_ground_truth(opened)
    else:
        truth = read_annotations(annotations)
        names = {each.protocol for each in opened}
        own = names.pop() if len(names) == 1 else None
    name = protocol or own
    if name is None:
        raise UsageError("which protocol? --protocol names it (duetal evaluate --help lists them)")
    return truth, protocol_named(name)


def shared_ground_truth(contenders: Sequence[Opened]) -> tuple[Annotations, str | None]:
    """The ground truth that all runs among the contenders were evaluated on, and their protocol.

    Raises:
        UsageError: there is no run, or the runs have different ones.
    """
    runs = [opened for opened in contenders if opened.ground_truth is not None]
    if not runs:
        raise UsageError("files of detections have no ground truth: give --annotations")
    read = [read_annotations(run.ground_truth) for run in runs if run.ground_truth is not None]
    first = runs[0]
    for run, annotations in zip(runs, read, strict=True):
        if {v.name: v.segments for v in annotations} != {v.name: v.segments for v in read[0]}:
            cause = (
                f"its ground truth is not that of {first.contender.name!r}; "
                "--annotations names the one to compare on"
            )
            raise UsageError(cause, file=run.ground_truth)
    protocols = {run.protocol for run in runs}
    return read[0], protocols.pop() if len(protocols) == 1 else None


def _is_run(path: Path) -> bool:
    """Whether it is a folder, and not one of detections, such as WebVTT's."""
    try:
        return path.is_dir() and guess(path).kind is not ContentKind.DETECTIONS
    except DuetalError:
        return True


def _open_run(name: str, path: Path, stage: str | None) -> Opened:
    folder = RunFolder(path)
    seeds = [folder.of_seed(seed) for seed in folder.seeds()] or [folder]
    evaluations = [_evaluation(seed) for seed in seeds]
    found = tuple(
        _detections(seed, evaluation, stage)
        for seed, evaluation in zip(seeds, evaluations, strict=True)
    )
    return Opened(
        Contender(name, found), seeds[0].ground_truth_file, evaluations[0].protocol, seeds[0].path
    )


def _evaluation(folder: RunFolder) -> RunEvaluation:
    if not folder.evaluation_file.is_file():
        cause = "no evaluated run: it has no evaluation.json"
        raise DuetalError(cause, file=folder.path)
    return RunEvaluation.read(folder.evaluation_file)


def _detections(folder: RunFolder, evaluation: RunEvaluation, stage: str | None) -> Detections:
    stages = [each.stage for each in evaluation.stages]
    if stage is not None and stage not in stages:
        raise UsageError(unknown("stage", stage, stages), file=folder.path)
    return read_detections(folder.detections(stage or stages[-1]))


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many parts as make it unique."""
    whole = [path.absolute().parts for path in paths]
    names = []
    for parts in whole:
        count = 1
        others = [other for other in whole if other != parts]
        while count < len(parts) and any(o[-count:] == parts[-count:] for o in others):
            count += 1
        names.append("/".join(parts[-count:]))
    return names
