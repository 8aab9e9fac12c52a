"""Evaluating every stage of a trained run on the dataset's evaluation videos.

Where segments are known, `run_evaluation` scores the detections. Where labels alone are known,
`run_label_evaluation` measures how each stage ranks the videos by label. Both write the detections
of each stage, the scores of the final branches, and last their result. A run that was killed before
that is evaluated again from the start.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from safetensors.numpy import save_file

from duetal import __version__
from duetal.config import Config
from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.files import replacing
from duetal.datasets import Dataset
from duetal.evaluation import evaluate, protocol_named
from duetal.formats.activitynet import write_annotations, write_detections
from duetal.method.loop import Method
from duetal.method.video_scoring import score_video
from duetal.results import schema
from duetal.results.folder import RunFolder
from duetal.results.schema import LabelEvaluation, RunEvaluation
from duetal.runs import diagnostics
from duetal.runs.dividing import announce, announced
from duetal.runs.localizing import Progress, limit_notes, localize
from duetal.runs.run import Run, open_run
from duetal.runs.stage_scoring import Localized
from duetal.tuning.held_out import video_mean_ap

Judgement = TypeVar("Judgement")


def has_segments(dataset: Dataset) -> bool:
    """Whether segments of evaluation videos are known."""
    return any(dataset.annotations.videos[name].segments for name in dataset.evaluation)


def has_labels(dataset: Dataset) -> bool:
    """Whether labels of evaluation videos are known."""
    return any(dataset.annotations.videos[name].labels for name in dataset.evaluation)


def is_simulated(dataset: Dataset) -> bool:
    """Whether the features come from `duetal simulate`."""
    folder = dataset.source if dataset.source.is_dir() else dataset.source.parent
    return (folder / "simulation.json").is_file()


def evaluation_seconds(
    config: Config, dataset: Dataset, method: Method, device: torch.device
) -> float:
    """About how long every stage will take to be evaluated, by one video in untrained networks.

    Raises:
        DuetalError: features of a video are unreadable or not finite.
    """
    names = dataset.evaluation or dataset.training
    lengths = {name: dataset.length(name) for name in names}
    name = sorted(names, key=lengths.__getitem__)[len(names) // 2]
    passes = Counter(p.student for p in method.schedule(config.schedule, dataset.streams))
    # The ensemble scores with all branches once more, and so do the teachers of each detector.
    for _ in range((len(passes) > 1) + config.detector.rounds):
        passes.update(passes.keys())
    seconds = 0.0
    for branch, count in passes.items():
        stream, kind = dataset.streams[branch], method.branch(branch)
        network = kind.for_inference(config, stream.dim, len(dataset.classes)).to(device).eval()
        took = [0.0]
        # The first pass is slower, and other work may slow any of them.
        while len(took) < 4 and took[-1] < 1:
            began = time.monotonic()
            score_video(network, stream, name, config.data.crop, device)
            took.append(time.monotonic() - began)
        seconds += count * min(took[1:])
    return seconds * sum(lengths.values()) / lengths[name]


def ground_truth(dataset: Dataset, protocol: str = "seconds") -> Annotations:
    """The evaluation videos that have features, as the one subset that the protocol means.

    Subset names differ between datasets, and some have lists in their place.
    """
    subset = "validation" if protocol_named(protocol).subset == "val" else "test"
    chosen = dataset.annotations.select(dataset.evaluation)
    videos = {video.name: replace(video, subset=subset) for video in chosen}
    # What is found of a class that no chosen video has is a false alarm, not an unknown class.
    classes = tuple(dict.fromkeys((*chosen.classes, *dataset.classes)))
    return Annotations(videos, classes, chosen.source, chosen.notes)


def run_evaluation(
    run: Run, dataset: Dataset, fabric: Fabric, progress: Progress
) -> RunEvaluation | None:
    """The scores of a trained run, computed unless they are there; None without test segments.

    Raises:
        DuetalError: as `evaluate_run`, or `evaluation.json` is damaged.
    """
    if not has_segments(dataset):
        return None
    if is_evaluated(run, run.folder.evaluation_file, run.folder.ground_truth_file):
        return RunEvaluation.read(run.folder.evaluation_file)
    return evaluate_run(run, dataset, fabric, progress)


def evaluate_run(run: Run, dataset: Dataset, fabric: Fabric, progress: Progress) -> RunEvaluation:
    """Localize with every stage, score the detections, and write it all into the run's folder.

    Raises:
        DuetalError: features of an evaluation video are unreadable or not finite.
    """
    protocol = run.config.data.protocol
    truth = ground_truth(dataset, protocol)
    write_annotations(run.folder.ground_truth_file, truth)
    evaluated = {dataset.annotations.videos[name].subset for name in dataset.evaluation}
    # A video to train on from a table of labels has no subset.
    missing = [
        name
        for name in dataset.missing
        if (video := dataset.annotations.videos[name]).subset in evaluated - {None}
        and video.segments
    ]
    classes = tuple(run.model.classes)

    def judge(video: Localized) -> diagnostics.Hits:
        return diagnostics.snippet_hits(
            video.scores.snippets, dataset.on_grid(truth.videos[video.name]), classes, dataset.grid
        )

    stages, found = [], schema.Diagnostics(pseudo_labels=_diagnose_pseudo_labels(run, dataset))
    for stage in run.model.evaluated_stages():
        detections, hits = localize_stage(run, dataset, stage, fabric, progress, judge)
        evaluation = evaluate(detections, truth, protocol)
        notes = (*evaluation.notes, *limit_notes(detections, run.config))
        if missing:
            notes += (f"{len(missing):,} evaluation videos have no features and are left out",)
        evaluation = evaluation.model_copy(update={"notes": notes})
        stages.append(schema.StageScores.model_validate({**_names(run, stage), **dict(evaluation)}))
        found.stages[stage] = diagnostics.snippet_scores(np.sum(hits, axis=0))
        averages = ", ".join(f"{n} {100 * v:.2f}" for n, v in evaluation.averages.items())
        run.folder.log(f"{run.model.title_of(stage)}: mAP (%) under {protocol}: {averages}")
    _write_score_index(run, dataset)
    result = RunEvaluation(
        protocol=protocol,
        selection=run.model.selection,
        trained_on=run.model.trained_on,
        simulated=is_simulated(dataset),
        stages=stages,
        diagnostics=found,
    )
    result.write(run.folder.evaluation_file)
    return result


def _diagnose_pseudo_labels(run: Run, dataset: Dataset) -> dict[str, schema.PseudoLabelScores]:
    """Compare pseudo-labels with the training videos' segments, where they are known."""
    known = {
        name: dataset.on_grid(video)
        for name in dataset.training
        if (video := dataset.annotations.videos.get(name)) is not None and video.segments
    }
    classes = tuple(run.model.classes)
    return {
        phase.name: diagnostics.pseudo_label_scores(
            diagnostics.read_pseudo_labels(path), known, classes, dataset.grid
        )
        for phase in run.model.phases
        if known and (path := run.folder.pseudo_labels(phase.name)).is_file()
    }


