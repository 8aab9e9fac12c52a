"""Scores of whole videos by one checkpoint of a run, or by the ensemble of several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.config import Config
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import FeatureReader
from duetal.datasets import Dataset
from duetal.features.streams import FeatureStream
from duetal.localization.ensemble import combine_branches
from duetal.method.layers import BranchNetwork
from duetal.method.losses import VideoLoss
from duetal.method.video_scoring import probabilities, score_video, video_probabilities
from duetal.results import checkpoints
from duetal.runs.run import Run


@dataclass(frozen=True)
class VideoScores:
    """Scores of one video.

    Args:
        snippets: (T, K) probability of each class at each snippet.
        video: (K,) probability that the video contains each class.
        branches: `snippets` of each branch that took part, by its name.
    """

    snippets: NDArray[np.floating]
    video: NDArray[np.floating]
    branches: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


#: Scores a video by its name.
Scorer = Callable[[str], VideoScores]


def branch_scorer(
    network: torch.nn.Module,
    stream: FeatureReader,
    branch: str,
    config: Config,
    device: torch.device | str,
) -> Scorer:
    """Score videos with a branch, each by itself and in windows.

    So a score depends on its video alone, and memory on the window alone.

    Args:
        network: in eval mode, on the device.
        stream: the features that it reads.
        branch: its name.
        config: the run's settings.
        device: where to compute.
    """
    softmax = config.losses.video_loss is VideoLoss.SOFTMAX

    def score(name: str) -> VideoScores:
        logits = score_video(network, stream, name, config.data.crop, device)
        video = video_probabilities(logits, config.losses.topk_ratio, softmax=softmax)
        snippets = probabilities(logits)
        return VideoScores(snippets, video, {branch: snippets})

    return score


def stage_scorer(run: Run, stages: list[str], dataset: Dataset, device: torch.device) -> Scorer:
    """Score videos with one checkpoint of a run, or with the ensemble of several.

    Args:
        run: a trained run.
        stages: one checkpoint; or one of each branch.
        dataset: whose videos will be scored.
        device: where to compute.

    Raises:
        DuetalError: a checkpoint that is damaged, does not fit, or gives scores that are not
            finite; features of another dimension or time grid than those it was trained on.
    """
    scorers = []
    for stage in stages:
        branch = run.model.branch_of(stage).name
        stream = _fitting_stream(run, branch, dataset)
        network = restore(run, stage).to(device)
        scorer = branch_scorer(network, stream, branch, run.config, device)
        scorers.append(_refuse_non_finite(scorer, run, stage))
    if len(scorers) == 1:
        return scorers[0]
    settings = run.config.localization

    def score(name: str) -> VideoScores:
        found = [scorer(name) for scorer in scorers]
        branches = {branch: curve for one in found for branch, curve in one.branches.items()}
        videos = dict(zip(branches, (one.video for one in found), strict=True))
        return VideoScores(
            combine_branches(branches, settings, name=name),
            combine_branches(videos, settings, name=name),
            branches,
        )

    return score


def _refuse_non_finite(scorer: Scorer, run: Run, stage: str) -> Scorer:
    """The same scores; where they are NaN, an error that names the weights: features are finite."""

    def score(name: str) -> VideoScores:
        scores = scorer(name)
        if not np.isfinite(scores.snippets).all():
            cause = f"its weights give video {name!r} scores that are not finite; training diverged"
            raise DuetalError(cause, file=run.folder.checkpoint(stage))
        return scores

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


def _fitting_stream(run: Run, branch: str, dataset: Dataset) -> FeatureStream:
    """The dataset's features for a branch, checked against those it was trained on."""
    record = run.model.branch(branch)
    stream = dataset.streams.get(branch)
    if stream is None:
        title = record.title
        raise DuetalError(
            f"has no {title} features, which the {title} branch reads", file=dataset.source
        )
    if stream.dim != record.dim:
        cause = f"{branch} features have C = {stream.dim}; the run was trained on C = {record.dim}"
        raise DuetalError(cause, file=stream.path(stream.names()[0]))
    grid = run.model.grid
    if dataset.grid != grid:
        raise DuetalError(
            f"features of {_describe(dataset.grid)}; the run was trained on {_describe(grid)}",
            file=dataset.source,
        )
    return stream


def _describe(grid: TimeGrid) -> str:
    return f"{grid.fps:g} frames per second, stride {grid.stride}, window {grid.window}"
