"""Run folders and files of detections, opened alike to be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.evaluation.comparison import Contender, Progress
from duetal.evaluation.protocols import Protocol, protocol_named
from duetal.formats import read_annotations, read_detections
from duetal.formats.forms import ContentKind
from duetal.formats.guess import guess
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation


@dataclass(frozen=True)
class Opened:
    """A contender; of a run (not a file of detections) its protocol and folder.

    Of several seeds it is the folder of the first.
    """

    contender: Contender
    protocol: str | None = None
    folder: RunFolder | None = None


def open_contenders(
    paths: Sequence[Path],
    stage: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[Opened]:
    """Open run folders, of one seed or several, and detections in any form that is read.

    Tables name each by the shortest end of its path that is unique. `stage` is the one whose
    detections to take from the runs; the last by default.

    Raises:
        DuetalError: not a run, not evaluated, or unreadable.
        UsageError: a run has no such stage.
    """
    opened = []
    for name, path in zip(_short_names(paths), paths, strict=True):
        if _is_run(path):
            opened.append(_open_run(name, path, stage))
        else:
            opened.append(Opened(Contender(name, (read_detections(path),))))
        progress("reading", len(opened), len(paths))
    return opened


def common_ground(
    opened: Sequence[Opened], annotations: Path | None, protocol: str | None
) -> tuple[Annotations, Protocol]:
    """The ground truth and the protocol that contenders are compared on; by default the runs' own.

    Raises:
        DuetalError: the annotations can't be read.
        UsageError: the runs differ in what is to be theirs, or there is none; an unknown protocol.
    """
    truth = _shared_ground_truth(opened) if annotations is None else read_annotations(annotations)
    # With --annotations a file of detections leaves the protocol open, otherwise it does not count.
    protocols = {one.protocol for one in opened if annotations is not None or one.folder}
    name = protocol or (protocols.pop() if len(protocols) == 1 else None)
    if name is None:
        raise UsageError("which protocol? --protocol names it (duetal evaluate --help lists them)")
    return truth, protocol_named(name)


def _shared_ground_truth(opened: Sequence[Opened]) -> Annotations:
    """The ground truth that all runs among the contenders were evaluated on."""
    files = {one.folder.ground_truth_file: one.contender.name for one in opened if one.folder}
    read = {file: read_annotations(file) for file in files}
    if not read:
        raise UsageError("files of detections have no ground truth: give --annotations")
    first, truth = next(iter(read.items()))
    for file, annotations in read.items():
        if {v.name: v.segments for v in annotations} != {v.name: v.segments for v in truth}:
            cause = f"its ground truth is not that of {files[first]!r}; "
            raise UsageError(f"{cause}--annotations names the one to compare on", file=file)
    return truth


def _is_run(path: Path) -> bool:
    """Whether it is a folder, and not one of detections, such as WebVTT's."""
    try:
        return path.is_dir() and guess(path).kind is not ContentKind.DETECTIONS
    except DuetalError:
        return True


def _open_run(name: str, path: Path, stage: str | None) -> Opened:
    folder = RunFolder(path)
    seeds = [folder.of_seed(seed) for seed in folder.seeds()] or [folder]
    found, protocols = [], []
    for seed in seeds:
        if not seed.evaluation_file.is_file():
            raise DuetalError("no evaluated run: it has no evaluation.json", file=seed.path)
        evaluation = RunEvaluation.read(seed.evaluation_file)
        stages = [each.stage for each in evaluation.stages]
        if stage is not None and stage not in stages:
            raise UsageError(unknown("stage", stage, stages), file=seed.path)
        found.append(read_detections(seed.detections(stage or stages[-1])))
        protocols.append(evaluation.protocol)
    return Opened(Contender(name, tuple(found)), protocols[0], seeds[0])


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many parts as make it unique."""
    whole = [path.absolute().parts for path in paths]
    names = []
    for parts in whole:
        others = [other for other in whole if other != parts]
        count = 1
        while count < len(parts) and any(o[-count:] == parts[-count:] for o in others):
            count += 1
        names.append("/".join(parts[-count:]))
    return names
