"""Training a run from its settings, up to the choice of its checkpoints."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np
from lightning_fabric import Fabric
from rich.progress import TimeElapsedColumn

from duetal import __version__
from duetal.backbones.class_embeddings import load_text
from duetal.config import Config
from duetal.core.bars import LiveProgress
from duetal.core.console import PlainConsole
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import read_json, read_text, remove_unfinished, write_text
from duetal.core.known_times import LabelUse
from duetal.core.url_paths import as_path
from duetal.core.weak_videos import WeakVideos
from duetal.datasets import Dataset
from duetal.datasets.layouts import find_pieces, looked_for
from duetal.datasets.problems import OnProblem, raise_fatal
from duetal.end_to_end.backbone_plan import open_backbones, plan_backbones
from duetal.end_to_end.stage_features import with_tuned
from duetal.extraction.store import recorded_settings
from duetal.method.loop import Method, alternate
from duetal.method.losses import VideoLoss
from duetal.method.online import train_online
from duetal.method.sampling import steps_per_epoch
from duetal.method.schedule import Selection, TrainingMode
from duetal.method.trainable_backbone import TrainableBackbone
from duetal.results import schema
from duetal.results.folder import RunFolder
from duetal.results.schema import ModelRecord
from duetal.runs import selection
from duetal.runs.asynchronous import train_async
from duetal.runs.class_splits import with_seen_classes
from duetal.runs.continuing import continued
from duetal.runs.detector_stage import train_detector, with_detector
from duetal.runs.environment import collect
from duetal.runs.growing import GrowingVideos, as_begun
from duetal.runs.journal import Journal
from duetal.runs.processes import require_agreement
from duetal.runs.recorder import Recorder, recorded_position
from duetal.runs.run import Run, begin, open_data, read_config
from duetal.runs.run_evaluation import (
    evaluation_seconds,
    has_labels,
    has_segments,
    is_simulated,
)
from duetal.runs.stage_scoring import branch_scorer, features_of, final_weights, restore
from duetal.tuning import tune
from duetal.tuning.held_out import hold_out, video_mean_ap


def open_for_training(
    config: Config,
    method: Method | None = None,
    report: OnProblem = raise_fatal,
    folder: RunFolder | None = None,
) -> Dataset:
    """Open a run's dataset, and find now what would otherwise stop the run hours later.

    `folder` is that of the run, which may know more training videos. `report` takes what is wrong
    with the dataset and can be lived with; it raises what is fatal.

    Raises:
        DuetalError: no training video, a class without one, no times where `labels.use` asks for
            some, no features of a branch that the settings name; a text encoder that can't be
            loaded or does not fit the features, a class's name too long for it; features of a
            video to be evaluated on that can't be opened.
        UsageError: settings of a branch that do not fit the features.
    """
    dataset = _opened(config, report)
    if folder is not None:
        dataset = as_begun(dataset, folder)
    videos, _ = training_videos(config, dataset)
    if len(videos.classes) == 1 and config.losses.video_loss is VideoLoss.SOFTMAX:
        cause = f"softmax over one class ({videos.classes[0]!r}) is 1 everywhere; use bce"
        raise UsageError(cause, place="losses.video_loss")
    if config.labels.use is not LabelUse.VIDEO and not videos.times:
        cause = f"no training video has {config.labels.use}, which labels.use asks for; "
        raise DuetalError(f"{cause}labels.use=video trains on labels alone", file=dataset.source)
    plan_backbones(config.backbone, dataset)
    method = method or Method()
    for name in dict.fromkeys(p.student for p in method.schedule(config.schedule, videos.streams)):
        method.branch(name).check(config, videos, load_text)
    if has_segments(dataset) or has_labels(dataset):
        for name in dataset.evaluation:
            dataset.length(name)
    return dataset


def _opened(config: Config, report: OnProblem = raise_fatal) -> Dataset:
    """The dataset with the branches and the classes that the settings train."""
    return with_seen_classes(_with_branches(open_data(config, report), config), config)


def _growing(config: Config, folder: RunFolder) -> GrowingVideos:
    """The training videos of a run whose dataset may grow."""
    data = config.data
    assert data.dataset is not None
    return GrowingVideos(
        folder,
        partial(_opened, config),
        partial(find_pieces, as_path(data.dataset), data.choice),
        lambda dataset: training_videos(config, dataset)[0],
        folder.log,
    )


def _with_branches(dataset: Dataset, config: Config) -> Dataset:
    """The dataset with the features of the branches that the settings name."""
    names = config.data.branches
    if names is None:
        return dataset
    for name in names:
        if name not in dataset.streams:
            others = ",".join(other for other in names if other in dataset.streams)
            cause = (
                f"no {name} features, and the settings train {' and '.join(names)}; looked for: "
            )
            cause += f"{looked_for(name)}; branches=[{others}] trains without"
            raise DuetalError(cause, file=dataset.source)
    return replace(dataset, streams={name: dataset.streams[name] for name in names})


def train(
    fabric: Fabric,
    config: Config,
    dataset: Dataset,
    folder: RunFolder,
    method: Method | None = None,
) -> bool:
    """Train a run, or what is left of it, and choose its final checkpoints.

    All processes of `fabric` call this. `dataset` is the result of `open_for_training`, `method`
    the branches, losses and schedule, where they are not the paper's.

    Returns:
        Whether anything was left to train.

    Raises:
        DuetalError: bad features, a non-finite loss, a checkpoint that does not fit.
    """
    if folder.model_file.is_file():
        return False
    method = continued(config, method or Method())
    videos, held_out = training_videos(config, dataset)
    growing = None
    # Several processes would have to see the same change at the same time.
    if _is_online(config, videos, method) and held_out is None and fabric.world_size == 1:
        growing = _growing(config, folder)
        videos, dataset = growing.videos, growing.dataset
    data = "" if growing else videos.fingerprint()
    require_agreement(fabric, "training videos", data[:12])
    config = _settle(fabric, config, videos, folder, method)
    after = 0.0
    if fabric.is_global_zero:
        begin(folder, config, data)
        _log_other_machine(folder)
        after = evaluation_seconds(config, dataset, method, fabric.device)
    fabric.barrier()
    _require_seen(folder)
    with open_journal(fabric, config, videos, folder, method, after) as journal:
        backbones = _backbones(fabric, config, dataset, videos, journal)
        train_phases(fabric, config, videos, folder, method, journal, backbones, growing)
        if growing:
            videos, dataset = growing.videos, growing.dataset
        if fabric.is_global_zero:
            model = _model_record(config, dataset, videos, method)
            if held_out is not None:
                run = Run(folder, config, model, method)
                model = _choose_on_held_out(fabric, run, dataset, held_out)
            model = _with_tuned(Run(folder, config, model, method))
            model = with_detector(model, config)
            run = Run(folder, config, model, method)
            train_detector(fabric, run, dataset, videos, journal)
            model.write(folder.model_file)
    return True


def _require_seen(folder: RunFolder) -> None:
    """Check that this process sees the folder, in which the first has begun; DuetalError if not."""
    # Of a network file system another machine may know an older state for a while.
    deadline = time.monotonic() + 60
    while not folder.config_file.is_file():
        if time.monotonic() > deadline:
            cause = f"on {socket.gethostname()} not the folder that the first process writes"
            raise DuetalError(f"{cause}: all machines need the same one", file=folder.path)
        time.sleep(0.2)


def _settle(
    fabric: Fabric, config: Config, videos: WeakVideos, folder: RunFolder, method: Method
) -> Config:
    """The settings with those that are to be chosen: now, or when the run or another seed began."""
    if not config.tuning.choose:
        return config
    is_first = fabric.is_global_zero
    before = _chosen_before(config, folder)
    if before is not None:
        if is_first and before != folder:
            write_text(folder.choices_file, read_text(before.choices_file))
            folder.log(f"auto: the settings are those that were chosen for {before.path}")
        begun = read_config(before)
        places = (name.split(".") for name in config.tuning.choose)
        return config.replace(
            **{f"{at}.{name}": getattr(getattr(begun, at), name) for at, name in places}
        )
    if is_first:
        folder.path.mkdir(parents=True, exist_ok=True)
    with LiveProgress(PlainConsole() if is_first else None, TimeElapsedColumn()) as progress:
        if progress.bars is not None:
            progress.bars.add_task("choosing settings", total=None)

        def notify(line: str) -> None:
            if is_first:
                folder.log(line)
                progress.print(line)

        config, choices = tune(fabric, config, videos, load_text, method, notify)
    if is_first:
        schema.ChoiceFile(choices=choices).write(folder.choices_file)
    return config


def _chosen_before(config: Config, folder: RunFolder) -> RunFolder | None:
    """The folder of this run, or of another seed with the same settings, where one was begun."""
    if folder.config_file.is_file():
        return folder
    several = RunFolder(folder.path.parent)
    free = {*config.tuning.choose, "schedule.seed"}
    for other in map(several.of_seed, several.seeds()):
        is_chosen = other.config_file.is_file() and other.choices_file.is_file()
        if is_chosen and not config.differences(read_config(other), free):
            return other
    return None


def open_journal(
    fabric: Fabric,
    config: Config,
    videos: WeakVideos,
    folder: RunFolder,
    method: Method,
    after: float = 0.0,
) -> Journal:
    """The journal of all that is trained, up to the last checkpoint; to be entered.

    `after` are the seconds that the evaluation will take. What a kill left unfinished is removed.
    """
    count = len(videos.names)
    epochs = sum(phase.epochs for phase in method.schedule(config.schedule, videos.streams))
    steps = epochs * steps_per_epoch(count, config.data)
    steps += config.detector.rounds * config.detector.updates(count)
    is_first, tensorboard = fabric.is_global_zero, config.machine.tensorboard
    if is_first:
        remove_unfinished(folder.path)
    journal = Journal(folder.path, steps, after=after, active=is_first, tensorboard=tensorboard)
    journal.rewind(recorded_position(folder))
    return journal


def train_phases(
    fabric: Fabric,
    config: Config,
    videos: WeakVideos,
    folder: RunFolder,
    method: Method,
    journal: Journal,
    backbones: Mapping[str, TrainableBackbone] = MappingProxyType({}),
    growing: GrowingVideos | None = None,
) -> None:
    """Train the phases that are left, with checkpoints; raises as `train`."""
    is_online = _is_online(config, videos, method)
    read_videos = growing or (lambda: videos)
    if growing:
        growing.notify = journal.log
    if is_online and config.schedule.mode is TrainingMode.ASYNC:
        own = partial(_growing, config, folder) if growing else partial(_constant, videos)
        train_async(fabric, config, read_videos, own, folder, journal, method)
        return
    recorder = Recorder(fabric, config, videos, folder, journal)
    if is_online:
        train_online(fabric, config, read_videos, load_text, recorder, method)
    else:
        alternate(fabric, config, videos, load_text, recorder, method, backbones)


def _backbones(
    fabric: Fabric, config: Config, dataset: Dataset, videos: WeakVideos, journal: Journal
) -> Mapping[str, TrainableBackbone]:
    """The backbones that are trained, by branch."""
    plan = plan_backbones(config.backbone, dataset)
    if plan is None:
        return {}
    journal.log("decoding frames for the backbones, of the videos that have none yet")
    folder, seed = journal.folder, config.schedule.seed
    found = open_backbones(plan, fabric, videos.names, folder.tuned, seed)
    for branch, backbone in found.items():
        count = sum(parameter.numel() for parameter in backbone.parameters())
        journal.log(f"{branch}: {count:,} weights of its backbones are trained with it")
    return found


def _with_tuned(run: Run) -> ModelRecord:
    """The record of a run, whose features are made by the backbones that it has trained."""
    features = run.model.features and with_tuned(run.model.features, final_weights(run))
    return run.model.model_copy(update={"features": features})


def _is_online(config: Config, videos: WeakVideos, method: Method) -> bool:
    """Whether branches train side by side."""
    phases = method.schedule(config.schedule, videos.streams)
    return any(phase.untaught is not None for phase in phases)


def _constant(videos: WeakVideos) -> Callable[[], WeakVideos]:
    """What reads training videos that stay as they are."""
    return lambda: videos


def training_videos(config: Config, dataset: Dataset) -> tuple[WeakVideos, WeakVideos | None]:
    """The videos to train on, and those held out for the choice of a checkpoint.

    Raises:
        DuetalError: no training video, or a class without one.
    """
    videos = dataset.weak(config.labels.use)
    if config.data.text_encoder is not None:
        videos = replace(videos, text_encoder=config.data.text_encoder)
    if config.schedule.selection is Selection.HELDOUT:
        return hold_out(videos, config.schedule.heldout_fraction, config.schedule.seed)
    return videos, None


def _model_record(
    config: Config, dataset: Dataset, videos: WeakVideos, method: Method
) -> ModelRecord:
    """What a trained run holds; of each branch the last checkpoint is used."""
    phases = method.schedule(config.schedule, videos.streams)
    stages = [
        schema.StageRecord(name=p.stage, title=p.stage_title, branch=p.student, phase=p.name)
        for p in phases
    ]
    final = selection.last_stages(stages)
    return ModelRecord(
        duetal=__version__,
        classes=list(videos.classes),
        display_names=dict(videos.display_names),
        grid=videos.grid,
        text_encoder=videos.text_encoder,
        branches=[
            schema.BranchRecord(
                name=b.name, title=b.title, dim=videos.streams[b.name].dim, final=final[b.name]
            )
            for b in method.branches
            if b.name in final
        ],
        phases=[schema.PhaseRecord.model_validate(phase, from_attributes=True) for phase in phases],
        stages=stages,
        selection=selection.LAST_RULE,
        training_videos=len(videos.names),
        labels=_training_labels(config, videos),
        simulated=is_simulated(dataset),
        features=recorded_settings(list(dataset.streams.values())),
    )


def _training_labels(config: Config, videos: WeakVideos) -> schema.TrainingLabels:
    """What the videos are labelled with, counted."""
    times = [videos.times[name] for name in videos.names if name in videos.times]
    return schema.TrainingLabels(
        use=config.labels.use,
        videos=int(videos.labels.sum()),
        points=sum(len(one.points) for one in times),
        segments=sum(len(one.segments) for one in times),
    )


def _choose_on_held_out(
    fabric: Fabric, run: Run, dataset: Dataset, held_out: WeakVideos
) -> ModelRecord:
    """Use of each branch the checkpoint that ranks held-out videos best by their labels."""
    mean_ap = {}
    for stage in run.model.stages:
        network = restore(run, stage.name).to(fabric.device)
        stream = features_of(run, stage.name, dataset)
        score = branch_scorer(network, stream, stage.branch, run.config, fabric.device)
        scores = np.stack([score(name).video for name in held_out.names])
        mean_ap[stage.name] = video_mean_ap(scores, held_out.labels)
    final = selection.best_stages(run.model.stages, mean_ap)
    branches = [b.model_copy(update={"final": final[b.name]}) for b in run.model.branches]
    return run.model.model_copy(
        update={
            "branches": branches,
            "selection": selection.HELDOUT_RULE.format(len(held_out.names)),
            "heldout": schema.Heldout(videos=list(held_out.names), mean_ap=mean_ap),
        }
    )


def _log_other_machine(folder: RunFolder) -> None:
    """Log where a resumed run goes on, if that may change the last bits of its weights."""
    environment, now = read_json(folder.environment_file), collect()["torch"]
    before = environment.get("torch") if isinstance(environment, dict) else None
    changed = [
        f"{key} {was!r}, now {now.get(key)!r}"
        for key, was in (before.items() if isinstance(before, dict) else ())
        if was != now.get(key)
    ]
    if changed:
        folder.log(f"another machine than before, weights may differ: {'; '.join(changed)}")