def run_label_evaluation(
    run: Run, dataset: Dataset, fabric: Fabric, progress: Progress
) -> LabelEvaluation | None:
    """How well a run ranks videos by label, computed unless it is there; None without labels.

    Raises:
        DuetalError: features of a held-out video are unreadable or not finite, or
            `label_evaluation.json` is damaged.
    """
    if not has_labels(dataset):
        return None
    file = run.folder.label_evaluation_file
    if is_evaluated(run, file):
        found = LabelEvaluation.read(file)
        if tuple(found.videos) == dataset.evaluation:
            return found
    known = [set(dataset.annotations.videos[name].labels) for name in dataset.evaluation]
    labels = np.array([[label in video for label in run.model.classes] for video in known])
    found = LabelEvaluation(
        selection=run.model.selection,
        trained_on=run.model.trained_on,
        videos=list(dataset.evaluation),
        chance=fmean(chance_ap(int(n), len(labels)) for n in labels.sum(axis=0) if n),
        stages=[
            _rank_by_label(run, dataset, stage, labels, fabric, progress)
            for stage in run.model.evaluated_stages()
        ],
    )
    _write_score_index(run, dataset)
    found.write(file)
    return found


def measure(
    run: Run, dataset: Dataset, fabric: Fabric, progress: Progress
) -> RunEvaluation | LabelEvaluation | tuple[str, ...]:
    """Measure a run as well as the dataset allows: by segments, by labels, or not at all.

    The first process of `fabric` calls this, while the others are in `help_to_measure`.

    Returns:
        The scores; or the videos that were localized, where nothing can be measured.

    Raises:
        DuetalError: as `run_evaluation` and `run_label_evaluation`.
    """
    how = (run, dataset, fabric, progress)
    found = run_evaluation(*how) or run_label_evaluation(*how) or localize_unmeasured(*how)
    announce(fabric, None)
    return found


def help_to_measure(folder: RunFolder, dataset: Dataset, fabric: Fabric) -> None:
    """What the other processes do while the first measures: localize their share of each stage."""
    while (job := announced(fabric)) is not None:
        stage, names = job
        run = open_run(folder.path)
        stages = run.model.evaluated_stages()[stage]
        localize(run, dataset, names, stages=stages, device=fabric.device, fabric=fabric)


def localize_unmeasured(
    run: Run, dataset: Dataset, fabric: Fabric, progress: Progress
) -> tuple[str, ...]:
    """The detections of every stage where nothing can be measured, unless they are there.

    They are of the evaluation videos or, where there are none, the training videos, whose names are
    returned.

    Raises:
        DuetalError: features of a video are unreadable or not finite.
    """
    names = dataset.evaluation or dataset.training
    if not is_evaluated(run):
        for stage in run.model.evaluated_stages():
            localize_stage(run, dataset, stage, fabric, progress, lambda video: None, names)
        _write_score_index(run, dataset)
    return names


