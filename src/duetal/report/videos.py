"""What the timeline draws of each video, cut down to what an eye can use.

A run holds every score of every class and tens of thousands of detections; the page embeds, per
video, the classes that matter there, the detections above a small share of the best one's score,
and curves of one byte per point.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from duetal.core.errors import DuetalError
from duetal.report.records import (
    Detection,
    DetectionsFile,
    GridRecord,
    GroundTruthFile,
    ScoreIndexFile,
    TruthVideo,
    read_record,
)

#: Detections below this share of the best score of their video and stage are left out.
SCORE_SHARE = 0.05
#: The best detections of one class in one video and stage that are kept.
MAX_DETECTIONS = 30
#: Classes of one video; those of the ground truth are kept even beyond it.
MAX_CLASSES = 8
#: Points of one curve; a longer video's neighbouring snippets are joined by their maximum.
MAX_POINTS = 3000

BRANCHES = ("cbp", "vlp")

#: Detections of one video: stage → class → detections, best first.
Found = dict[str, dict[str, list[Detection]]]


@dataclass(frozen=True)
class VideoSet:
    """All videos of a run as the page embeds them.

    Args:
        classes: class names; everything else speaks of their indices.
        grid: `{"fps", "stride", "window"}` of the curves.
        stages: stages that have detections, in the order of training.
        branches: `cbp` and `vlp`, as far as they have scores.
        videos: one JSON object per video, see `_Builder.video`.
        kept: detections embedded, by stage.
        total: detections of the run, by stage.
    """

    classes: list[str]
    grid: dict[str, float]
    stages: list[str]
    branches: list[str]
    videos: list[dict[str, Any]]
    kept: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)


def read_videos(folder: Path, stage_order: Sequence[str] = ()) -> VideoSet:
    """Read ground truth, detections and scores of a run; whichever of them is there.

    Args:
        folder: folder of one seed's run.
        stage_order: stages in the order of training; further ones follow by name.

    Raises:
        DuetalError: a file is damaged or contradicts `scores/index.json`.
    """
    truth = read_record(GroundTruthFile, folder / "ground_truth.json") or GroundTruthFile()
    detections = _read_detections(folder / "detections", stage_order)
    with ExitStack() as stack:
        scores = _open_scores(folder / "scores", stack)
        builder = _Builder(truth.database, detections, scores)
        videos = [builder.video(name) for name in builder.names()]
    return VideoSet(
        classes=list(builder.class_index),
        grid=scores.grid.model_dump(),
        stages=list(detections),
        branches=list(scores.files),
        videos=videos,
        kept=builder.kept,
        total={stage: sum(map(len, file.results.values())) for stage, file in detections.items()},
    )


def _read_detections(folder: Path, stage_order: Sequence[str]) -> dict[str, DetectionsFile]:
    rank = {stage: number for number, stage in enumerate(stage_order)}
    paths = sorted(folder.glob("*.json"), key=lambda p: (rank.get(p.stem, len(rank)), p.stem))
    files = ((path.stem, read_record(DetectionsFile, path)) for path in paths)
    return {stage: file for stage, file in files if file is not None}


@dataclass(frozen=True)
class _ScoreFiles:
    """The open score files of both branches."""

    classes: list[str]
    grid: GridRecord
    files: dict[str, Any] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)

    def read(self, branch: str, video: str) -> NDArray[np.float32] | None:
        """(T, K) probabilities of one video; None where the branch has none."""
        if video not in self.names[branch]:
            return None
        path, place = self.paths[branch], f"video {video!r}"
        try:
            scores = np.asarray(self.files[branch].get_tensor(video), dtype=np.float32)
        except (SafetensorError, TypeError, ValueError, OSError) as error:
            raise DuetalError(f"cannot read scores: {error}", file=path, place=place) from error
        if scores.ndim != 2 or scores.shape[1] != len(self.classes):
            cause = f"scores of shape {scores.shape}, not (T, {len(self.classes)})"
            raise DuetalError(cause, file=path, place=place)
        if not np.isfinite(scores).all():
            raise DuetalError("a score is not finite", file=path, place=place)
        return scores


def _open_scores(folder: Path, stack: ExitStack) -> _ScoreFiles:
    index = read_record(ScoreIndexFile, folder / "index.json")
    if index is None:
        return _ScoreFiles([], GridRecord())
    scores = _ScoreFiles(index.classes, index.grid)
    for branch in BRANCHES:
        path = folder / f"{branch}.safetensors"
        if not path.exists():
            continue
        try:
            file = stack.enter_context(safe_open(path, framework="np"))
            scores.names[branch] = set(file.keys())
        except (SafetensorError, OSError) as error:
            raise DuetalError(f"not a safetensors file: {error}", file=path) from error
        scores.files[branch], scores.paths[branch] = file, path
    return scores


class _Builder:
    """Turns names of videos into the objects the page embeds."""

    def __init__(
        self,
        truth: dict[str, TruthVideo],
        detections: dict[str, DetectionsFile],
        scores: _ScoreFiles,
    ):
        self.truth = truth
        self.detections = detections
        self.scores = scores
        self.class_index = {name: number for number, name in enumerate(scores.classes)}
        self.kept = dict.fromkeys(detections, 0)

    def names(self) -> list[str]:
        """Every video that anything is known of: annotated ones first, in their order."""
        names = dict.fromkeys(self.truth)
        for file in self.detections.values():
            names |= dict.fromkeys(file.results)
        for branch in self.scores.files:
            names |= dict.fromkeys(sorted(self.scores.names[branch]))
        return list(names)

    def video(self, name: str) -> dict[str, Any]:
        """One video.

        Returns:
            `{"name", "duration": seconds | None, "snippets": T | 0, "pool": snippets per point,
            "classes": [class, …], "truth": {class: [start, end, …]},
            "found": {stage: {class: [start, end, score, …]}},
            "scores": {branch: {class: base64 of one byte per point, 255 = probability 1}}}`,
            classes as indices, stages as positions in `VideoSet.stages`.
        """
        truth = self.truth.get(name, TruthVideo())
        found = {stage: self._strongest(stage, name) for stage in self.detections}
        scores = {branch: self.scores.read(branch, name) for branch in self.scores.files}
        known = {branch: values for branch, values in scores.items() if values is not None}
        classes = self._relevant_classes(truth, found, known)
        length = max((len(values) for values in known.values()), default=0)
        pool = max(1, math.ceil(length / MAX_POINTS))
        return {
            "name": name,
            "duration": truth.duration,
            "snippets": length,
            "pool": pool,
            "classes": [self._index(label) for label in classes],
            "truth": self._truth_columns(truth),
            "found": self._found_columns(found, set(classes)),
            "scores": self._curves(known, classes, pool),
        }

    def _index(self, label: str) -> int:
        return self.class_index.setdefault(label, len(self.class_index))

    def _strongest(self, stage: str, video: str) -> dict[str, list[Detection]]:
        rows = sorted(self.detections[stage].results.get(video, ()), key=lambda row: -row.score)
        floor = rows[0].score * SCORE_SHARE if rows and rows[0].score > 0 else -math.inf
        by_class: dict[str, list[Detection]] = {}
        for row in rows:
            same = by_class.setdefault(row.label, [])
            if row.score >= floor and len(same) < MAX_DETECTIONS:
                same.append(row)
        return {label: rows for label, rows in by_class.items() if rows}

    def _relevant_classes(
        self, truth: TruthVideo, found: Found, scores: dict[str, NDArray[np.float32]]
    ) -> list[str]:
        """Classes to show: annotated, then the video's most probable, then detected by score."""
        annotated = dict.fromkeys(row.label for row in truth.annotations)
        top = [self.scores.classes[_video_level_top(s)] for s in scores.values() if s.size]
        detected = sorted(
            (
                (rows[0].score, label)
                for by_class in found.values()
                for label, rows in by_class.items()
            ),
            reverse=True,
        )
        others = dict.fromkeys([*top, *(label for _, label in detected)])
        room = max(0, MAX_CLASSES - len(annotated))
        return [*annotated, *[label for label in others if label not in annotated][:room]]

    def _truth_columns(self, truth: TruthVideo) -> dict[int, list[float]]:
        columns: dict[int, list[float]] = {}
        for row in truth.annotations:
            columns.setdefault(self._index(row.label), []).extend(_rounded(*row.segment))
        return columns

    def _found_columns(self, found: Found, classes: set[str]) -> dict[int, dict[int, list[float]]]:
        columns: dict[int, dict[int, list[float]]] = {}
        for position, (stage, by_class) in enumerate(found.items()):
            shown = {label: rows for label, rows in by_class.items() if label in classes}
            self.kept[stage] += sum(map(len, shown.values()))
            if shown:
                columns[position] = {
                    self._index(label): [value for row in rows for value in _detection(row)]
                    for label, rows in shown.items()
                }
        return columns

    def _curves(
        self, scores: dict[str, NDArray[np.float32]], classes: list[str], pool: int
    ) -> dict[str, dict[int, str]]:
        scored = set(self.scores.classes)
        return {
            branch: {
                self._index(label): quantise(values[:, self._index(label)], pool)
                for label in classes
                if label in scored
            }
            for branch, values in scores.items()
        }


def _video_level_top(scores: NDArray[np.float32]) -> int:
    """The class of highest mean over its top eighth of snippets, as training pools them."""
    count = math.ceil(len(scores) / 8)
    top = np.partition(scores, len(scores) - count, axis=0)[-count:]
    return int(top.mean(axis=0).argmax())


def _rounded(start: float, end: float) -> list[float]:
    return [round(start, 2), round(end, 2)]


def _detection(row: Detection) -> Iterator[float]:
    yield from _rounded(*row.segment)
    yield float(f"{row.score:.3g}")


def quantise(probabilities: NDArray[np.float32], pool: int) -> str:
    """One curve as base64 bytes, 255 for probability 1.

    Args:
        probabilities: (T,) values in [0, 1].
        pool: snippets joined by their maximum into one point.
    """
    padding = -len(probabilities) % pool
    padded = np.pad(probabilities, (0, padding)).reshape(-1, pool).max(axis=1)
    levels = np.rint(padded.clip(0, 1) * 255).astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode("ascii")
