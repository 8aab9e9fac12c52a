"""Evaluating every stage of a trained run on the dataset's evaluation videos.

What is written: the detections of each stage, the scores of the final branches, the ground truth,
and last `evaluation.json`. A run that was killed before that is evaluated again from the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError
from duetal.core.files import read_json, write_json
from duetal.datasets import Dataset
from duetal.evaluation import Evaluation, evaluate
from duetal.formats.activitynet import write_annotations
from duetal.runs.diagnostics import PseudoLabelDiagnostics, StageDiagnostics, read_pseudo_labels
from duetal.runs.folder import Run, RunFolder
from duetal.runs.localize import Localized, Progress
from duetal.runs.stage_results import (
    evaluated_stages,
    localize_stage,
    results_are_there,
    stage_title,
    write_score_index,
)


@dataclass(frozen=True)
class StageEvaluation:
    """The scores of one stage."""

    stage: str
    title: str
    evaluation: Evaluation


@dataclass(frozen=True)
class RunEvaluation:
    """The content of `evaluation.json`.

    Args:
        protocol: its name.
        selection: the rule that chose the final checkpoints.
        simulated: whether the features are simulated.
        stages: in order of training, the ensemble last.
        diagnostics: precision and recall by snippet, of stages and of pseudo-labels.
    """

    protocol: str
    selection: str
    simulated: bool
    stages: tuple[StageEvaluation, ...]
    diagnostics: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "protocol": self.protocol,
            "selection": self.selection,
            "simulated": self.simulated,
            "stages": [
                {"stage": s.stage, "title": s.title, **s.evaluation.to_json()} for s in self.stages
            ],
            "diagnostics": dict(self.diagnostics),
        }

    @staticmethod
    def read(path: Path) -> "RunEvaluation":
        """Read `evaluation.json`.

        Raises:
            DuetalError: unreadable or damaged.
        """
        value = read_json(path)
        try:
            return RunEvaluation(
                str(value["protocol"]),
                str(value["selection"]),
                bool(value["simulated"]),
                tuple(
                    StageEvaluation(
                        str(row["stage"]), str(row["title"]), Evaluation.from_json(row, file=path)
                    )
                    for row in value["stages"]
                ),
                dict(value["diagnostics"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DuetalError(f"not an evaluation of a run: {error!r}", file=path) from error


def run_evaluation(
    run: Run, dataset: Dataset, device: torch.device, progress: Progress
) -> RunEvaluation | None:
    """The scores of a trained run, computed unless they are there; None without test segments.

    Raises:
        DuetalError: as `evaluate_run`, or `evaluation.json` is damaged.
    """
    if not has_segments(dataset):
        return None
    if is_evaluated(run):
        return RunEvaluation.read(run.folder.evaluation_file)
    return evaluate_run(run, dataset, device, progress)


def is_evaluated(run: Run) -> bool:
    """Whether all files of the evaluation are there."""
    files = (run.folder.evaluation_file, run.folder.ground_truth_file)
    return results_are_there(run) and all(file.is_file() for file in files)


def ground_truth(dataset: Dataset) -> Annotations:
    """The evaluation videos that have features, as one subset "test".

    Subset names differ between datasets, and some have lists in their place; here the question
    which videos are evaluated has been answered.
    """
    chosen = dataset.annotations.select(dataset.evaluation)
    videos = {video.name: replace(video, subset="test") for video in chosen}
    return Annotations(videos, chosen.classes, chosen.source, chosen.notes)


def has_segments(dataset: Dataset) -> bool:
    """Whether there is anything to evaluate against."""
    return any(dataset.annotations.videos[name].segments for name in dataset.evaluation)


def is_simulated(dataset: Dataset) -> bool:
    """Whether the features come from `duetal simulate`."""
    folder = dataset.source if dataset.source.is_dir() else dataset.source.parent
    return (folder / "simulation.json").is_file()


def evaluate_run(
    run: Run, dataset: Dataset, device: torch.device, progress: Progress
) -> RunEvaluation:
    """Localize with every stage, score the detections, and write it all into the run's folder.

    Args:
        run: a trained run.
        dataset: the one it was trained on, whose evaluation videos have segments.
        device: where to compute.
        progress: told of every video.

    Raises:
        DuetalError: features of an evaluation video are unreadable or not finite.
    """
    truth = ground_truth(dataset)
    write_annotations(run.folder.ground_truth_file, truth)
    stages, diagnostics = [], {}
    for stage in evaluated_stages(run):
        snippets = StageDiagnostics(dataset.grid, tuple(run.model.classes))

        def look(video: Localized, snippets: StageDiagnostics = snippets) -> None:
            snippets.add(video.scores.snippets, truth.videos[video.name])

        detections = localize_stage(run, dataset, stage, device, progress, look)
        evaluation = evaluate(detections, truth, run.config.protocol)
        title = stage_title(run, stage)
        stages.append(StageEvaluation(stage, title, _with_notes(evaluation, dataset)))
        diagnostics[stage] = snippets.to_json()
        averages = ", ".join(f"{n} {100 * v:.2f}" for n, v in evaluation.averages.items())
        run.folder.log(f"{title}: mAP (%) under {run.config.protocol}: {averages}")
    write_score_index(run)
    result = RunEvaluation(
        run.config.protocol,
        run.model.selection,
        is_simulated(dataset),
        tuple(stages),
        {"stages": diagnostics, "pseudo_labels": _diagnose_pseudo_labels(run, dataset)},
    )
    write_json(run.folder.evaluation_file, result.to_json())
    return result


def _with_notes(evaluation: Evaluation, dataset: Dataset) -> Evaluation:
    """Say how many evaluation videos are not there at all."""
    missing = set(dataset.missing) & set(dataset.annotations.evaluation_names())
    if not missing:
        return evaluation
    note = f"{len(missing):,} evaluation videos have no features and are left out"
    return replace(evaluation, notes=(*evaluation.notes, note))


def _diagnose_pseudo_labels(run: Run, dataset: Dataset) -> dict[str, dict[str, float | None]]:
    """Compare what the teachers said with the training videos' segments, where they are known."""
    known = {
        name: video
        for name in dataset.training
        if (video := dataset.annotations.videos.get(name)) is not None and video.segments
    }
    if not known:
        return {}
    result = {}
    for phase in _taught_phases(run.folder):
        diagnostics = PseudoLabelDiagnostics(dataset.grid, tuple(run.model.classes))
        for name, labels in read_pseudo_labels(run.folder.pseudo_labels(phase)).items():
            if name in known:
                diagnostics.add(labels, known[name])
        result[phase] = diagnostics.to_json()
    return result


def _taught_phases(folder: RunFolder) -> list[str]:
    """B1, F1, B2, F2, …: the phases that left pseudo-labels."""
    files = (folder.path / "pseudo_labels").glob("*.safetensors")
    return sorted((file.stem for file in files), key=lambda phase: (int(phase[1:]), phase[0]))
