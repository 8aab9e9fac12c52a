"""What passes through the extraction pipeline, from stage to stage, in the order of the videos."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError, machine_fault
from duetal.extraction.sources import Video
from duetal.video.decoding.video_reader import Decoded

#: Called while a video is worked on, with its snippets done and about how many it has.
OnSnippet = Callable[[Video, int, int], object]


def ignore(video: Video, done: int, expected: int) -> None:
    """The `OnSnippet` of whoever does not want to know."""


@dataclass(eq=False)
class Job:
    """A video on its way through the pipeline."""

    video: Video
    sha256: str = ""  #: Of the file, in hexadecimal, once it has been read.
    size: int = 0  #: Bytes of the file, likewise.
    expected: int | None = None  #: Snippets by the declared duration; None without one.
    seconds: dict[str, float] = field(default_factory=dict)  #: Of work, by stage.

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        began = time.perf_counter()
        yield
        self.count(stage, time.perf_counter() - began)

    def count(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


@dataclass(slots=True)
class FrameBlock:
    """Consecutive frames of a video."""

    job: Job
    images: NDArray[np.uint8]  #: (n, h, w, 3) RGB, short side as in the settings.
    repeated: NDArray[np.bool_]  #: (n,) whether a frame is the same picture as the one before.
    pictures: Mapping[str, Mapping[int, Any]]  #: Prepared pictures by backbone and frame index.
    lost: NDArray[np.bool_]  #: (n,) whether a frame was lost; see `Frame`.


@dataclass(slots=True)
class Snippet:
    """Snippet `index` of a video."""

    job: Job
    index: int
    #: By backbone, (frames, ...); removed when it was read. None where frames were lost.
    inputs: dict[str, NDArray[Any]]
    features: dict[str, NDArray[np.float32]] = field(default_factory=dict)  #: By backbone, (C,).


@dataclass(frozen=True, slots=True)
class End:
    """All of a video has passed."""

    job: Job
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class Broken:
    """A video can't be continued; its items so far are to be thrown away."""

    job: Job
    error: DuetalError

    @staticmethod
    def by(error: Exception, job: Job) -> "Broken":
        """By an error of the video, or an unforeseen one, which must not stop the others."""
        if not isinstance(error, DuetalError):
            cause = machine_fault(error) or f"internal error: {type(error).__name__}: {error}"
            error = DuetalError(cause, file=job.video.source)
        return Broken(job, error)


#: What the decoder passes on.
Decoding = FrameBlock | End | Broken
#: What the stages behind it pass on.
Passing = Snippet | End | Broken
