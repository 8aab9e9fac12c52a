"""Training a run from its settings, up to the choice of its checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from duetal import __version__
from duetal.config import Config, Selection
from duetal.core.files import read_json
from duetal.datasets import Dataset, WeakVideos, open_dataset
from duetal.runs.environment import collect
from duetal.runs.evaluate import has_segments, is_simulated
from duetal.runs.folder import Run, RunFolder, begin
from duetal.runs.label_evaluation import has_labels
from duetal.runs.model_record import Channels, GridRecord, Heldout, ModelRecord
from duetal.runs.scoring import branch_scorer, restore
from duetal.runs.selection import (
    LAST_RULE,
    best_stages,
    heldout_rule,
    hold_out,
    last_stages,
    video_mean_ap,
)
from duetal.runs.stages import branch_of
from duetal.runs.video_features import recorded_settings
from duetal.training.alternation import Alternation
from duetal.training.branches import fitting_text_encoder, vlp_branch


def open_for_training(config: Config) -> Dataset:
    """Open a run's dataset, and find now what would otherwise stop the run hours later.

    Raises:
        DuetalError: no training video, a class without one, a text encoder that can't be loaded or
            does not fit the features, a class's name too long for it; features of a video to be
            evaluated on that can't be opened.
        UsageError: settings of the VLP branch that do not fit the features.
    """
    dataset = open_dataset(Path(config.dataset))
    videos, _ = _split(config, dataset)
    if videos.vlp is not None:
        encoder = config.text_encoder or dataset.text_encoder or ""
        text = fitting_text_encoder(config, encoder, videos)
        vlp_branch(config, text, videos.vlp.dim)
    if has_segments(dataset) or has_labels(dataset):
        for name in dataset.evaluation:
            dataset.length(name)
    return dataset


def train(fabric: Fabric, config: Config, dataset: Dataset, folder: RunFolder) -> bool:
    """Train a run, or what is left of it, and choose its final checkpoints.

    Args:
        fabric: device, precision and processes; all of them call this.
        config: the run's settings.
        dataset: what `open_for_training` gave.
        folder: where it lies.

    Returns:
        Whether anything was left to train.

    Raises:
        DuetalError: bad features, a non-finite loss, a checkpoint that does not fit.
    """
    if folder.model_file.is_file():
        return False
    if fabric.is_global_zero:
        begin(folder, config)
        _note_other_machine(folder)
    videos, held_out = _split(config, dataset)
    encoder = config.text_encoder or dataset.text_encoder or ""
    stages = Alternation(fabric, config, videos, folder.path, text_encoder=encoder).run()
    if fabric.is_global_zero:
        model = _choose(fabric, config, folder, stages, videos, held_out)
        model = model.model_copy(update={"simulated": is_simulated(dataset)})
        model.write(folder.model_file)
    return True


def _split(config: Config, dataset: Dataset) -> tuple[WeakVideos, WeakVideos | None]:
    """The videos to train on, and those held out for the choice of a checkpoint."""
    videos = dataset.weak()
    if config.selection is Selection.HELDOUT:
        return hold_out(videos, config.heldout_fraction, config.seed)
    return videos, None


def _choose(
    fabric: Fabric,
    config: Config,
    folder: RunFolder,
    stages: list[str],
    videos: WeakVideos,
    held_out: WeakVideos | None,
) -> ModelRecord:
    vlp = None if videos.vlp is None else videos.vlp.dim
    model = ModelRecord(
        duetal=__version__,
        classes=list(videos.classes),
        display_names=dict(videos.display_names),
        grid=GridRecord.of(videos.grid),
        channels=Channels(cbp=videos.cbp.dim, vlp=vlp),
        stages=stages,
        final=last_stages(stages),
        selection=LAST_RULE,
        training_videos=len(videos.names),
        features=recorded_settings(videos.cbp, videos.vlp),
    )
    if held_out is None:
        return model
    mean_ap = {
        stage: _heldout_mean_ap(fabric, Run(folder, config, model), stage, held_out)
        for stage in stages
    }
    return model.model_copy(
        update={
            "final": best_stages(stages, mean_ap),
            "selection": heldout_rule(len(held_out.names)),
            "heldout": Heldout(videos=list(held_out.names), mean_ap=mean_ap),
        }
    )


def _heldout_mean_ap(fabric: Fabric, run: Run, stage: str, held_out: WeakVideos) -> float:
    """How well a stage tells the labels of videos that it was not trained on."""
    stream = held_out.cbp if branch_of(stage) == "cbp" else held_out.vlp
    assert stream is not None
    branch = restore(run, stage).to(fabric.device)
    score = branch_scorer(branch, stream, run.config, fabric.device)
    return video_mean_ap(np.stack([score(name).video for name in held_out.names]), held_out.labels)


def _note_other_machine(folder: RunFolder) -> None:
    """Log where a resumed run goes on, if that may change the last bits of its weights."""
    before, now = read_json(folder.environment_file), collect()
    changed = [
        f"{key} {was!r}, now {now['torch'].get(key)!r}"
        for key, was in _torch(before).items()
        if was != now["torch"].get(key)
    ]
    if changed:
        folder.log(f"another machine than before, weights may differ: {'; '.join(changed)}")


def _torch(environment: Any) -> dict[str, Any]:
    described = environment.get("torch") if isinstance(environment, dict) else None
    return described if isinstance(described, dict) else {}
