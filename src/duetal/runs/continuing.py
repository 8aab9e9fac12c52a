"""`duetal train --from RUN`: training that starts from the weights of a finished run."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import geometric_mean

import torch
from torch import Tensor

from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.core.weak_videos import WeakVideos
from duetal.method.branches import Branch, LoadText
from duetal.method.layers import BranchNetwork
from duetal.method.loop import Method
from duetal.method.method_settings import MethodSettings
from duetal.method.schedule import Phase, ScheduleSettings
from duetal.results import checkpoints
from duetal.results.folder import RunFolder
from duetal.runs.resolving import resolve_config
from duetal.runs.run import Run, open_data, open_run, read_config


def continued_config(start: Path, overrides: Sequence[str], folder: RunFolder) -> Config:
    """The settings of a run in a folder that goes on from another, changed by `key=value` words.

    Nothing is chosen anew. A class that the other run did not have is pooled as its classes are on
    average.

    Raises:
        DuetalError: the other run is not there or not finished.
        UsageError: as `resolve_config`; another seed, from which its prompts did not start; a run
            whose backbones were trained.
    """
    run = open_run(start)
    if run.config.backbone.train is not None:
        cause = "--from: its backbones were trained too, and those cannot be gone on from"
        raise UsageError(cause, file=start)
    words = [f"start_from={start.absolute()}", "tuning.choose=[]", *overrides]
    config = resolve_config(str(run.folder.config_file), words)
    if config.schedule.seed != run.config.schedule.seed:
        cause = f"--from keeps that of the run, {run.config.schedule.seed}"
        raise UsageError(cause, place="schedule.seed")
    ratios = config.losses.class_ratios
    if ratios is None or ratios != run.config.losses.class_ratios:
        return config
    if folder.config_file.is_file():
        return config.replace(class_ratios=read_config(folder).losses.class_ratios)
    known = dict(zip(run.model.classes, ratios, strict=True))
    classes = open_data(config).classes
    mean = round(geometric_mean(ratios), 2)
    return config.replace(class_ratios=tuple(known.get(name, mean) for name in classes))


def continued(config: Config, method: Method) -> Method:
    """The method, with branches that begin as those of `data.start_from` ended, if that is set."""
    if config.data.start_from is None:
        return method
    run = open_run(Path(config.data.start_from))
    known = {branch.name for branch in run.model.branches}
    branches = tuple(
        replace(b, build=partial(_build, b, run)) if b.name in known else b for b in method.branches
    )

    def schedule(settings: ScheduleSettings, streams: Collection[str]) -> list[Phase]:
        return [
            p if p.epochs else replace(p, stage_title=f"{method.branch(p.student).title} before")
            for p in method.schedule(settings, streams)
        ]

    return replace(method, branches=branches, schedule=schedule)


def _build(
    branch: Branch, run: Run, settings: MethodSettings, videos: WeakVideos, load_text: LoadText
) -> BranchNetwork:
    """A branch with the weights of a run; what the run's classes lack is as it is built."""
    network = branch.build(settings, videos, load_text)
    path = run.folder.checkpoint(run.model.branch(branch.name).final)
    before = checkpoints.load(path).tensors
    old = [i for i, name in enumerate(run.model.classes) if name in videos.classes]
    new = [videos.classes.index(run.model.classes[i]) for i in old]
    axes = _class_axes(branch, settings, videos.streams[branch.name].dim)
    merged = dict(before)
    for name, own in network.state_dict().items():
        axis = axes.get(name)
        if axis is not None and name in before:
            rows = before[name].index_select(axis, torch.tensor(old, dtype=torch.long))
            if _others(rows, axis) == _others(own, axis):
                places = torch.tensor(new, dtype=torch.long, device=own.device)
                merged[name] = own.clone().index_copy(axis, places, rows.to(own.device))
    try:
        checkpoints.load_into(network, merged, path)
    except DuetalError as error:
        cause = f"--from: {error.cause}; the settings of the networks are those of the run"
        raise DuetalError(cause, file=error.file, place=error.place) from error
    return network


def _class_axes(branch: Branch, settings: MethodSettings, dim: int) -> dict[str, int]:
    """The axis of each tensor of a branch that has an entry for each class."""
    few, more = (branch.for_inference(settings, dim, k).state_dict() for k in (2, 3))
    pairs = ((name, few[name].shape, more[name].shape) for name in few)
    return {
        name: next(axis for axis, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
        for name, one, two in pairs
        if one != two
    }


def _others(tensor: Tensor, axis: int) -> list[int]:
    return [size for number, size in enumerate(tensor.shape) if number != axis]
