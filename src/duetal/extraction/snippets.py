"""The first two stages of the pipeline: videos become frames, frames and their flow snippets."""

import itertools
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.backbones.protocol import BackboneRecord, Reads
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.extraction.items import Broken, Decoding, End, FrameBlock, Job, Passing, Snippet
from duetal.extraction.networks import Network
from duetal.extraction.sources import Video, fetched
from duetal.video.decoding.sound import SoundAlone, SoundReader, has_pictures, open_sound
from duetal.video.decoding.video_reader import Frame, VideoReader, open_video, require_snippet
from duetal.video.flow.interface import FlowEngine, grey, scale_flow

#: Eighths of a picture's short side that each of ten crops takes: 224 of 256 pixels.
CROPPED = 7


def decode(
    videos: Iterable[Video],
    *,
    grid: TimeGrid,
    short_side: int,
    networks: Sequence[Network],
    threads: int,
    together: int,
) -> Generator[Decoding, None, None]:
    """Decode video after video at the grid's frame rate, `together` frames in a block.

    Networks that prepare whole pictures do it here, before the pictures are resized, which they are
    for others alone.
    """
    is_resized = any(network.record.input.crop is not None for network in networks)
    for video in videos:
        job = Job(video)
        try:
            with _opened(job, threads, grid, networks) as (reader, preparing):
                if reader.info.duration is not None:
                    job.expected = grid.length(reader.info.duration)
                frames = reader.frames(grid.fps, short_side if is_resized else None)
                yield from _blocks(job, frames, together, preparing)
                yield End(job, reader.decoded)
        except Exception as error:
            yield Broken.by(error, job)


def frame_blocks(
    job: Job, frames: Iterator[Frame], *, grid: TimeGrid, networks: Sequence[Network], together: int
) -> Generator[FrameBlock, None, None]:
    """Frames of a video that is decoded elsewhere, `together` in a block; see `decode`."""
    preparing = [_Preparing(one, grid) for one in networks if one.record.input.crop is None]
    yield from _blocks(job, frames, together, preparing)


@contextmanager
def _opened(
    job: Job, threads: int, grid: TimeGrid, networks: Sequence[Network]
) -> Iterator[tuple[VideoReader | SoundAlone, "list[_Preparing]"]]:
    sound_alone = all(network.record.input.reads is Reads.SOUND for network in networks)
    with ExitStack() as stack:
        with job.timed("read"):
            file = stack.enter_context(fetched(job.video.source))
        job.sha256, job.size = file.sha256, file.size
        stream, damaged = job.video.stream, job.video.damaged
        try:
            reader: VideoReader | SoundAlone
            if sound_alone and not has_pictures(file.path):
                reader = SoundAlone(file.path)
            else:
                reader = open_video(file.path, threads=threads, stream=stream, damaged=damaged)
            stack.enter_context(reader)
            whole = [network for network in networks if network.record.input.crop is None]
            preparing = [_Preparing(network, grid) for network in whole]
            for one in preparing:
                if one.read.reads is Reads.SOUND:
                    rate = one.network.backbone.sound_rate
                    one.sound = stack.enter_context(open_sound(file.path, rate, reader.zero))
            yield reader, preparing
        except DuetalError as error:
            if error.file != file.path:
                raise
            # The copy of what lies at a URL means nothing to the user.
            raise DuetalError(error.cause, file=job.video.source, place=error.place) from error


