"""The first stages of the pipeline: videos become frames, frames and their flow become snippets."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.features.items import Broken, End, Frames, Job, Snippet, internal_error
from duetal.features.sources import Video, fetched
from duetal.video.decode import VideoReader, open_video
from duetal.video.flow import FlowEngine, grey, scale_flow

#: Makes of a picture (H, W, 3) uint8 what CLIP is to see.
Preprocess = Callable[[NDArray[np.uint8]], Any]


def decode(
    videos: Iterable[Video],
    grid: TimeGrid,
    short_side: int,
    preprocess: Preprocess | None,
    together: int = 16,
) -> Generator[Frames | End | Broken, None, None]:
    """Decode video after video.

    Args:
        videos: to decode.
        grid: gives the frame rate and, with `preprocess`, the frames that CLIP sees: the middle
            ones of the snippets.
        short_side: pixels, of the frames that come out.
        preprocess: for CLIP; None where it is not asked for.
        together: frames that come out in one piece.
    """
    for video in videos:
        job = Job(video)
        try:
            yield from _decode_video(job, grid, short_side, preprocess, together)
        except DuetalError as error:
            yield Broken(job, error)
        except Exception as error:
            yield Broken(job, internal_error(error, job))


def _decode_video(
    job: Job, grid: TimeGrid, short_side: int, preprocess: Preprocess | None, together: int
) -> Iterator[Frames | End]:
    with ExitStack() as stack:
        with job.timed("read"):
            file = stack.enter_context(fetched(job.video.source))
        job.sha256, job.size = file.sha256, file.size
        try:
            with open_video(file.path) as reader:
                if reader.info.duration is not None:
                    job.expected = grid.length(reader.info.duration)
                yield from _read_frames(job, reader, grid, short_side, preprocess, together)
        except DuetalError as error:
            if error.file != file.path:
                raise
            # The copy of what lies at a URL means nothing to the user.
            raise DuetalError(error.cause, file=job.video.source, place=error.place) from error


def _read_frames(
    job: Job,
    reader: VideoReader,
    grid: TimeGrid,
    short_side: int,
    preprocess: Preprocess | None,
    together: int,
) -> Iterator[Frames | End]:
    frames = reader.frames(grid.fps, short_side)
    # Not the frames themselves, which keep their decoded pictures.
    read: list[tuple[NDArray[np.uint8], bool]] = []
    pictures: dict[int, Any] = {}
    while True:
        with job.timed("decode"):
            frame = next(frames, None)
            if frame is not None:
                read.append((frame.image, frame.repeated))
                into = frame.index - grid.window // 2
                if preprocess is not None and into >= 0 and into % grid.stride == 0:
                    pictures[frame.index] = preprocess(frame.full())
        if read and (frame is None or len(read) == together):
            yield Frames(
                job,
                np.stack([image for image, _ in read]),
                np.array([repeated for _, repeated in read]),
                pictures,
            )
            read, pictures = [], {}
        if frame is None:
            break
    decoded = reader.decoded
    yield End(job, decoded.frames, decoded.source_frames, decoded.duration, decoded.notes)


def cut_snippets(
    items: Iterable[Frames | End | Broken],
    grid: TimeGrid,
    crop: int,
    flow: FlowEngine | None,
    modalities: Iterable[str],
) -> Generator[Snippet | End | Broken, None, None]:
    """Compute the flow of frames and cut both into snippets.

    Args:
        items: of the videos, one after the other.
        grid: of the snippets.
        crop: pixels of the central square that the networks see.
        flow: computes the flow; None where it is not asked for.
        modalities: what a snippet needs, of "rgb", "flow" and "clip".
    """
    wanted = frozenset(modalities)
    cutter: _Cutter | None = None
    given_up: Job | None = None
    for item in items:
        job = item.job
        if job is given_up:
            continue
        if cutter is None or cutter.job is not job:
            cutter = _Cutter(job, grid, crop, flow, wanted)
        try:
            if isinstance(item, Frames):
                yield from cutter.push(item)
                continue
            if isinstance(item, End):
                yield from cutter.finish(item)
            yield item
        except DuetalError as error:
            given_up = job
            yield Broken(job, error)
        except Exception as error:
            given_up = job
            yield Broken(job, internal_error(error, job))


class _Cutter:
    """Cuts one video. Frames wait here until their snippet is whole."""

    def __init__(
        self, job: Job, grid: TimeGrid, crop: int, flow: FlowEngine | None, wanted: frozenset[str]
    ):
        self.job = job
        self._grid = grid
        self._crop = crop
        self._motion = None if flow is None else Motion(flow)
        self._wanted = wanted
        self._rgb: deque[NDArray[np.uint8]] = deque()
        self._flow: deque[NDArray[np.float32]] = deque()
        self._pictures: dict[int, Any] = {}
        self._next = 0

    def push(self, frames: Frames) -> Iterator[Snippet]:
        """Take frames; give the snippets that they complete."""
        self._pictures |= frames.pictures
        self._rgb.extend(central(frames.images, self._crop))
        if self._motion is not None:
            with self.job.timed("flow"):
                flow = self._motion(grey(frames.images), frames.repeated)
                self._flow.extend(scale_flow(central(flow, self._crop)))
        yield from self._cut()

    def finish(self, end: End) -> Iterator[Snippet]:
        """Give the last snippet.

        Raises:
            DuetalError: the video has no whole snippet.
        """
        if self._motion is not None and self._flow:
            # There is no frame for the last one to move to.
            self._flow.append(self._flow[-1])
        yield from self._cut()
        if self._next == 0:
            cause = (
                f"too short: {end.frames} frames at {self._grid.fps:g} frames per second, "
                f"and a snippet has {self._grid.window}"
            )
            raise DuetalError(cause, file=self.job.video.source)

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
