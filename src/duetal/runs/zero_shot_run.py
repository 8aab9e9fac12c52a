"""A run that was never trained: vision-language features, words, and nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from duetal import __version__
from duetal.backbones.class_embeddings import phrase_features
from duetal.config import Config, make_config, read_values
from duetal.core.array_types import Singles
from duetal.core.errors import DuetalError
from duetal.core.weak_videos import FeatureReader, expect_reads, whole_videos
from duetal.method.video_scoring import probabilities, video_probabilities
from duetal.method.zero_shot import firing_cosines, unit
from duetal.results.folder import RunFolder
from duetal.results.schema import BranchRecord, ModelRecord, StageRecord
from duetal.runs.run import Run
from duetal.runs.stage_scoring import Scorer, Videos, VideoScores

BRANCH, STAGE = "vlp", "zero-shot"
UNTRAINED = "nothing was trained: the classes were found by their words alone"
#: How scores become detections here, where it differs from what suits a trained branch. Chosen on
#: the training videos of esc10-scenes (docs/words.md).
LOCALIZATION = {
    "class_threshold": 0.0,
    "scoring": "contrast",
    "margin": 0.5,
    "smoothing": 5,
}


def zero_shot_config(settings: Mapping[str, Any]) -> Config:
    """The settings of a run without training, some of them given; a UsageError for a bad one."""
    source = "settings"
    return make_config(read_values(LOCALIZATION, source) | read_values(settings, source), source)


def zero_shot_run(
    dataset: Videos,
    phrases: Mapping[str, Sequence[str]],
    config: Config,
    text_encoder: str | None = None,
) -> Run:
    """A run that finds classes in a dataset's vision-language features by their words.

    Args:
        dataset: with a stream `vlp`.
        phrases: the phrasings of each class.
        config: of `zero_shot`, `localization` and `vlp.temperature`.
        text_encoder: by default the dataset's own.

    Raises:
        DuetalError: no vision-language features, no text encoder, one that can't be loaded or is of
            another dimension, or words that are too long for it.
    """
    if BRANCH not in dataset.streams:
        cause = "has no vision-language features, which words are compared with"
        raise DuetalError(cause, file=dataset.source)
    source = text_encoder or dataset.text_encoder
    if source is None:
        cause = "names no text encoder of its vision-language features; --text-encoder names it"
        raise DuetalError(cause, file=dataset.source)
    text = phrase_features(source, phrases, config.zero_shot.templates)
    dim = dataset.streams[BRANCH].dim
    if text.shape[1] != dim:
        cause = f"text features have dimension {text.shape[1]}, the vision-language features {dim}"
        raise DuetalError(cause, file=Path(source), place="text encoder")
    branch = BranchRecord(name=BRANCH, title="VLP, zero-shot", dim=dim, final=STAGE)
    model = ModelRecord(
        duetal=__version__,
        classes=list(phrases),
        grid=dataset.grid,
        branches=[branch],
        stages=[StageRecord(name=STAGE, title=branch.title, branch=BRANCH)],
        selection=UNTRAINED,
    )

    def make_scorer(data: Videos, names: Sequence[str], device: torch.device) -> Scorer:
        return zero_shot_scorer(data.streams[BRANCH], names, text, config)

    return Run(RunFolder(dataset.source), config, model, make_scorer=make_scorer)


def zero_shot_scorer(
    stream: FeatureReader, names: Sequence[str], text: Singles, config: Config
) -> Scorer:
    """Score videos by the cosines of their snippets with unit text features (K, D).

    All `names` are read once before any is scored; no label is.
    """
    firing = firing_cosines(stream, names, text, config.zero_shot)
    expect_reads(stream, whole_videos(names))

    def score(name: str) -> VideoScores:
        cosines = unit(stream.read(name)) @ text.T
        logits = ((cosines - firing) / config.vlp.temperature).astype("float32")
        # Not by the ratios that a run may have for each of its own classes.
        video = video_probabilities(logits, config.losses.topk_ratio, softmax=True)
        snippets = probabilities(logits)
        return VideoScores(snippets, video, {BRANCH: snippets})

    return score
