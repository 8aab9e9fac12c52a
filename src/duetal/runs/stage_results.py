"""The detections and scores of a stage in the evaluation videos, kept in the run's folder."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from duetal import __version__
from duetal.core.detections import Detections
from duetal.core.files import replacing
from duetal.datasets import Dataset
from duetal.formats.activitynet import write_detections
from duetal.localization.proposals import assemble
from duetal.results.schema import ENSEMBLE, ScoreIndex
from duetal.runs.localizing import Localized, Progress, localize_videos
from duetal.runs.run import Run
from duetal.runs.stage_scoring import stage_scorer


def branch_of(run: Run, stage: str) -> str:
    """The name of a stage's branch, or "ensemble"."""
    return ENSEMBLE if stage == ENSEMBLE else run.model.stage(stage).branch


def results_are_there(run: Run) -> bool:
    """Whether detections of all stages and scores of the final branches are there."""
    folder = run.folder
    files = [folder.score_index_file, *(folder.scores(b.name) for b in run.model.branches)]
    files += [folder.detections(stage) for stage in run.model.evaluated_stages()]
    return all(file.is_file() for file in files)


def localize_stage(
    run: Run,
    dataset: Dataset,
    stage: str,
    device: torch.device,
    progress: Progress,
    on_video: Callable[[Localized], object],
) -> Detections:
    """Localize the evaluation videos with a stage, and write its detections.

    Of a final branch the snippets' scores are written too.

    Args:
        run: a trained run.
        dataset: the one it was trained on.
        stage: one of `ModelRecord.evaluated_stages`.
        device: where to compute.
        progress: called after every video.
        on_video: called with every video as it is localized.

    Raises:
        DuetalError: features of an evaluation video are unreadable or not finite.
    """
    members = run.model.evaluated_stages()[stage]
    title, classes = run.model.title_of(stage), tuple(run.model.classes)
    scorer = stage_scorer(run, members, dataset, device)
    keep = stage in run.model.finals()
    kept: dict[str, NDArray[np.float16]] = {}
    found = []
    names = dataset.evaluation
    for video in localize_videos(scorer, dataset, names, run.config.localization):
        found.append(video.detections)
        on_video(video)
        if keep:
            kept[video.name] = video.scores.snippets.astype(np.float16)
        progress(f"evaluating {title}", len(found), len(names))
    if keep:
        with replacing(run.folder.scores(branch_of(run, stage))) as temporary:
            save_file(kept, temporary)
    detections = assemble(found, names, classes)
    about = {"selection": run.model.rule(members), "stage": stage, "duetal": __version__}
    write_detections(run.folder.detections(stage), detections, external_data=about)
    return detections


def write_score_index(run: Run) -> None:
    """Write the classes, the grid and the branches of the kept scores."""
    branches = [branch.name for branch in run.model.branches]
    index = ScoreIndex(classes=run.model.classes, grid=run.model.grid, branches=branches)
    index.write(run.folder.score_index_file)
