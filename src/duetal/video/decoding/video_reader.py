"""A video as frames at a fixed rate: any container and codec of FFmpeg's, streamed.

    with open_video("match.mp4") as video:
        for frame in video.frames(fps=25, short_side=256): ...

Frame k is the picture that a player shows at the middle of its interval, `(k + 0.5) / fps` seconds
after the first picture; a video whose last picture ends after `duration` seconds has
`TimeGrid.frames(duration)` of them. Memory does not grow with the length of the video.
"""

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from duetal.core.errors import DuetalError
from duetal.core.files import Closing
from duetal.core.grid import TimeGrid
from duetal.video.decoding.container import (
    VideoFile,
    open_container,
    open_source,
    stream_note,
)
from duetal.video.decoding.deinterlacing import TimedPicture, deinterlaced
from duetal.video.decoding.geometry import Geometry, Image, RGBConverter, read_geometry, resized
from duetal.video.decoding.pictures import Pictures


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The declared size and duration of a video, before it is decoded."""

    width: int  #: Pixels as displayed.
    height: int
    duration: float | None  #: Declared seconds; the true duration is that of `Decoded`.
    geometry: Geometry  #: How the coded pictures are displayed.
    rate: float | None = None  #: Declared pictures a second.
    offset: float = 0.0  #: Seconds that a player's clock shows at the first picture.


@dataclass(frozen=True, slots=True)
class Decoded:
    """The true size of a video, found by decoding it."""

    frames: int  #: N, frames at the fixed rate.
    source_frames: int  #: Pictures of the video itself.
    duration: float  #: Seconds from the begin of the first picture to the end of the last.
    offset: float  #: Seconds that a player's clock shows at the first picture.
    rate: float  #: Pictures of the video a second, where it does not pause.
    stream: int  #: Number in the file of the stream that was read.
    notes: tuple[str, ...]  #: What was wrong and could be tolerated, one line each.


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame at the fixed rate. It keeps its decoded picture in memory."""

    index: int  #: k, from 0.
    image: Image  #: (h, w, 3) RGB as displayed, resized. Frames that repeat a picture share it.
    repeated: bool  #: Shows the same source picture as the frame before it.
    full: Callable[[], Image]  #: Gives (height, width, 3) RGB at the video's own resolution.
    lost: bool = False  #: Of a live video: came when there was no time for it; shows another's.


class VideoReader(Closing):
    """An opened video, whose frames can be read once. Made by `open_video`; a context manager."""

    def __init__(
        self, file: VideoFile, container: InputContainer, stream: VideoStream, *, damaged: bool
    ) -> None:
        self._file, self._container = file, container
        self._stream, self._stream_note = stream.index, stream_note(container, stream)
        self._pictures = Pictures(container, stream, file, damaged=damaged)
        timed = iter(self._pictures)
        # A picture carries its rotation, so the size follows from the first one.
        begin, first = next(timed)
        self._timed: Iterator[TimedPicture] | None = itertools.chain([(begin, first)], timed)
        self._decoded: Decoded | None = None
        geometry = read_geometry(first, stream.sample_aspect_ratio)
        declared = self._pictures.times.duration()
        width, height = geometry.display_size(first.width, first.height)
        duration = None if declared is None else float(declared[1])
        rate = self._pictures.times.rate
        self.info = VideoInfo(
            width,
            height,
            duration,
            geometry,
            rate=None if rate is None else float(rate),
            offset=float(self._pictures.offset),
        )
        #: The first picture's timestamp, in seconds: where the other streams' times count from.
        self.zero = float(self._pictures.zero)

    def close(self) -> None:
        """Close the file."""
        self._timed = None
        self._container.close()
        self._file.close()

    @property
    def decoded(self) -> Decoded:
        """What decoding found; known after the last of `frames`."""
        if self._decoded is None:
            raise ValueError("the frames have not been read to their end")
        return self._decoded

    def frames(self, fps: float = 25.0, short_side: int | None = 256) -> Iterator[Frame]:
        """The frames in order, decoded on demand. Can be called once.

        Args:
            fps: frames a second.
            short_side: pixels of the images' shorter side; None for images of nothing, where those
                of full size are read alone.

        Raises:
            DuetalError: the file can't be read; its pictures are longer than 16 times their
                width; more than 2 seconds of it are damaged or missing, which is raised at the end
                unless the video was opened as a damaged one.
        """
        if self._timed is None:
            raise ValueError("the frames of a video can be read once")
        timed, self._timed = self._timed, None
        try:
            yield from self._resample(deinterlaced(timed), fps, short_side)
        except DuetalError as error:
            if error.file is not None:
                raise
            raise DuetalError(error.cause, file=self._file.source) from error

    def _resample(
        self, pictures: Iterable[TimedPicture], fps: float, short_side: int | None
    ) -> Iterator[Frame]:
        size = self.info.width, self.info.height
        index = yield from resample(
            pictures, size, self.info.geometry, fps, short_side, lambda: self._pictures.end
        )
        duration = float(self._pictures.end)
        notes = (*self._stream_note, *self._pictures.notes())
        found = self._pictures
        self._decoded = Decoded(
            frames=index,
            source_frames=found.count,
            duration=duration,
            offset=float(found.offset),
            rate=float(found.rate),
            stream=self._stream,
            notes=notes,
        )


