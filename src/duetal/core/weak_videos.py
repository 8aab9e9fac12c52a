"""What training may know: features, which classes occur in each video, and times if asked for."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from duetal.core.grid import TimeGrid
from duetal.core.known_times import KnownTimes


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


#: A video's name, and the first snippet and the end of what is read of it; None: to its end.
Read = tuple[str, int, int | None]


@runtime_checkable
class ReadsAhead(Protocol):
    """A reader that makes use of knowing what comes, because a read takes long to begin."""

    def expect(self, reads: Iterable[Read]) -> None:
        """Be told what is read from now on, in this order; replaces what was told before."""


def expect_reads(stream: FeatureReader, reads: Iterable[Read]) -> None:
    """Tell a stream what will be read of it, in this order, where it wants to know."""
    if isinstance(stream, ReadsAhead):
        stream.expect(reads)


def whole_videos(names: Iterable[str]) -> Iterator[Read]:
    """The reads of whole videos."""
    return ((name, 0, None) for name in names)


@dataclass(frozen=True, eq=False)
class WeakVideos:
    """Training videos: features and labels. A segment is reached only where settings ask for it."""

    source: Path  #: The dataset, for error messages.
    names: tuple[str, ...]  #: N training videos.
    classes: tuple[str, ...]  #: K class names.
    labels: NDArray[np.bool_]  #: (N, K) whether the class occurs in the video.
    #: Features by the name of the branch that reads them; all of one T for each video.
    streams: Mapping[str, FeatureReader]
    grid: TimeGrid  #: The time grid of all streams.
    #: Of the vision-language features' space: a folder or a hub name; or a `.npy`.
    text_encoder: str | None
    display_names: Mapping[str, str]  #: The words that stand for each class in a prompt.
    #: (N, K) where it is not known whether the class occurs, and `labels` is False; None: nowhere.
    unknown: NDArray[np.bool_] | None = None
    #: When things happen in some of the videos, by name; none unless `labels.use` asks for it.
    times: Mapping[str, KnownTimes] = field(default_factory=dict)

    @property
    def possible(self) -> NDArray[np.bool_]:
        """(N, K) whether the class occurs, or may occur."""
        return self.labels if self.unknown is None else self.labels | self.unknown

    def fingerprint(self) -> str:
        """The SHA-256, in hexadecimal, of the names, the labels and the shapes of the features."""
        shapes = {
            branch: [(stream.length(name), stream.dim) for name in self.names]
            for branch, stream in self.streams.items()
        }
        # One JSON list, but labels as text take ten times their memory: a row at a time.
        found = hashlib.sha256(f"[{json.dumps(self.names)}, {json.dumps(self.classes)}, [".encode())
        for number, row in enumerate(self.labels):
            found.update(f"{', ' if number else ''}{row.astype(int).tolist()}".encode())
        found.update(f"], {json.dumps(shapes)}]".encode())
        if self.unknown is not None:
            found.update(np.packbits(self.unknown).tobytes())
        for name, times in self.times.items():
            found.update(json.dumps((name, asdict(times))).encode())
        return found.hexdigest()

    def length(self, name: str) -> int:
        """T, the number of snippets of a video."""
        return next(iter(self.streams.values())).length(name)