def chance_ap(positives: int, videos: int) -> float:
    """The average precision that a random ranking has, on average.

    Precision at a rank k that holds a positive is (1 + (k - 1)(R - 1)/(N - 1))/k on average, for R
    positives among N; the mean over all ranks is (H + (R - 1)/(N - 1)·(N - H))/N, with H the N-th
    harmonic number.
    """
    harmonic = sum(1 / k for k in range(1, videos + 1))
    others = (positives - 1) / (videos - 1) if videos > 1 else 0.0
    return (harmonic + others * (videos - harmonic)) / videos


def _rank_by_label(
    run: Run,
    dataset: Dataset,
    stage: str,
    labels: NDArray[np.bool_],
    fabric: Fabric,
    progress: Progress,
) -> schema.LabelScores:
    _, rows = localize_stage(run, dataset, stage, fabric, progress, lambda v: v.scores.video)
    scores = np.stack(rows)
    per_class = {
        label: video_mean_ap(scores[:, [column]], labels[:, [column]])
        for column, label in enumerate(run.model.classes)
        if labels[:, column].any()
    }
    first = labels[np.arange(len(labels)), scores.argmax(axis=1)][labels.any(axis=1)]
    names = _names(run, stage)
    found = schema.LabelScores(**names, per_class=per_class, first_right=float(first.mean()))
    mean_ap = f"{100 * found.mean_ap:.2f}"
    run.folder.log(f"{found.title}: mAP (%) of the labels of held-out videos: {mean_ap}")
    return found


def _names(run: Run, stage: str) -> dict[str, str]:
    """The stage, its title and its branch, as records of scores name them."""
    branch = schema.ENSEMBLE if stage == schema.ENSEMBLE else run.model.stage(stage).branch
    return {"stage": stage, "title": run.model.title_of(stage), "branch": branch}


def is_evaluated(run: Run, *results: Path) -> bool:
    """Whether results, detections of all stages and scores of the final branches are there."""
    folder = run.folder
    files = [*results, folder.score_index_file]
    files += [folder.scores(branch.name) for branch in run.model.branches]
    files += [folder.detections(stage) for stage in run.model.evaluated_stages()]
    return all(file.is_file() for file in files)


def localize_stage(
    run: Run,
    dataset: Dataset,
    stage: str,
    fabric: Fabric,
    progress: Progress,
    judge: Callable[[Localized], Judgement],
    names: Sequence[str] | None = None,
) -> tuple[Detections, list[Judgement]]:
    """Localize the evaluation videos, or the named ones, with a stage; write its detections.

    Of a final branch the scores of snippets and videos are written too: `duetal.localize_scores`
    finds the same in them. `stage` is one of
    `ModelRecord.evaluated_stages`. What `judge` makes of each video is returned too.
    """
    stages = run.model.evaluated_stages()
    members, before = stages[stage], list(stages).index(stage)
    title = run.model.title_of(stage)
    keep = stage in run.model.finals()
    snippets: dict[str, NDArray[np.float32]] = {}
    videos: dict[str, NDArray[np.float32]] = {}
    judgements: list[Judgement] = []

    def take(video: Localized) -> None:
        judgements.append(judge(video))
        if keep:
            snippets[video.name] = video.scores.snippets.astype(np.float32)
            videos[video.name] = video.scores.video.astype(np.float32)

    names = dataset.evaluation if names is None else names
    announce(fabric, (stage, names))
    detections = localize(
        run,
        dataset,
        names,
        stages=members,
        device=fabric.device,
        fabric=fabric,
        on_video=take,
        progress=lambda _, done, total: progress(
            f"evaluating {title}", before * total + done, len(stages) * total
        ),
    )
    if keep:
        branch, folder = run.model.stage(stage).branch, run.folder
        for path, scores in (
            (folder.scores(branch), snippets),
            (folder.video_scores(branch), videos),
        ):
            with replacing(path) as temporary:
                save_file(scores, temporary)
    about = {"selection": run.model.rule(members), "trained_on": run.model.trained_on}
    about |= {"stage": stage, "duetal": __version__}
    write_detections(run.folder.detections(stage), detections, external_data=about)
    return detections, judgements


def _write_score_index(run: Run, dataset: Dataset) -> None:
    """Write the classes, the grid and the branches of the kept scores."""
    names = (*dataset.training, *dataset.evaluation)
    index = schema.ScoreIndex(
        classes=run.model.classes,
        grid=run.model.grid,
        branches=[branch.name for branch in run.model.branches],
        offsets={name: offset for name in names if (offset := dataset.offset(name))},
    )
    index.write(run.folder.score_index_file)
