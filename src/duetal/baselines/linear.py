"""A linear classifier of single snippets, trained on video labels by multiple-instance learning.

It has the pooling and the loss of the method's warm-up and nothing of its network: no snippet knows
its neighbours. What the method gains over it, it gains by looking at time.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from duetal.core.errors import DuetalError
from duetal.core.weak_videos import WeakVideos


@dataclass(frozen=True)
class LinearSettings:
    """How the linear classifier is trained; the defaults did best on HAPT's training persons."""

    epochs: int = 50
    """Passes over the training videos, each video whole."""
    batch_size: int = 16
    """Videos in one update."""
    learning_rate: float = 0.03
    """Adam's learning rate; high, since the weights start near 0 and only they are learnt."""
    topk_divisor: int = 8
    """A class's video-level logit is the mean of its top ceil(T/this) snippet logits."""


@dataclass(frozen=True)
class LinearClassifier:
    """A trained classifier.

    Args:
        weight: (K, C), for features as they are: the standardisation is part of it.
        bias: (K,).
        topk_divisor: of the pooling it was trained with.
    """

    weight: Tensor
    bias: Tensor
    topk_divisor: int

    def score(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score one video.

        Args:
            features: (T, C).

        Returns:
            (T, K) probability of each class at each snippet, and (K,) of each class in the video.
        """
        logits = torch.from_numpy(features) @ self.weight.T + self.bias
        pooled = top_mean(logits, self.topk_divisor)
        return torch.sigmoid(logits).numpy(), torch.sigmoid(pooled).numpy()


def train_linear(
    videos: WeakVideos, settings: LinearSettings | None = None, *, seed: int = 0
) -> LinearClassifier:
    """Train on the CBP features of the training videos, which are held in memory.

    The videos' labels meet, by binary cross-entropy, the mean of each class's highest snippet
    logits ("top-k multiple-instance learning").

    Args:
        videos: the training videos and their labels.
        settings: default: `LinearSettings()`.
        seed: of the initial weights and the order of the videos; it fixes the result on one
            machine.

    Raises:
        DuetalError: features that are unreadable or not finite; a video without a snippet.
    """
    settings = settings or LinearSettings()
    features, mean, deviation = _standardized(videos)
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
            pooled = torch.stack([top_mean(x, settings.topk_divisor) for x in logits])
            loss = F.binary_cross_entropy_with_logits(pooled, labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    # w·(x − μ)/σ + b = (w/σ)·x + (b − (w/σ)·μ)
    scaled = weight.detach() / deviation
    return LinearClassifier(scaled, bias.detach() - scaled @ mean, settings.topk_divisor)


def top_mean(logits: Tensor, divisor: int) -> Tensor:
    """(T, K) snippet logits → (K,) means of the top ceil(T / divisor) of each class."""
    count = -(-len(logits) // divisor)
    return logits.topk(count, dim=0).values.mean(dim=0)


def _standardized(videos: WeakVideos) -> tuple[list[Tensor], Tensor, Tensor]:
    """Each training video's features (T, C), standardised; and their mean and deviation (C,)."""
    stream = next(iter(videos.streams.values()))
    features = [torch.from_numpy(stream.read(name)) for name in videos.names]
    for name, x in zip(videos.names, features, strict=True):
        if not len(x):
            raise DuetalError("has no snippet", file=videos.source, place=f"video {name!r}")
    deviation, mean = torch.std_mean(torch.cat(features), dim=0)
    # A channel that never varies says nothing; it must not say infinitely much.
    deviation = deviation.clamp(min=1e-6)
    return [(x - mean) / deviation for x in features], mean, deviation
