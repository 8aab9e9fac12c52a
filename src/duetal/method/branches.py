"""The branches of the method: an entry in `BRANCHES` each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import FeatureReader, WeakVideos, expect_reads, whole_videos
from duetal.method.cbp import make_cbp
from duetal.method.layers import BranchNetwork
from duetal.method.method_settings import MethodSettings
from duetal.method.sampling import random_seed
from duetal.method.text import FixedText, PromptedTextEncoder, StoredText, TextTower
from duetal.method.vlp import VLPBranch


class LoadText(Protocol):
    """Loads what stands for text: a tower, with the classes tokenized, or their embeddings."""

    def __call__(  # noqa: D102
        self,
        source: str,
        classes: tuple[str, ...],
        *,
        prompts_before: int,
        prompts_after: int,
        display_names: dict[str, str],
    ) -> TextTower | FixedText: ...


@dataclass(frozen=True)
class Branch:
    """One branch. What makes its networks leaves the caller's random state as it is."""

    name: str  # Of the branch, of its features in a dataset, of its section of settings.
    title: str  # In tables and plots.
    #: Makes the untrained network, initialised from the training videos' features.
    build: Callable[[MethodSettings, WeakVideos, LoadText], BranchNetwork]
    #: Makes a network to load a checkpoint into, from the features' dimension C and the classes, K.
    for_inference: Callable[[MethodSettings, int, int], BranchNetwork]
    #: Raises, before any training, the errors of `build` that need no feature to be read.
    check: Callable[[MethodSettings, WeakVideos, LoadText], object] = lambda *_: None


def build_cbp(settings: MethodSettings, videos: WeakVideos, load_text: LoadText) -> BranchNetwork:
    """A CBP branch of random weights."""
    stream = videos.streams["cbp"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed(settings.schedule.seed, "cbp"))
        branch = make_cbp(stream.dim, len(videos.classes), settings.cbp)
    if settings.cbp.feature_normalization:
        branch.standardize(*channel_statistics(videos, stream))
    return branch


def cbp_for_inference(settings: MethodSettings, dim: int, num_classes: int) -> BranchNetwork:
    """A CBP branch to load a checkpoint into."""
    with torch.random.fork_rng(devices=[]):
        return make_cbp(dim, num_classes, settings.cbp)


def channel_statistics(
    videos: WeakVideos, stream: FeatureReader, *, unit: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) of a stream's channels over all training snippets.

    With `unit` they are those of features scaled to norm √C.
    """
    total, squares, count = np.zeros(stream.dim), np.zeros(stream.dim), 0
    expect_reads(stream, whole_videos(videos.names))
    for name in videos.names:
        x = stream.read(name).astype(np.float64)
        if unit:
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            x = x * (stream.dim**0.5 / np.maximum(norm, 1e-12))
        total += x.sum(axis=0)
        squares += (x * x).sum(axis=0)
        count += len(x)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def build_vlp(settings: MethodSettings, videos: WeakVideos, load_text: LoadText) -> BranchNetwork:
    """A VLP branch that is zero-shot CLIP, but for `vlp.zero_shot_start`.

    Raises:
        DuetalError: no text encoder is named, it can't be loaded, its features are of another
            dimension than the stream's, or a class's name is too long.
        UsageError: the number of heads does not divide the dimension of the features.
    """
    branch = vlp_without_bias(settings, videos, load_text)
    stream = videos.streams["vlp"]
    mean, std = channel_statistics(videos, stream, unit=True)
    if settings.vlp.input_normalization:
        branch.standardize(mean, std)
    with torch.no_grad():
        # The mean zero-shot cosine of all training snippets with all classes.
        text = branch.text_features().mean(dim=0).cpu()
        branch.bias.fill_(float(mean @ text) / stream.dim**0.5)
    return branch


def vlp_without_bias(
    settings: MethodSettings, videos: WeakVideos, load_text: LoadText
) -> VLPBranch:
    """A VLP branch that has read no feature yet; errors as of `build_vlp`."""
    with torch.random.fork_rng(devices=[]):
        text = load_prompted_text(settings, videos, load_text)
        torch.manual_seed(random_seed(settings.schedule.seed, "vlp"))
        return VLPBranch(text, videos.streams["vlp"].dim, settings.vlp)


def load_prompted_text(
    settings: MethodSettings, videos: WeakVideos, load_text: LoadText
) -> PromptedTextEncoder | StoredText:
    """The prompted text encoder of the dataset, or its class embeddings, which no prompt changes.

    Checked against its vision-language features.
    """
    if videos.text_encoder is None:
        cause = "the dataset has CLIP features but names no text encoder; set text_encoder= to a "
        cause += "CLIP folder or hub name, or to a .npy of class embeddings"
        raise DuetalError(cause, file=videos.source)
    names = dict(videos.display_names)
    text = text_of(settings, videos.text_encoder, videos.classes, names, load_text)
    dim, expected = text.plain().shape[1], videos.streams["vlp"].dim
    if dim != expected:
        cause = f"text features have dimension {dim}, the VLP features {expected}"
        raise DuetalError(cause, file=Path(videos.text_encoder), place="text encoder")
    return text


def text_of(
    settings: MethodSettings,
    source: str,
    classes: tuple[str, ...],
    display_names: dict[str, str],
    load_text: LoadText,
) -> PromptedTextEncoder | StoredText:
    """The text of some classes, its prompts as they start by the run's seed."""
    tower = load_text(
        source,
        classes,
        prompts_before=settings.vlp.prompts_before,
        prompts_after=settings.vlp.prompts_after,
        display_names=display_names,
    )
    if isinstance(tower, FixedText):
        return StoredText(tower.features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed(settings.schedule.seed, "prompts"))
        return PromptedTextEncoder(tower)


def vlp_for_inference(settings: MethodSettings, dim: int, num_classes: int) -> BranchNetwork:
    """A VLP branch to load a checkpoint into; it needs no text encoder."""
    with torch.random.fork_rng(devices=[]):
        return VLPBranch(StoredText(torch.zeros(num_classes, dim)), dim, settings.vlp)


BRANCHES = (
    Branch("cbp", "CBP", build_cbp, cbp_for_inference),
    Branch("vlp", "VLP", build_vlp, vlp_for_inference, vlp_without_bias),
)
