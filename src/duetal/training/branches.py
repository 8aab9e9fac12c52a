"""Building the two branches from a configuration, new or from a checkpoint."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from duetal.config import Config, ScoreFunction
from duetal.core.errors import DuetalError, UsageError
from duetal.datasets.dataset import WeakVideos
from duetal.features.streams import FeatureStream
from duetal.model.cbp import CBPBranch
from duetal.model.text import PromptedTextEncoder, StoredText, load_text_encoder
from duetal.model.vlp import VLPBranch
from duetal.training.checkpoints import load, load_into
from duetal.training.sampling import random_seed


def cbp_branch(config: Config, channels: int, classes: int) -> CBPBranch:
    """A CBP branch of random weights; `config.seed` fixes them."""
    torch.manual_seed(random_seed(config.seed, "cbp"))
    return CBPBranch(
        channels,
        classes,
        width=config.cbp_width,
        levels=config.cbp_levels,
        blocks=config.cbp_blocks,
        heads=config.cbp_heads,
        radius=config.cbp_attention_radius,
        dropout=config.dropout,
    )


def vlp_branch(config: Config, text: PromptedTextEncoder | StoredText, channels: int) -> VLPBranch:
    """A VLP branch of random temporal layers over a text encoder or its stored result.

    Raises:
        UsageError: the number of heads does not divide the features' width.
    """
    if channels % config.vlp_heads:
        raise UsageError(
            f"vlp_heads ({config.vlp_heads}) does not divide the VLP features' width ({channels})"
        )
    torch.manual_seed(random_seed(config.seed, "vlp"))
    return VLPBranch(
        text,
        channels,
        layers=config.vlp_layers,
        heads=config.vlp_heads,
        radius=config.vlp_attention_radius,
        dropout=config.vlp_dropout,
        init=config.vlp_init,
        temperature=config.temperature,
        softmax=config.score_function is ScoreFunction.SOFTMAX,
        zero_shot_start=config.zero_shot_start,
    )


def text_encoder(
    config: Config, source: str, classes: tuple[str, ...], display_names: Mapping[str, str]
) -> PromptedTextEncoder:
    """The prompted text encoder of a run.

    Raises:
        DuetalError: it can't be loaded, or a class's name is too long.
    """
    torch.manual_seed(random_seed(config.seed, "prompts"))
    return load_text_encoder(
        source,
        classes,
        prompts_before=config.prompts_before,
        prompts_after=config.prompts_after,
        display_names=display_names,
    )


def fitting_text_encoder(config: Config, source: str, videos: WeakVideos) -> PromptedTextEncoder:
    """The prompted text encoder of a run, found to fit its VLP features.

    Raises:
        DuetalError: none is named, it can't be loaded, its features are of another width, or a
            class's name is too long.
    """
    if not source:
        raise DuetalError(
            "the dataset has CLIP features but names no text encoder; "
            "set text_encoder= to a CLIP folder or hub name",
            file=videos.source,
        )
    text = text_encoder(config, source, videos.classes, videos.display_names)
    assert videos.vlp is not None
    width = text.plain().shape[1]
    if width != videos.vlp.dim:
        raise DuetalError(
            f"text features have width {width}, the VLP features {videos.vlp.dim}",
            file=source,
            place="text encoder",
        )
    return text


def channel_statistics(videos: WeakVideos, stream: FeatureStream) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) of a stream's channels over all training snippets."""
    total = np.zeros(stream.dim)
    squares = np.zeros(stream.dim)
    count = 0
    for name in videos.names:
        x = stream.read(name).astype(np.float64)
        total += x.sum(axis=0)
        squares += (x * x).sum(axis=0)
        count += len(x)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
    return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()


@torch.no_grad()
def mean_cosine(branch: VLPBranch, videos: WeakVideos, stream: FeatureStream) -> float:
    """Mean zero-shot cosine of all training snippets with all classes: where the bias b starts."""
    text = branch.text_features().cpu()
    total, count = 0.0, 0
    for name in videos.names:
        features = torch.nn.functional.normalize(torch.from_numpy(stream.read(name)), dim=-1)
        cosines = features @ text.T
        total += float(cosines.double().sum())
        count += cosines.numel()
    return total / count


def restore_cbp(config: Config, path: Path, channels: int, classes: int) -> CBPBranch:
    """A trained CBP branch in eval mode.

    Raises:
        DuetalError: the checkpoint is missing, damaged or of another configuration.
    """
    branch = cbp_branch(config, channels, classes)
    load_into(branch, load(path).tensors, path)
    return branch.eval()


def restore_vlp(config: Config, path: Path, channels: int) -> VLPBranch:
    """A trained VLP branch in eval mode, with its stored text features: no text encoder needed.

    Raises:
        DuetalError: the checkpoint is missing, damaged or of another configuration.
    """
    tensors = load(path).tensors
    if "text.features" not in tensors:
        raise DuetalError("not a checkpoint of a VLP branch", file=path)
    branch = vlp_branch(config, StoredText(torch.zeros_like(tensors["text.features"])), channels)
    load_into(branch, tensors, path)
    return branch.eval()


def for_inference(config: Config, branch: CBPBranch | VLPBranch, channels: int) -> torch.nn.Module:
    """The branch as it is now, in eval mode; VLP's text features are computed once and kept."""
    if isinstance(branch, CBPBranch):
        return branch.eval()
    state = branch.inference_state()
    frozen = vlp_branch(config, StoredText(torch.zeros_like(state["text.features"])), channels)
    wanted = frozen.state_dict()
    frozen.load_state_dict({name: state[name] for name in wanted})
    return frozen.to(branch.bias.device).eval()