def _nothing(picture: VideoFrame) -> Image:
    return np.zeros((1, 1, 3), np.uint8)


def resample(
    pictures: Iterable[TimedPicture],
    size: tuple[int, int],
    geometry: Geometry,
    fps: float,
    short_side: int | None,
    end: Callable[[], Fraction],
) -> Generator[Frame, None, int]:
    """Frames at a fixed rate of pictures and the seconds at which they begin.

    `size` is width and height of the first picture as displayed, which all are shown in; `end` is
    asked at last, and gives the seconds at which the last one ends. Returns the number of frames.
    """
    small_size = resized(size, short_side or 1)
    small = RGBConverter(small_size, geometry).convert if short_side else _nothing
    full = RGBConverter(size, geometry)
    # Fractions, because a middle can fall on the very begin of a picture.
    rate, index, current, shown = Fraction(fps), 0, None, None
    for begin, picture in pictures:
        while current is not None and (index + Fraction(1, 2)) / rate < begin:
            yield Frame(index, current[0](), current is shown, current[1])
            index, shown = index + 1, current
        # A picture is converted when a frame shows it, and once for all frames that do.
        current = cache(partial(small, picture)), partial(full.convert, picture)
    assert current is not None
    for k in range(index, TimeGrid(fps=fps).frames(float(end()))):
        yield Frame(k, current[0](), current is shown, current[1])
        index, shown = k + 1, current
    return index


def open_video(
    source: str | Path,
    *,
    threads: int | None = None,
    stream: int | None = None,
    damaged: bool = False,
) -> VideoReader:
    """Open a video.

    Args:
        source: a local path, or a URL of fsspec's, such as `s3://bucket/video.mp4`.
        threads: of the decoder; None takes the machine's cores, but 4 at most.
        stream: number of the stream that is read, from 0; None takes the default, or the largest.
        damaged: what can be decoded of a damaged video is taken, however much is lost.

    Raises:
        DuetalError: it can't be read, is no video, or has no picture that can be decoded.
        UsageError: the URL's storage needs a package that is not installed.
    """
    with ExitStack() as on_error:
        file = on_error.enter_context(closing(open_source(source)))
        container, chosen = open_container(file, threads, stream)
        on_error.enter_context(container)
        reader = VideoReader(file, container, chosen, damaged=damaged)
        on_error.pop_all()
        return reader


def require_snippet(source: str | Path, frames: int, grid: TimeGrid) -> int:
    """The number of snippets T of a decoded video.

    Raises:
        DuetalError: T is 0.
    """
    length = grid.snippets(frames)
    if length == 0:
        cause = f"too short: {frames} frames at {grid.fps:g} a second, one snippet needs"
        raise DuetalError(f"{cause} {grid.window}", file=source)
    return length
