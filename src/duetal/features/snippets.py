"""The second stage of the pipeline: frames and their flow become snippets."""

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.features.items import Broken, End, Frames, Job, Snippet, internal_error
from duetal.video.decoding.video_reader import require_snippet
from duetal.video.flow.interface import FlowEngine, grey, scale_flow


@dataclass(frozen=True)
class Cutting:
    """How frames become snippets.

    Args:
        grid: of the snippets.
        crop: pixels of the central square that I3D sees.
        flow: computes the flow; None where it is not asked for.
        modalities: what a snippet is to have, of "rgb", "flow" and "clip".
    """

    grid: TimeGrid
    crop: int
    flow: FlowEngine | None
    modalities: tuple[str, ...]

    def __call__(
        self, items: Iterable[Frames | End | Broken]
    ) -> Generator[Snippet | End | Broken, None, None]:
        """Compute the flow of videos, one after the other, and cut it and the frames."""
        # The stages keep the order, so the items of a video come one after the other.
        for job, of_video in itertools.groupby(items, lambda item: item.job):
            cutter = _Cutter(job, self)
            for item in of_video:
                # Only what goes wrong here is the video's fault, not what comes with the items.
                try:
                    snippets = list(cutter.take(item))
                except DuetalError as error:
                    yield Broken(job, error)
                    break
                except Exception as error:
                    yield Broken(job, internal_error(error, job))
                    break
                yield from snippets
                if not isinstance(item, Frames):
                    yield item


class _Cutter:
    """Cuts one video. Frames wait here until their snippet is whole."""

    def __init__(self, job: Job, how: Cutting):
        self.job = job
        self._grid = how.grid
        self._crop = how.crop
        self._motion = None if how.flow is None else Motion(how.flow)
        self._wanted = how.modalities
        self._rgb: deque[NDArray[np.uint8]] = deque()
        self._flow: deque[NDArray[np.float32]] = deque()
        self._pictures: dict[int, Any] = {}
        self._next = 0

    def take(self, item: Frames | End | Broken) -> Iterator[Snippet]:
        """Take frames, or that there are no more; give the snippets that are whole now.

        Raises:
            DuetalError: the video ends without a whole snippet.
        """
        if isinstance(item, Frames):
            self._push(item)
        elif isinstance(item, End) and self._flow:
            # There is no frame for the last one to move to.
            self._flow.append(self._flow[-1])
        yield from self._cut()
        if isinstance(item, End):
            require_snippet(self.job.video.source, item.frames, self._grid)

    def _push(self, frames: Frames) -> None:
        self._pictures |= frames.pictures
        self._rgb.extend(central(frames.images, self._crop))
        if self._motion is not None:
            with self.job.timed("flow"):
                flow = self._motion(grey(frames.images), frames.repeated)
                self._flow.extend(scale_flow(central(flow, self._crop)))

    def _cut(self) -> Iterator[Snippet]:
        window, stride = self._grid.window, self._grid.stride
        while len(self._rgb if self._motion is None else self._flow) >= window:
            inputs: dict[str, Any] = {}
            if "rgb" in self._wanted:
                inputs["rgb"] = np.stack([self._rgb[k] for k in range(window)])
            if "flow" in self._wanted:
                inputs["flow"] = np.stack([self._flow[k] for k in range(window)])
            if "clip" in self._wanted:
                inputs["clip"] = self._pictures.pop(self._next * stride + window // 2)
            for _ in range(stride):
                self._rgb.popleft()
                if self._motion is not None:
                    self._flow.popleft()
            self._next += 1
            yield Snippet(self.job, self._next - 1, inputs)


class Motion:
    """The flow of one video, piece by piece; between repeated frames it is zero and costs nothing.

    Args:
        engine: computes it.
    """

    def __init__(self, engine: FlowEngine):
        self._engine = engine
        self._last: NDArray[np.uint8] | None = None

    def __call__(self, images: NDArray[np.uint8], repeated: NDArray[np.bool_]) -> NDArray[Any]:
        """The flow between the frames, the last one of the call before included.

        Args:
            images: (n, H, W) grey.
            repeated: (n,) whether a frame is the same picture as the one before.

        Returns:
            (n, H, W, 2) pixels; (n - 1, H, W, 2) for the first frames.
        """
        if self._last is not None:
            images = np.concatenate([self._last[None], images])
            repeated = np.concatenate([[False], repeated])
        self._last = images[-1].copy()
        moving = ~repeated[1:]
        flow = np.zeros((len(moving), *images.shape[1:], 2), np.float32)
        if moving.any():
            # A repeated frame equals the one before it, so those that differ follow each other.
            flow[moving] = self._engine(images[np.concatenate([[True], moving])])
        return flow


def central(images: NDArray[Any], side: int) -> NDArray[Any]:
    """The central square of images (n, H, W, C), as a view: (n, side, side, C)."""
    top, left = (images.shape[1] - side) // 2, (images.shape[2] - side) // 2
    return images[:, top : top + side, left : left + side]
