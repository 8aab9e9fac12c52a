"""The videos in a run's folder: ground truth and detections, snippet scores and pseudo-labels."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.core.records import read_if_there
from duetal.results.folder import RunFolder
from duetal.results.kept_labels import all_classes
from duetal.results.schema import ModelRecord, ScoreIndex, StageDetections, TruthFile
from duetal.results.training_log import read_training_log
from duetal.results.version_0_1 import order_phases


@dataclass(frozen=True)
class RunVideos:
    """The detections of a run, and the ground truth."""

    truth: Annotations | None  #: The videos that it was evaluated on; None before that.
    found: dict[str, Detections]  #: By stage, in the order of training.


def read_videos(folder: RunFolder, stage_order: Sequence[str] = ()) -> RunVideos:
    """Read the ground truth and the detections that a run of one seed has.

    `stage_order` has the stages in the order of training; further ones follow by name.

    Raises:
        DuetalError: a file is damaged.
    """
    rank = {stage: number for number, stage in enumerate(stage_order)}
    paths = sorted(
        (folder.path / "detections").glob("*.json"),
        key=lambda path: (rank.get(path.stem, len(rank)), path.stem),
    )
    files = ((path, read_if_there(StageDetections, path)) for path in paths)
    found = {path.stem: _detections(file, path) for path, file in files if file is not None}
    truth = _read_truth(folder.ground_truth_file)
    if truth is not None:
        # A run's classes are known, also one that no evaluated video has.
        classes = (truth.classes, *(one.classes for one in found.values()))
        truth = replace(truth, classes=tuple(dict.fromkeys(chain.from_iterable(classes))))
    return RunVideos(truth, found)


def _read_truth(path: Path) -> Annotations | None:
    file = read_if_there(TruthFile, path)
    if file is None:
        return None
    videos = {}
    for name, video in file.database.items():
        segments = tuple(Segment(*row.segment, row.label) for row in video.annotations)
        labels = tuple(sorted({segment.label for segment in segments}))
        # The file holds exactly the videos that the run was evaluated on.
        videos[name] = VideoAnnotation(name, "test", video.duration, labels, segments)
    classes = dict.fromkeys(label for video in videos.values() for label in video.labels)
    return Annotations(videos, tuple(classes), path)


def _detections(file: StageDetections, path: Path) -> Detections:
    rows = (
        (name, row.label, *row.segment, row.score)
        for name, rows in file.results.items()
        for row in rows
    )
    return Detections.from_rows(rows, videos=file.results, source=path)


class SnippetFile:
    """An open safetensors file with a (T, K) array of each video, K `columns`; `stack` closes it.

    Raises:
        DuetalError: no safetensors file.
    """

    def __init__(self, path: Path, columns: int, stack: ExitStack):
        self._path = path
        self._columns = columns
        try:
            self._file: Any = stack.enter_context(safe_open(path, framework="np"))
            self.videos = tuple(sorted(self._file.keys()))
            self._lengths = {name: self._length(name) for name in self.videos}
            #: Of pseudo-labels: which classes each video has columns of.
            self._record = json.loads((self._file.metadata() or {}).get("duetal", "{}"))
        except (SafetensorError, ValueError, OSError) as error:
            raise DuetalError(f"not a safetensors file: {error}", file=path) from error

    def length(self, video: str) -> int:
        """T of a video; 0 where the file does not have it."""
        return self._lengths.get(video, 0)

    def scores(self, video: str) -> NDArray[np.float32] | None:
        """(T, K) probabilities; None where the file does not have the video.

        Raises:
            DuetalError: of another shape, or not finite.
        """
        values = self._read(video)
        scores = None if values is None else values.astype(np.float32)
        if scores is not None and not np.isfinite(scores).all():
            raise self._error(video, "a score is not finite")
        return scores

    def labels(self, video: str) -> NDArray[np.int8] | None:
        """(T, K) of -1, 0 and 1; None where the file does not have the video.

        Raises:
            DuetalError: of another shape, or another value.
        """
        values = self._read(video)
        if values is not None and not np.isin(values, (-1, 0, 1)).all():
            raise self._error(video, "a pseudo-label is none of -1, 0 and 1")
        return None if values is None else values.astype(np.int8)

    def _length(self, video: str) -> int:
        shape = self._file.get_slice(video).get_shape()
        return int(shape[0]) if shape else 0

    def _read(self, video: str) -> NDArray[Any] | None:
        if video not in self._lengths:
            return None
        try:
            values = all_classes(np.asarray(self._file.get_tensor(video)), video, self._record)
        except (SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
            raise self._error(video, f"cannot read: {error}") from error
        if values.ndim != 2 or values.shape[1] != self._columns:
            raise self._error(video, f"an array of shape {values.shape}, not (T, {self._columns})")
        return values

    def _error(self, video: str, cause: str) -> DuetalError:
        return DuetalError(cause, file=self._path, place=f"video {video!r}")


@dataclass(frozen=True)
class Signals:
    """The snippet-level files of one run, open."""

    title: str  #: Of the run.
    classes: tuple[str, ...] = ()  #: Of the arrays' columns.
    grid: TimeGrid = field(default_factory=TimeGrid)  #: Of their rows.
    scores: Mapping[str, SnippetFile] = field(default_factory=dict)  #: By branch.
    #: By phase, in the order of training.
    labels: Mapping[str, SnippetFile] = field(default_factory=dict)
    #: Seconds at which a video's first row begins, where that is not 0.
    offsets: Mapping[str, float] = field(default_factory=dict)


def open_signals(folder: RunFolder, title: str, stack: ExitStack) -> Signals:
    """Open the files that a run of one seed has; `stack` closes them.

    Raises:
        DuetalError: a file is damaged.
    """
    index = read_if_there(ScoreIndex, folder.score_index_file)
    model = read_if_there(ModelRecord, folder.model_file)
    known = index or model
    if known is None:
        return Signals(title)
    branches = index.branches if index else [b.name for b in model.branches] if model else []
    scores = {branch: folder.scores(branch) for branch in branches}
    log = read_training_log(folder.metrics_file)
    phases = [phase.name for phase in model.phases] if model else list(log.phases)
    files = {path.stem: path for path in folder.pseudo_labels("any").parent.glob("*.safetensors")}
    order = dict.fromkeys([*phases, *order_phases(files)])
    labels = {phase: files[phase] for phase in order if phase in files}

    def opened(paths: Mapping[str, Path]) -> dict[str, SnippetFile]:
        return {
            name: SnippetFile(path, len(known.classes), stack)
            for name, path in paths.items()
            if path.exists()
        }

    return Signals(
        title,
        tuple(known.classes),
        known.grid,
        opened(scores),
        opened(labels),
        index.offsets if index else {},
    )