class _Preparing:
    """A network that prepares whole pictures, or sound, of one video while it is decoded."""

    def __init__(self, network: Network, grid: TimeGrid):
        self.network, self.read, self._grid = network, network.record.input, grid
        self.sound: SoundReader | None = None
        self.found: dict[int, Any] = {}

    def take(self, frame: Frame) -> None:
        """Prepare what snippets read at a frame, by its index; one that none reads is passed by."""
        stride, index, prepare = self._grid.stride, frame.index, self.network.backbone.prepare
        # Whether any snippet has the frame at one of these offsets.
        if not any(index >= k and (index - k) % stride == 0 for k in self.read.offsets):
            return
        if self.sound is not None:
            # Sound is read once a snippet, at the frame in the middle of its window.
            snippet = np.array((index - self.read.offsets[0]) // stride)
            centre = float(self._grid.centre(snippet))
            self.found[index] = prepare(self.sound.window(centre, self.read.sound_seconds))
        elif self.read.crops == 1:
            self.found[index] = prepare(frame.full())
        else:
            picture = frame.full()
            side = max(1, min(picture.shape[:2]) * CROPPED // 8)
            views = crops(picture[None], side, self.read.crops)[0]
            self.found[index] = np.stack([prepare(np.ascontiguousarray(view)) for view in views])


def _blocks(
    job: Job, frames: Iterator[Frame], together: int, preparing: Sequence[_Preparing]
) -> Generator[FrameBlock, None, None]:
    while True:
        # Not the frames themselves, which keep their decoded pictures.
        read: list[tuple[NDArray[np.uint8], bool, bool]] = []
        with job.timed("decode"):
            for frame in itertools.islice(frames, together):
                read.append((frame.image, frame.repeated, frame.lost))
                for one in preparing if not frame.lost else ():
                    one.take(frame)
        if not read:
            return
        pictures: dict[str, dict[int, Any]] = {}
        for one in preparing:
            pictures[one.network.name], one.found = one.found, {}
        images, repeated, lost = zip(*read, strict=True)
        yield FrameBlock(job, np.stack(images), np.array(repeated), pictures, np.array(lost))


def cut(
    items: Iterable[Decoding],
    *,
    grid: TimeGrid,
    crop: int,
    flow: FlowEngine | None,
    backbones: Sequence[BackboneRecord],
) -> Generator[Passing, None, None]:
    """Cut frames, cropped to their central square, and their flow into snippets for backbones.

    `flow` computes the flow; None where no backbone reads it.
    """
    # The stages keep the order, so the items of a video come one after the other.
    for job, of_video in itertools.groupby(items, lambda item: item.job):
        cutter = _Cutter(job, grid, crop, None if flow is None else Motion(flow), backbones)
        for item in of_video:
            # Only what goes wrong here is the video's fault, not what comes with the items.
            try:
                snippets = list(cutter.take(item))
            except Exception as error:
                yield Broken.by(error, job)
                break
            yield from snippets
            if not isinstance(item, FrameBlock):
                yield item


@dataclass(eq=False)
class _Cutter:
    """Cuts one video. Frames wait here until their snippet is whole."""

    job: Job
    grid: TimeGrid
    crop: int
    motion: "Motion | None"
    backbones: Sequence[BackboneRecord]
    frames: deque[NDArray[np.uint8]] = field(default_factory=deque)
    lost: deque[bool] = field(default_factory=deque)
    flow: deque[NDArray[np.float32]] = field(default_factory=deque)
    pictures: defaultdict[str, dict[int, Any]] = field(default_factory=lambda: defaultdict(dict))
    next: int = 0  #: The index of the next snippet.

    @property
    def _count(self) -> int:
        cropped = (record.input for record in self.backbones if record.input.crop is not None)
        return max((read.crops for read in cropped), default=1)

    def take(self, item: Decoding) -> Iterator[Snippet]:
        """Take frames, or the end; give the snippets that are whole now.

        DuetalError if the video ends without a whole snippet.
        """
        if isinstance(item, FrameBlock):
            self._push(item)
        elif isinstance(item, End) and self.flow:
            # There is no frame for the last one to move to.
            self.flow.append(self.flow[-1])
        yield from self._cut()
        if isinstance(item, End):
            require_snippet(self.job.video.source, item.decoded.frames, self.grid)

    def _push(self, block: FrameBlock) -> None:
        for name, pictures in block.pictures.items():
            self.pictures[name].update(pictures)
        self.frames.extend(crops(block.images, self.crop, self._count))
        self.lost.extend(block.lost)
        if self.motion is not None:
            with self.job.timed(Reads.FLOW.value):
                flow = self.motion(grey(block.images), block.repeated)
                self.flow.extend(crops(scale_flow(flow), self.crop, self._count))

    def _cut(self) -> Iterator[Snippet]:
        ready = self.frames if self.motion is None else self.flow
        while len(ready) >= self.grid.window:
            whole = not any(itertools.islice(self.lost, self.grid.window))
            inputs = {one.name: self._input(one) for one in self.backbones if whole}
            yield Snippet(self.job, self.next, inputs)
            self.next += 1
            for _ in range(self.grid.stride):
                self.frames.popleft()
                self.lost.popleft()
                if self.motion is not None:
                    self.flow.popleft()
            for pictures in self.pictures.values():
                for index in [k for k in pictures if k < self.next * self.grid.stride]:
                    del pictures[index]

    def _input(self, record: BackboneRecord) -> NDArray[Any]:
        """What a backbone reads of the next snippet: (frames, ...), or (crops, frames, ...)."""
        wanted = record.input
        if wanted.crop is None:
            first = self.next * self.grid.stride
            read = [self.pictures[record.name][first + k] for k in wanted.offsets]
        else:
            cropped = self.flow if wanted.reads is Reads.FLOW else self.frames
            read = [cropped[k] for k in wanted.offsets]
        return np.stack(read, axis=0 if wanted.crops == 1 else 1)


class Motion:
    """The flow of one video, piece by piece; between repeated frames it is zero, at no cost."""

    def __init__(self, engine: FlowEngine):
        self._engine = engine
        self._last: NDArray[np.uint8] | None = None

    def __call__(self, images: NDArray[np.uint8], repeated: NDArray[np.bool_]) -> NDArray[Any]:
        """The flow between grey frames (n, H, W), the last one of the call before included.

        `repeated` (n,) says whether a frame is the same picture as the one before. Gives
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


def crops(images: NDArray[Any], side: int, count: int) -> NDArray[Any]:
    """Squares of images or flow (n, H, W, C): the central one as a view (n, side, side, C), or ten.

    Ten are (n, 10, side, side, C): the corners, row by row, and the centre, then their mirror
    images; of flow, a mirror image moves the other way. Source: Krizhevsky et al., "ImageNet
    Classification with Deep Convolutional Neural Networks", NIPS 2012, section 4.1.
    """
    bottom, right = images.shape[1] - side, images.shape[2] - side
    places = [(bottom // 2, right // 2)]
    if count > 1:
        places = [(0, 0), (0, right), (bottom, 0), (bottom, right), *places]
    found = [images[:, top : top + side, left : left + side] for top, left in places]
    if count == 1:
        return found[0]
    sign = [-1, 1] if images.shape[-1] == 2 else [1] * images.shape[-1]
    mirrored = [one[:, :, ::-1] * np.array(sign, images.dtype) for one in found]
    return np.stack([*found, *mirrored], axis=1)
