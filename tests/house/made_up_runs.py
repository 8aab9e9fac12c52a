"""Run folders as training leaves them, with plausible made-up numbers; fixtures that write them.

Two branches over videos with known segments: CBP's scores are high in the core of an action, VLP's
in the whole scene, and each step moves both towards the truth.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from duetal.core.files import write_json
from duetal.core.grid import TimeGrid
from duetal.evaluation.result import summarize
from duetal.method.schedule import ScheduleSettings, schedule
from duetal.results.folder import RunFolder
from duetal.results.log_events import (
    EpochEvent,
    LabelCounts,
    PhaseEnd,
    PhaseStart,
    PseudoLabelEvent,
)
from duetal.results.schema import (
    BranchRecord,
    Diagnostics,
    ModelRecord,
    PhaseRecord,
    PseudoLabelScores,
    RunEvaluation,
    ScoreIndex,
    SeedSummary,
    SnippetScores,
    StageDetections,
    StageRecord,
    StageScores,
    StageSummary,
    TruthFile,
)

CLASSES = [
    "BaseballPitch", "BasketballDunk", "Billiards", "CleanAndJerk", "CliffDiving", "CricketBowling",
    "CricketShot", "Diving", "FrisbeeCatch", "GolfSwing", "HammerThrow", "HighJump",
    "JavelinThrow", "LongJump", "PoleVault", "Shotput", "SoccerPenalty", "TennisSwing",
    "ThrowDiscus", "VolleyballSpiking",
]  # fmt: skip

SCHEDULE = schedule(ScheduleSettings(), ("cbp", "vlp"))
PHASES = [PhaseRecord.model_validate(phase, from_attributes=True) for phase in SCHEDULE]
STAGES = [
    StageRecord(name=p.stage, title=p.stage_title, branch=p.student, phase=p.name) for p in SCHEDULE
]
TITLES = {stage.name: stage.title for stage in STAGES} | {"ensemble": "Ensemble"}
BRANCH_OF = {stage.name: stage.branch for stage in STAGES} | {"ensemble": "ensemble"}
#: How far each stage has come from its branch's bias to the truth.
PROGRESS = dict(zip(TITLES, (0.0, 0.0, 0.45, 0.5, 0.62, 0.68, 0.8), strict=True))
TIOU = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
AVERAGES = {"0.1:0.5": slice(0, 5), "0.3:0.7": slice(2, 7), "0.1:0.7": slice(0, 7)}
SELECTION = "last checkpoint; no test data was used"
PROTOCOL = "thumos14/seconds-210"
KINDS = ("foreground", "background", "ignored")


@dataclass
class FakeRun:
    """What to put into a fake run; `write` makes the folder of one seed."""

    videos: int = 8
    seed: int = 0
    classes: list[str] = field(default_factory=lambda: list(CLASSES))
    names: list[str] = field(default_factory=list)
    fps: float = 25.0
    stride: int = 16
    mean_seconds: float = 200.0
    #: Training videos that have pseudo-labels.
    training: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        numbered = (f"video_test_{4 + 37 * i:07d}" for i in range(self.videos))
        self.video_names = [*self.names, *numbered][: self.videos]
        self.database = {name: self._annotate(i) for i, name in enumerate(self.video_names)}
        self.scores = {name: self._score(name) for name in self.video_names}

    def _annotate(self, index: int) -> dict[str, Any]:
        duration = float(np.round(self.rng.lognormal(np.log(self.mean_seconds), 0.6) + 20, 2))
        label = self.classes[index % len(self.classes)]
        at = float(self.rng.uniform(2, 8))
        segments: list[dict[str, Any]] = []
        while at + 4 < duration and len(segments) < 25:
            length = float(self.rng.uniform(1.5, 8))
            end = min(at + length, duration)
            segments.append({"segment": [round(at, 1), round(end, 1)], "label": label})
            if label == "CliffDiving":
                segments.append({"segment": [round(at, 1), round(end, 1)], "label": "Diving"})
            at = end + float(self.rng.exponential(10) + 1)
        return {"subset": "test", "duration": duration, "annotations": segments}

    def _score(self, name: str) -> dict[str, np.ndarray]:
        """(T, K) probabilities of both branches."""
        video = self.database[name]
        length = max(1, int(video["duration"] * self.fps / self.stride))
        centres = (np.arange(length) + 0.5) * self.stride / self.fps
        noise = self.rng.normal(0, 1, (2, length, len(self.classes)))
        smooth = np.apply_along_axis(np.convolve, 1, noise, np.ones(5) / 5, "same")
        cbp, vlp = 0.06 + 0.06 * np.abs(smooth)
        for row in video["annotations"]:
            start, end = row["segment"]
            k, middle, half = self.classes.index(row["label"]), (start + end) / 2, (end - start) / 2
            distance = np.abs(centres - middle) / half
            cbp[:, k] = np.maximum(cbp[:, k], 0.9 * np.exp(-((distance / 0.75) ** 4)))
            vlp[:, k] = np.maximum(vlp[:, k], 0.8 * np.exp(-((distance / 1.9) ** 4)))
        scores = {"cbp": cbp, "vlp": vlp}
        return {key: (value + 0.04 * self.rng.random(value.shape)).clip(0, 1).astype(np.float16)
                for key, value in scores.items()}  # fmt: skip

    def detections(self, stage: str) -> StageDetections:
        """ActivityNet results: the truth, bent by the branch's bias, and clutter."""
        progress = PROGRESS[stage]
        scale = {"c": 0.55 + 0.4 * progress, "v": 1.7 - 0.6 * progress, "e": 1.02}[stage[0]]
        results: dict[str, list[dict[str, Any]]] = {}
        for name, video in self.database.items():
            rows = results.setdefault(name, [])
            for truth in video["annotations"]:
                start, end = truth["segment"]
                for wobble, share in ((0.1, 1.0), (0.35, 0.5), (0.6, 0.2)):
                    half = (end - start) / 2 * scale * float(np.exp(self.rng.normal(0, wobble)))
                    middle = (start + end) / 2 + float(self.rng.normal(0, wobble))
                    score = share * float(self.rng.uniform(0.4, 0.98))
                    rows.append(self._detection(middle, half, truth["label"], score, video))
            for _ in range(int(25 * (1 - progress))):
                label = self.classes[int(self.rng.integers(len(self.classes)))]
                middle = float(self.rng.uniform(0, video["duration"]))
                score = float(self.rng.beta(1, 6))
                half = float(self.rng.uniform(1, 8))
                rows.append(self._detection(middle, half, label, score, video))
        return StageDetections.model_validate({"results": results})

    @staticmethod
    def _detection(
        middle: float, half: float, label: str, score: float, video: dict[str, Any]
    ) -> dict[str, Any]:
        segment = [max(0.0, middle - half), min(video["duration"], middle + half)]
        return {"label": label, "score": score, "segment": sorted(segment)}

    def evaluation(self) -> RunEvaluation:
        stages = []
        for number, (stage, title) in enumerate(TITLES.items()):
            level = 0.34 + 0.3 * PROGRESS[stage] - 0.05 * (stage[0] == "v")
            level += float(self.rng.normal(0, 0.004))
            mean_ap = [float(level * (1.55 - 1.7 * t)) for t in TIOU]
            per_class = {
                name: tuple(min(1.0, ap * (0.5 + ((7 * k + number) % 20) / 20)) for ap in mean_ap)
                for k, name in enumerate(self.classes)
            }
            averages = {name: float(np.mean(mean_ap[part])) for name, part in AVERAGES.items()}
            stages.append(StageScores(
                stage=stage, title=title, branch=BRANCH_OF[stage], protocol=PROTOCOL,
                tiou=tuple(TIOU), mean_ap=tuple(mean_ap), averages=averages, per_class=per_class,
                videos=self.videos, segments=3311, predictions=12345,
                dropped={"in unlisted videos": 3},
            ))  # fmt: skip
        points = [(0.78, 0.36), (0.35, 0.8), (0.55, 0.74), (0.74, 0.6), (0.64, 0.73), (0.73, 0.68),
                  (0.75, 0.74)]  # fmt: skip
        snippets = {
            stage: SnippetScores(precision=p, recall=r, f1=2 * p * r / (p + r))
            for stage, (p, r) in zip(TITLES, points, strict=True)
        }
        labels = PseudoLabelScores(
            foreground_precision=0.8, foreground_recall=0.4,
            background_precision=0.93, background_recall=0.7,
        )  # fmt: skip
        taught = {phase.name: labels for phase in PHASES if phase.teacher}
        diagnostics = Diagnostics(stages=snippets, pseudo_labels=taught)
        return RunEvaluation(
            protocol=PROTOCOL, selection=SELECTION, stages=stages, diagnostics=diagnostics
        )

    def metrics(self) -> Iterator[PhaseStart | PseudoLabelEvent | EpochEvent | PhaseEnd]:
        for phase in PHASES:
            if not phase.epochs:
                continue
            yield PhaseStart(**dict(phase))
            if phase.teacher:
                yield self._pseudo_labels(phase)
            for epoch in range(1, phase.epochs + 1):
                decay = float(np.exp(-epoch / phase.epochs * 2.2))
                terms = {"classification": 0.12 + 0.5 * decay + float(self.rng.normal(0, 0.01))}
                if phase.teacher:
                    terms["distillation"] = 0.08 + 0.3 * decay + float(self.rng.normal(0, 0.01))
                yield EpochEvent(
                    phase=phase.name, branch=phase.student, epoch=epoch, epochs=phase.epochs,
                    loss=sum(terms.values()), terms=terms, seconds=1.2,
                )  # fmt: skip
            yield PhaseEnd(phase=phase.name, stage=phase.stage, seconds=9.0)

    def _pseudo_labels(self, phase: PhaseRecord) -> PseudoLabelEvent:
        classes = {}
        for k, name in enumerate(self.classes):
            total = 900 + 250 * (k % 5)
            foreground = int(total * (0.12 + 0.02 * (k % 4)))
            background = int(total * (0.5 + 0.03 * (k % 6)))
            rest = total - foreground - background
            classes[name] = LabelCounts(foreground=foreground, background=background, ignored=rest)
        sums = {kind: sum(getattr(c, kind) for c in classes.values()) for kind in KINDS}
        return PseudoLabelEvent(
            phase=phase.name, teacher=phase.teacher or "", snippets=sum(sums.values()),
            classes=classes, **sums,
        )  # fmt: skip

    def write(self, path: Path) -> Path:
        """Write the run folder."""
        folder = RunFolder(path)
        for name in ("detections", "scores"):
            (path / name).mkdir(parents=True, exist_ok=True)
        folder.config_file.write_text(
            "recipe: thumos14\ntraining:\n  alternations: 2\n  learning_rate: 0.0001\n"
            "  batch: 64\npseudo_labels: {high: 0.7, low: 0.15}\ntheta_loc: [0.1, 0.2, 0.3]\n"
        )
        write_json(folder.environment_file, {"duetal": "0.2.0", "torch": "2.13.0", "cpus": 2})
        grid = TimeGrid(fps=self.fps, stride=self.stride)
        branches = [
            BranchRecord(name="cbp", title="CBP", dim=2048, final="cbp-f2"),
            BranchRecord(name="vlp", title="VLP", dim=512, final="vlp-b2"),
        ]
        ModelRecord(
            duetal="0.2.0", classes=self.classes, grid=grid, branches=branches, phases=PHASES,
            stages=STAGES, selection=SELECTION,
        ).write(folder.model_file)  # fmt: skip
        self.evaluation().write(folder.evaluation_file)
        truth = TruthFile.model_validate({"database": self.database})
        truth.write(folder.ground_truth_file)
        for stage in TITLES:
            self.detections(stage).write(folder.detections(stage))
        names = [branch.name for branch in branches]
        index = ScoreIndex(classes=self.classes, grid=grid, branches=names)
        index.write(folder.score_index_file)
        for branch in names:
            tensors = {name: scores[branch] for name, scores in self.scores.items()}
            save_file(tensors, folder.scores(branch))
        self._write_pseudo_labels(folder)
        lines = (json.dumps(event.to_json()) + "\n" for event in self.metrics())
        folder.metrics_file.write_text("".join(lines))
        return path

    def _write_pseudo_labels(self, folder: RunFolder) -> None:
        if not self.training:
            return
        (folder.path / "pseudo_labels").mkdir()
        for phase in PHASES:
            if phase.teacher:
                arrays = {}
                for index in range(self.training):
                    labels = np.zeros((90 + index, len(self.classes)), dtype=np.int8)
                    labels[:, index % len(self.classes)] = self.rng.integers(-1, 2, len(labels))
                    arrays[f"video_validation_{index:07d}"] = labels
                save_file(arrays, folder.pseudo_labels(phase.name))


