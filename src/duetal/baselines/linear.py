"""A linear classifier of single snippets, trained on video labels by multiple-instance learning.

It has the pooling and the loss of the method's warm-up without its network: no snippet has context.
What the method gains over it, it gains from time.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos, expect_reads, whole_videos


@dataclass(frozen=True)
class LinearSettings:
    """How the linear classifier is trained; the defaults did best on HAPT's training persons."""

    epochs: int = 50
    """Passes over the training videos, each video whole."""
    batch_size: int = 16
    """Videos in one update."""
    learning_rate: float = 0.03
    """Adam's learning rate; high, since the weights start near 0."""
    topk_ratio: int = 8
    """A class's video-level logit is the mean of its top ceil(T/ratio) snippet logits."""


@dataclass(frozen=True)
class LinearClassifier:
    """A trained classifier of features that are not standardised."""

    weight: Tensor  # (K, C)
    bias: Tensor  # (K,)
    topk_ratio: int  # Of the pooling it was trained with.

    def score(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(T, K) probability of each class at each snippet, and (K,) in the video of (T, C)."""
        logits = torch.from_numpy(features) @ self.weight.T + self.bias
        pooled = top_mean(logits, self.topk_ratio)
        return torch.sigmoid(logits).numpy(), torch.sigmoid(pooled).numpy()


def train_linear(
    videos: WeakVideos, settings: LinearSettings | None = None, *, seed: int = 0
) -> LinearClassifier:
    """Train on the CBP features of the training videos, which are held in memory.

    The loss is binary cross-entropy between the videos' labels and the mean of each class's highest
    snippet logits ("top-k multiple-instance learning").

    Args:
        videos: the training videos and their labels.
        settings: default: `LinearSettings()`.
        seed: of the initial weights and the order of the videos; fixes the result on one machine.

    Raises:
        DuetalError: features that are unreadable or not finite; a video without a snippet.
    """
    settings = settings or LinearSettings()
    features, mean, std = standardized(videos)
    labels = torch.from_numpy(videos.labels.astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    weight = torch.empty(len(videos.classes), len(mean)).normal_(std=0.01, generator=generator)
    weight.requires_grad_()
    bias = torch.zeros(len(videos.classes), requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=settings.learning_rate)
    for _ in range(settings.epochs):
        order = torch.randperm(len(features), generator=generator)
        for batch in torch.split(order, settings.batch_size):
            chosen = [features[i] for i in batch.tolist()]
            logits = torch.split(torch.cat(chosen) @ weight.T + bias, [len(x) for x in chosen])
            pooled = torch.stack([top_mean(x, settings.topk_ratio) for x in logits])
            loss = F.binary_cross_entropy_with_logits(pooled, labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    # w·(x − μ)/σ + b = (w/σ)·x + (b − (w/σ)·μ)
    scaled = weight.detach() / std
    return LinearClassifier(scaled, bias.detach() - scaled @ mean, settings.topk_ratio)


def top_mean(logits: Tensor, topk_ratio: int) -> Tensor:
    """(T, K) snippet logits → (K,) means of the top ceil(T / topk_ratio) of each class."""
    count = -(-len(logits) // topk_ratio)
    return logits.topk(count, dim=0).values.mean(dim=0)


def standardized(videos: WeakVideos) -> tuple[list[Tensor], Tensor, Tensor]:
    """Each training video's standardised features (T, C), and their mean and std (C,)."""
    stream = next(iter(videos.streams.values()))
    expect_reads(stream, whole_videos(videos.names))
    features = [torch.from_numpy(stream.read(name)) for name in videos.names]
    for name, x in zip(videos.names, features, strict=True):
        if not len(x):
            raise DuetalError("has no snippet", file=videos.source, place=f"video {name!r}")
    std, mean = torch.std_mean(torch.cat(features), dim=0)
    std = std.clamp(min=1e-6)  # A constant channel is not to become infinite.
    return [(x - mean) / std for x in features], mean, std
