"""A small convolution trained on the true segments: the ceiling that labels alone stay under.

No weakly-supervised method may read what it reads. Its place is beside one, to tell how much of
the actions the features show at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.baselines.linear import standardized
from duetal.core.annotations import Segment
from duetal.core.weak_videos import WeakVideos


@dataclass(frozen=True)
class SupervisedSettings:
    """How the convolution is trained; it does about as well in a wide range of these."""

    epochs: int = 30
    """Passes over the training videos, each video whole."""
    batch_size: int = 8
    """Videos in one update."""
    learning_rate: float = 0.002
    """Adam's learning rate at first; it falls to 0 along a cosine."""
    width: int = 64
    """Channels of the hidden layers."""
    dropout: float = 0.3
    """Of the features and of the hidden layers."""


@dataclass(frozen=True)
class SupervisedClassifier:
    """A trained convolution of features that are not standardised."""

    network: nn.Sequential  # (1, C, T) standardised features → (1, K, T) logits.
    mean: Tensor  # (C,)
    std: Tensor  # (C,)

    @torch.inference_mode()
    def score(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(T, K) probability of each class at each snippet, and (K,) in the video of (T, C).

        The second is the highest of the first, because the snippets were taught one by one.
        """
        x = (torch.from_numpy(features) - self.mean) / self.std
        probabilities = torch.sigmoid(self.network(x.T[None])[0].T).numpy()
        return probabilities, probabilities.max(axis=0)


def train_supervised(
    videos: WeakVideos,
    segments: Mapping[str, Sequence[Segment]],
    settings: SupervisedSettings | None = None,
    *,
    seed: int = 0,
) -> SupervisedClassifier:
    """Train on the CBP features and true segments of the training videos, held in memory.

    Three layers of kernel 3 see 7 snippets. The loss is binary cross-entropy between their output
    and whether a snippet's centre lies in a segment of the class.

    Args:
        videos: the training videos.
        segments: of each of them by name, in seconds after its first snippet begins.
        settings: default: `SupervisedSettings()`.
        seed: of the initial weights, dropout and the order of the videos.

    Raises:
        DuetalError: features that are unreadable or not finite; a video without a snippet.
    """
    settings = settings or SupervisedSettings()
    features, mean, std = standardized(videos)
    truth = [
        snippet_truth(videos, segments[name], len(x))
        for name, x in zip(videos.names, features, strict=True)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(len(mean), len(videos.classes), settings)
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        updates = settings.epochs * -(-len(features) // settings.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        for _ in range(settings.epochs):
            for batch in torch.split(torch.randperm(len(features)), settings.batch_size):
                optimizer.zero_grad()
                snippets = sum(len(features[i]) for i in batch.tolist())
                # One by one, so that no video sees the padding of a shorter one.
                for i in batch.tolist():
                    logits = network(features[i].T[None])[0].T
                    loss = F.binary_cross_entropy_with_logits(logits, truth[i], reduction="sum")
                    share = loss / (snippets * len(videos.classes))
                    share.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return SupervisedClassifier(network.eval(), mean, std)


def snippet_truth(videos: WeakVideos, segments: Sequence[Segment], length: int) -> Tensor:
    """(T, K) 1.0 where a snippet's centre lies in a segment of the class, of `length` T."""
    columns = []
    for label in videos.classes:
        mine = [segment for segment in segments if segment.label == label]
        starts, ends = (np.array([getattr(s, end) for s in mine]) for end in ("start", "end"))
        columns.append(videos.grid.cover(starts, ends, length))
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def _network(channels: int, classes: int, settings: SupervisedSettings) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Dropout(settings.dropout)]
    for size in (channels, settings.width):
        layers.append(nn.Conv1d(size, settings.width, 3, padding=1))
        layers += [nn.ReLU(), nn.Dropout(settings.dropout)]
    return nn.Sequential(*layers, nn.Conv1d(settings.width, classes, 3, padding=1))