def write_seeds(path: Path, seeds: tuple[int, ...] = (0, 1, 2), **settings: Any) -> Path:
    """Write a run of several seeds and its summary."""
    folder = RunFolder(path)
    for seed in seeds:
        FakeRun(seed=seed, **settings).write(folder.of_seed(seed).path)
    found = [RunEvaluation.read(folder.of_seed(seed).evaluation_file) for seed in seeds]
    stages = []
    for same in zip(*(evaluation.stages for evaluation in found), strict=True):
        summary = summarize(same)
        names = {"stage": same[0].stage, "title": same[0].title, "branch": same[0].branch}
        stages.append(StageSummary(**names, **dict(summary)))
    SeedSummary(
        protocol=PROTOCOL, selection=SELECTION, seeds=list(seeds), stages=stages
    ).write(folder.summary_file)  # fmt: skip
    return path


@pytest.fixture
def fake_run(tmp_path: Path) -> Callable[..., Path]:
    """Make a run folder: `fake_run(videos=…, names=…, classes=…)`."""
    return lambda **settings: FakeRun(**settings).write(tmp_path / "my-run")


@pytest.fixture
def fake_seeds(tmp_path: Path) -> Callable[..., Path]:
    """Make a run folder of several seeds."""
    return lambda **settings: write_seeds(tmp_path / "seeds-run", **settings)
