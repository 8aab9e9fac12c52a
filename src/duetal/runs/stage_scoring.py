"""Scores of whole videos by one checkpoint of a run, or by the ensemble of several."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.backbones.tuned_weights import TunedWeights
from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import FeatureReader, expect_reads
from duetal.end_to_end.stage_features import stage_stream, tuned_weights
from duetal.features.streams import FeatureStream
from duetal.localization.ensemble import combine_branches
from duetal.localization.proposals import VideoDetections
from duetal.method.layers import BranchNetwork
from duetal.method.losses import classes_compete
from duetal.method.video_scoring import (
    probabilities,
    score_video,
    video_probabilities,
    window_reads,
)
from duetal.results import checkpoints
from duetal.runs.run import Run


@dataclass(frozen=True)
class VideoScores:
    """Scores of one video."""

    #: (T, K) probability of each class at each snippet.
    snippets: NDArray[np.floating]
    #: (K,) probability that the video contains each class.
    video: NDArray[np.floating]
    #: `snippets` of each branch that took part, by its name.
    branches: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    #: `video` of each branch, likewise.
    branch_videos: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


@dataclass(frozen=True)
class Localized:
    """The detections of one video, and its scores."""

    name: str
    scores: VideoScores
    detections: VideoDetections


class Videos(Hashable, Protocol):
    """Videos whose features a run reads: a dataset's, or what has come of a live one."""

    @property
    def source(self) -> Path:
        """Where they come from, for error messages."""

    @property
    def streams(self) -> Mapping[str, FeatureReader]:
        """Features by the name of the branch that reads them."""

    @property
    def grid(self) -> TimeGrid:
        """The time grid of all streams."""

    @property
    def text_encoder(self) -> str | None:
        """That of the vision-language features, where known."""

    def offset(self, name: str) -> float:
        """Seconds at which a video's first snippet begins."""

    def duration(self, name: str) -> float | None:
        """Seconds of a video, where known."""


#: Scores a video by its name.
Scorer = Callable[[str], VideoScores]


def branch_scorer(
    network: BranchNetwork,
    stream: FeatureReader,
    branch: str,
    config: Config,
    device: torch.device | str,
) -> Scorer:
    """Score videos with a branch, each by itself and in windows.

    So a score depends on its video alone, and memory on the window alone. `network` is that of the
    branch, in eval mode and on the device; `stream` has the features that it reads.
    """
    softmax = classes_compete(network, config.losses)
    temperature = float(network.temperature)

    def score(name: str) -> VideoScores:
        logits = score_video(network, stream, name, config.data.crop, device)
        video = video_probabilities(logits, config.losses.pooling, softmax=softmax)
        snippets = probabilities(logits, temperature)
        return VideoScores(snippets, video, {branch: snippets}, {branch: video})

    return score


def stage_scorer(
    run: Run,
    stages: list[str],
    dataset: Videos,
    device: torch.device,
    names: Sequence[str] = (),
) -> Scorer:
    """Score videos of a dataset with one checkpoint of a run, or with one of each branch together.

    `names` are the videos that will be scored, in their order, so that they are read ahead.

    Raises:
        DuetalError: a checkpoint that is damaged, does not fit, or gives scores that are not
            finite; features of another dimension or time grid than those it was trained on.
    """
    scorers: dict[str, Scorer] = {}
    for stage in stages:
        branch = run.model.branch_of(stage).name
        stream = features_of(run, stage, dataset)
        expect_reads(stream, window_reads(stream, names, run.config.data.crop))
        network = restore(run, stage).to(device)
        scorers[stage] = branch_scorer(network, stream, branch, run.config, device)
    settings = run.config.localization

    def score(name: str) -> VideoScores:
        found = [scorer(name) for scorer in scorers.values()]
        for stage, one in zip(scorers, found, strict=True):
            if not np.isfinite(one.snippets).all():
                # Features are finite, so it is the weights.
                cause = f"its weights give video {name!r} scores that are not finite"
                raise DuetalError(f"{cause}; training diverged", file=run.folder.checkpoint(stage))
        if len(found) == 1:
            return found[0]
        branches = {branch: curve for one in found for branch, curve in one.branches.items()}
        videos = dict(zip(branches, (one.video for one in found), strict=True))
        return VideoScores(
            combine_branches(branches, settings, name=name),
            combine_branches(videos, settings, name=name),
            branches,
            videos,
        )

    return score


def restore(run: Run, stage: str) -> BranchNetwork:
    """The network of a checkpoint, in eval mode. It needs no text encoder.

    Raises:
        DuetalError: the checkpoint is missing, damaged or of another configuration.
    """
    branch = run.model.branch_of(stage)
    kind = run.method.branch(branch.name)
    network = kind.for_inference(run.config, branch.dim, len(run.model.classes))
    path = run.folder.checkpoint(stage)
    checkpoints.load_into(network, checkpoints.load(path).tensors, path)
    return network.eval()


def final_weights(run: Run) -> dict[str, TunedWeights]:
    """What the run has trained of each backbone, by the name of its features."""
    if run.config.backbone.train is None:
        return {}
    loaded = (checkpoints.load(run.folder.checkpoint(stage)) for stage in run.model.finals())
    return {name: own for one in loaded for name, own in tuned_weights(one.tensors).items()}


def features_of(run: Run, stage: str, dataset: Videos) -> FeatureReader:
    """The dataset's features as a stage reads them: by the backbone that it was trained with."""
    stream = fitting_stream(run, run.model.branch_of(stage).name, dataset)
    # What is watched live comes from the run's own backbones.
    if run.config.backbone.train is None or not isinstance(stream, FeatureStream):
        return stream
    tensors = checkpoints.load(run.folder.checkpoint(stage)).tensors
    return stage_stream(stream, tensors, run.folder.tuned(stage), stage)


def fitting_stream(run: Run, branch: str, dataset: Videos) -> FeatureReader:
    """The dataset's features for a branch, checked against those it was trained on."""
    record = run.model.branch(branch)
    stream = dataset.streams.get(branch)
    if stream is None:
        cause = f"has no {record.title} features, which the {record.title} branch reads"
        raise DuetalError(cause, file=dataset.source)
    if stream.dim != record.dim:
        cause = f"{branch} features have C = {stream.dim}; the run was trained on C = {record.dim}"
        file = dataset.source
        if isinstance(stream, FeatureStream):
            file = stream.path(stream.names()[0])
        raise DuetalError(cause, file=file)
    grid = run.model.grid
    if dataset.grid != grid:
        cause = f"features of {_describe(dataset.grid)}; the run was trained on {_describe(grid)}"
        raise DuetalError(cause, file=dataset.source)
    return stream


def _describe(grid: TimeGrid) -> str:
    return f"{grid.fps:g} frames per second, stride {grid.stride}, window {grid.window}"
