"""What a stage of a run finds in the evaluation videos, kept in the run's folder."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from duetal import __version__
from duetal.core.detections import Detections
from duetal.core.files import replacing, write_json
from duetal.datasets import Dataset
from duetal.formats.activitynet import write_detections
from duetal.localization.proposals import assemble
from duetal.runs.folder import Run
from duetal.runs.localize import Localized, Progress, localization_settings, localize_videos
from duetal.runs.scoring import stage_scorer
from duetal.runs.stages import ENSEMBLE, branch_of, title_of


def evaluated_stages(run: Run) -> dict[str, list[str]]:
    """Every stage to evaluate, in order, and the checkpoints it takes."""
    stages = {stage: [stage] for stage in run.model.stages}
    if run.model.final.vlp is not None:
        stages[ENSEMBLE] = [run.model.final.cbp, run.model.final.vlp]
    return stages


def stage_title(run: Run, stage: str) -> str:
    """What a table calls a stage of a run."""
    return title_of(stage, two_modalities=run.model.final.vlp is not None)


def results_are_there(run: Run) -> bool:
    """Whether detections of all stages and scores of the final branches are there."""
    folder = run.folder
    finals = [branch_of(stage) for stage in (run.model.final.cbp, run.model.final.vlp) if stage]
    files = [folder.score_index_file, *(folder.scores(branch) for branch in finals)]
    files += [folder.detections(stage) for stage in evaluated_stages(run)]
    return all(file.is_file() for file in files)


def localize_stage(
    run: Run,
    dataset: Dataset,
    stage: str,
    device: torch.device,
    progress: Progress,
    look: Callable[[Localized], object],
) -> Detections:
    """Localize the evaluation videos with a stage, and write its detections.

    Of a final branch the snippets' scores are written too.

    Args:
        run: a trained run.
        dataset: the one it was trained on.
        stage: one of `evaluated_stages`.
        device: where to compute.
        progress: told of every video.
        look: is given every video as it is localized.

    Raises:
        DuetalError: features of an evaluation video are unreadable or not finite.
    """
    members = evaluated_stages(run)[stage]
    title, classes = stage_title(run, stage), tuple(run.model.classes)
    scorer = stage_scorer(run, members, dataset, device)
    settings = localization_settings(run.config)
    keep = stage in (run.model.final.cbp, run.model.final.vlp)
    kept: dict[str, NDArray[np.float16]] = {}
    found = []
    names = dataset.evaluation
    for video in localize_videos(scorer, dataset, names, settings):
        found.append(video.detections)
        look(video)
        if keep:
            kept[video.name] = video.scores.snippets.astype(np.float16)
        progress(f"evaluating {title}", len(found), len(names))
    if keep:
        with replacing(run.folder.scores(branch_of(stage))) as temporary:
            save_file(kept, temporary)
    detections = assemble(found, names, classes)
    about = {"selection": run.model.rule(members), "stage": stage, "duetal": __version__}
    write_detections(run.folder.detections(stage), detections, external_data=about)
    return detections


def write_score_index(run: Run) -> None:
    """Write down which class and time each score is of."""
    index = {"classes": run.model.classes, "grid": run.model.grid.model_dump()}
    write_json(run.folder.score_index_file, index)
