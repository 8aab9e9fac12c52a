"""Scores of whole videos: what a branch, or both together, says of one video."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.config import Config, EnsembleMean, VideoLoss
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.datasets import Dataset
from duetal.features.streams import FeatureStream
from duetal.localization.ensemble import combine_branches
from duetal.localization.settings import EnsembleSettings
from duetal.model.scoring import probabilities, score_video, video_probabilities
from duetal.runs.folder import Run
from duetal.runs.stages import branch_of
from duetal.training.branches import restore_cbp, restore_vlp


@dataclass(frozen=True)
class VideoScores:
    """What is said of one video.

    Args:
        snippets: (T, K) probability of each class at each snippet.
        video: (K,) probability that the video contains each class.
        branches: `snippets` of each branch that had a say, by its name.
    """

    snippets: NDArray[np.floating]
    video: NDArray[np.floating]
    branches: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


#: Scores a video by its name.
Scorer = Callable[[str], VideoScores]


def branch_scorer(
    branch: torch.nn.Module, stream: FeatureStream, config: Config, device: torch.device | str
) -> Scorer:
    """Score videos with a branch, each by itself and in windows.

    So a score depends on its video alone, and memory on the window alone.

    Args:
        branch: in eval mode, on the device.
        stream: the features that it reads.
        config: the run's settings.
        device: where to compute.
    """

    def score(name: str) -> VideoScores:
        logits = score_video(
            branch,
            lambda start, stop: stream.read(name, start, stop),
            stream.length(name),
            config.crop,
            device,
        )
        video = video_probabilities(
            logits, config.topk_divisor, softmax=config.video_loss is VideoLoss.SOFTMAX
        )
        return VideoScores(probabilities(logits), video)

    return score


def stage_scorer(run: Run, stages: list[str], dataset: Dataset, device: torch.device) -> Scorer:
    """Score videos with one checkpoint of a run, or with the ensemble of two.

    Args:
        run: a trained run.
        stages: one checkpoint; or one of CBP and one of VLP.
        dataset: whose videos will be scored.
        device: where to compute.

    Raises:
        DuetalError: a checkpoint that is damaged, does not fit, or gives scores that are not
            finite; features of another width or time grid than those it was trained on.
    """
    scorers = []
    for stage in stages:
        stream = _fitting_stream(run, branch_of(stage), dataset)
        branch = restore(run, stage).to(device)
        scorer = branch_scorer(branch, stream, run.config, device)
        finite = _refuse_non_finite(scorer, run.folder.checkpoint(stage))
        scorers.append(_by_branch(finite, branch_of(stage)))
    if len(scorers) == 1:
        return scorers[0]
    cbp, vlp = scorers
    log_odds = run.config.ensemble_mean is EnsembleMean.LOG_ODDS
    settings = EnsembleSettings(
        vlp_weight=run.config.ensemble_weight, normalization="log_odds" if log_odds else "none"
    )

    def score(name: str) -> VideoScores:
        first, second = cbp(name), vlp(name)
        return VideoScores(
            combine_branches(first.snippets, second.snippets, settings, name=name),
            combine_branches(first.video, second.video, settings, name=name),
            {**first.branches, **second.branches},
        )

    return score


def _by_branch(scorer: Scorer, branch: str) -> Scorer:
    """The same scores, which also say whose they are."""

    def score(name: str) -> VideoScores:
        scores = scorer(name)
        return replace(scores, branches={branch: scores.snippets})

    return score


def _refuse_non_finite(scorer: Scorer, checkpoint: Path) -> Scorer:
    """The same scores; where they are NaN, an error that names the weights: features are finite."""

    def score(name: str) -> VideoScores:
        scores = scorer(name)
        if not np.isfinite(scores.snippets).all():
            cause = f"its weights give video {name!r} scores that are not finite; training diverged"
            raise DuetalError(cause, file=checkpoint)
        return scores

    return score


def restore(run: Run, stage: str) -> torch.nn.Module:
    """A checkpoint's branch, in eval mode. VLP needs no text encoder: it keeps its text features.

    Raises:
        DuetalError: the checkpoint is missing, damaged or of another configuration.
    """
    path, channels = run.folder.checkpoint(stage), run.model.channels
    classes = len(run.model.classes)
    if branch_of(stage) == "cbp":
        return restore_cbp(run.config, path, channels.cbp, classes)
    assert channels.vlp is not None
    branch = restore_vlp(run.config, path, channels.vlp)
    text = tuple(branch.text().shape)
    if text != (classes, channels.vlp):
        cause = f"checkpoint of another configuration: text features of shape {text}, expected "
        raise DuetalError(f"{cause}{(classes, channels.vlp)}", file=path, place="text.features")
    return branch


def _fitting_stream(run: Run, branch: str, dataset: Dataset) -> FeatureStream:
    """The dataset's features for a branch, found to be of the kind it was trained on."""
    stream = dataset.cbp if branch == "cbp" else dataset.vlp
    width = run.model.channels.cbp if branch == "cbp" else run.model.channels.vlp
    if stream is None:
        raise DuetalError("has no VLP features, which the VLP branch reads", file=dataset.source)
    if stream.dim != width:
        cause = f"{branch} features have C = {stream.dim}; the run was trained on C = {width}"
        raise DuetalError(cause, file=stream.path(stream.names()[0]))
    grid = run.model.grid.grid()
    if dataset.grid != grid:
        raise DuetalError(
            f"features of {_words(dataset.grid)}; the run was trained on {_words(grid)}",
            file=dataset.source,
        )
    return stream


def _words(grid: TimeGrid) -> str:
    return f"{grid.fps:g} frames per second, stride {grid.stride}, window {grid.window}"
