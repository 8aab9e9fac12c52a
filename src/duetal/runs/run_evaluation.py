"""Evaluating every stage of a trained run on the dataset's evaluation videos.

It writes the detections of each stage, the scores of the final branches, the ground truth, and
last `evaluation.json`. A run that was killed before that is evaluated again from the start.
"""

from dataclasses import replace

import torch

from duetal.core.annotations import Annotations
from duetal.datasets import Dataset
from duetal.evaluation import Evaluation, evaluate
from duetal.formats.activitynet import write_annotations
from duetal.results.schema import Diagnostics, PseudoLabelScores, RunEvaluation, StageScores
from duetal.runs.diagnostics import PseudoLabelCounter, SnippetCounter, read_pseudo_labels
from duetal.runs.localizing import Localized, Progress
from duetal.runs.run import Run
from duetal.runs.stage_results import (
    branch_of,
    localize_stage,
    results_are_there,
    write_score_index,
)


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
        progress: called after every video.

    Raises:
        DuetalError: features of an evaluation video are unreadable or not finite.
    """
    truth = ground_truth(dataset)
    write_annotations(run.folder.ground_truth_file, truth)
    protocol = run.config.data.protocol
    stages, snippet_scores = [], {}
    for stage in run.model.evaluated_stages():
        counter = SnippetCounter(dataset.grid, tuple(run.model.classes))

        def count(video: Localized, counter: SnippetCounter = counter) -> None:
            counter.add(video.scores.snippets, truth.videos[video.name])

        detections = localize_stage(run, dataset, stage, device, progress, count)
        evaluation = _with_notes(evaluate(detections, truth, protocol), dataset)
        title = run.model.title_of(stage)
        names = {"stage": stage, "title": title, "branch": branch_of(run, stage)}
        stages.append(StageScores.model_validate({**names, **dict(evaluation)}))
        snippet_scores[stage] = counter.scores()
        averages = ", ".join(f"{n} {100 * v:.2f}" for n, v in evaluation.averages.items())
        run.folder.log(f"{title}: mAP (%) under {protocol}: {averages}")
    write_score_index(run)
    pseudo_labels = _diagnose_pseudo_labels(run, dataset)
    result = RunEvaluation(
        protocol=protocol,
        selection=run.model.selection,
        simulated=is_simulated(dataset),
        stages=stages,
        diagnostics=Diagnostics(stages=snippet_scores, pseudo_labels=pseudo_labels),
    )
    result.write(run.folder.evaluation_file)
    return result


def _with_notes(evaluation: Evaluation, dataset: Dataset) -> Evaluation:
    """Say how many evaluation videos are not there at all."""
    missing = set(dataset.missing) & set(dataset.annotations.evaluation_names())
    if not missing:
        return evaluation
    note = f"{len(missing):,} evaluation videos have no features and are left out"
    return evaluation.model_copy(update={"notes": (*evaluation.notes, note)})


def _diagnose_pseudo_labels(run: Run, dataset: Dataset) -> dict[str, PseudoLabelScores]:
    """Compare pseudo-labels with the training videos' segments, where they are known."""
    known = {
        name: video
        for name in dataset.training
        if (video := dataset.annotations.videos.get(name)) is not None and video.segments
    }
    if not known:
        return {}
    result = {}
    for phase in run.model.phases:
        path = run.folder.pseudo_labels(phase.name)
        if not path.is_file():
            continue
        counter = PseudoLabelCounter(dataset.grid, tuple(run.model.classes))
        for name, labels in read_pseudo_labels(path).items():
            if name in known:
                counter.add(labels, known[name])
        result[phase.name] = counter.scores()
    return result
