"""What weakly-supervised training may know: features, and which classes occur in each video."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from duetal.core.grid import TimeGrid


class FeatureReader(Protocol):
    """The features of one stream, by video name."""

    @property
    def dim(self) -> int:
        """C, the number of channels."""

    def length(self, name: str) -> int:
        """T, the number of snippets of a video."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """(T, C) features of the snippets `[start, stop)` of a video."""

    def path(self, name: str) -> Path:
        """The file with a video's features, for error messages."""


@dataclass(frozen=True, eq=False)
class WeakVideos:
    """Training videos: features and video-level labels. No segment can be reached from here.

    Args:
        source: the dataset, for error messages.
        names: N training videos.
        classes: K class names.
        labels: (N, K) whether the class occurs in the video.
        streams: features by the name of the branch that reads them; all of one T for each video.
        grid: the time grid of all streams.
        text_encoder: the text encoder that shares a space with the vision-language features: a
            folder or a hub name.
        display_names: the words that stand for each class in a prompt.
    """

    source: Path
    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.bool_]
    streams: Mapping[str, FeatureReader]
    grid: TimeGrid
    text_encoder: str | None
    display_names: Mapping[str, str]

    def length(self, name: str) -> int:
        """T, the number of snippets of a video."""
        return next(iter(self.streams.values())).length(name)
