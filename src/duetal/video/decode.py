"""A video as frames at a fixed rate: any container and codec of FFmpeg's, streamed.

    with open_video("match.mp4") as video:
        for frame in video.frames(fps=25, short_side=256):
            ...
        video.decoded.frames

Frame k is the picture that a player shows at the middle of its interval, `(k + 0.5) / fps` seconds
after the first picture; a video whose last picture ends after `duration` seconds has
`TimeGrid.frames(duration)` of them. Memory does not grow with the length of the video.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from duetal.core.errors import DuetalError
from duetal.core.files import Closing
from duetal.core.grid import TimeGrid
from duetal.video.container import open_container
from duetal.video.deinterlace import Timed, deinterlaced
from duetal.video.geometry import Geometry, Painter, Picture, read_geometry, resized
from duetal.video.pictures import Pictures
from duetal.video.source import SourceFile, open_source


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before it is decoded.

    Args:
        source: path or URL.
        container: FFmpeg's name of it.
        codec: FFmpeg's name of it.
        width: pixels as displayed, after pixel aspect and rotation.
        height: likewise.
        fps: pictures a second as declared; None where nothing is.
        duration: seconds as declared; None where nothing is. The true one is known at the end.
        rotation: degrees counterclockwise by which the coded pictures are turned.
        pixel_aspect: width of a coded pixel over its height.
    """

    source: str
    container: str
    codec: str
    width: int
    height: int
    fps: float | None
    duration: float | None
    rotation: int
    pixel_aspect: Fraction


@dataclass(frozen=True, slots=True)
class Decoded:
    """What is known of a video after it was decoded.

    Args:
        frames: N, frames at the fixed rate.
        source_frames: pictures of the video itself.
        duration: seconds from the begin of the first picture to the end of the last.
        notes: what was wrong and could be lived with, one line each.
    """

    frames: int
    source_frames: int
    duration: float
    notes: tuple[str, ...]


class _Shown:
    """One source picture, drawn when it is asked for and at most once at the small size."""

    def __init__(self, frame: VideoFrame, small: Painter, full: Painter) -> None:
        self._frame, self._small, self._full = frame, small, full
        self._image: Picture | None = None

    def image(self) -> Picture:
        if self._image is None:
            self._image = self._small.draw(self._frame)
        return self._image

    def full(self) -> Picture:
        return self._full.draw(self._frame)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame at the fixed rate. It keeps its decoded picture: let go of it when done.

    Args:
        index: k, from 0.
        image: (h, w, 3) RGB in display geometry, its short side as asked. Frames that repeat a
            picture share it.
        repeated: shows the same source picture as the frame before it.
    """

    index: int
    image: Picture
    repeated: bool
    _shown: _Shown

    def full(self) -> Picture:
        """(height, width, 3) RGB in display geometry at the video's own resolution, drawn anew."""
        return self._shown.full()


class VideoReader(Closing):
    """An opened video, whose frames can be read once. Made by `open_video`; a context manager."""

    def __init__(self, file: SourceFile, container: InputContainer, stream: VideoStream) -> None:
        self._file, self._container = file, container
        self._pictures = Pictures(container, stream, file.source)
        timed = iter(self._pictures)
        try:
            # A picture carries its rotation, so the first one is needed to know the size.
            first = next(timed)
        except StopIteration as error:
            raise DuetalError("no picture in it can be decoded", file=file.source) from error
        self._timed: Iterator[Timed] | None = itertools.chain([first], timed)
        self._geometry = read_geometry(first[1], stream.sample_aspect_ratio)
        self._size = self._geometry.display_size(first[1].width, first[1].height)
        self._decoded: Decoded | None = None
        self.info = self._describe(stream, self._geometry)

    def close(self) -> None:
        """Close the file."""
        self._timed = None
        self._container.close()
        self._file.close()

    @property
    def decoded(self) -> Decoded:
        """What decoding found; only after the last of `frames` was taken."""
        if self._decoded is None:
            raise ValueError("the frames have not been read to their end")
        return self._decoded

    def frames(self, fps: float = 25.0, short_side: int = 256) -> Iterator[Frame]:
        """The frames in order, decoded as they are asked for. Can be called once.

        Args:
            fps: frames a second.
            short_side: pixels of the images' shorter side.

        Yields:
            N frames, `TimeGrid(fps).frames(decoded.duration)`.

        Raises:
            DuetalError: the file can't be read; its pictures are longer than 16 times their
                width; more than 2 seconds of it are damaged or missing at its end, which is known
                and told when the rest has been given.
        """
        if self._timed is None:
            raise ValueError("the frames of a video can be read once")
        timed, self._timed = self._timed, None
        try:
            small = Painter(resized(self._size, short_side), self._geometry)
            full = Painter(self._size, self._geometry)
            shown = ((t, _Shown(frame, small, full)) for t, frame in deinterlaced(timed))
            yield from self._resample(shown, fps)
        except DuetalError as error:
            if error.file is not None:
                raise
            raise DuetalError(error.cause, file=self._file.source) from error

    def _resample(self, pictures: Iterable[tuple[Fraction, _Shown]], fps: float) -> Iterator[Frame]:
        # Fractions, because a middle can fall on the very begin of a picture.
        rate = Fraction(fps)
        index, held, given = 0, None, None
        for begin, picture in pictures:
            while held is not None and (index + Fraction(1, 2)) / rate < begin:
                yield Frame(index, held.image(), held is given, held)
                index, given = index + 1, held
            held = picture
        assert held is not None
        duration = float(self._pictures.end)
        for k in range(index, TimeGrid(fps=fps).frames(duration)):
            yield Frame(k, held.image(), held is given, held)
            index, given = k + 1, held
        self._decoded = Decoded(index, self._pictures.count, duration, self._pictures.notes())

    def _describe(self, stream: VideoStream, geometry: Geometry) -> VideoInfo:
        declared, rate = self._pictures.declared_duration(), self._pictures.rate
        return VideoInfo(
            source=str(self._file.source),
            container=self._container.format.name,
            codec=stream.codec_context.name,
            width=self._size[0],
            height=self._size[1],
            fps=None if rate is None else float(rate),
            duration=None if declared is None else float(declared),
            rotation=geometry.rotation,
            pixel_aspect=geometry.pixel_aspect,
        )


def open_video(source: str | Path, *, threads: int | None = None) -> VideoReader:
    """Open a video.

    Args:
        source: a local path, or a URL that fsspec knows, such as `s3://bucket/video.mp4`.
        threads: of the decoder; None takes the machine's cores, but 4 at most.

    Raises:
        DuetalError: it can't be read, is no video, or has no picture that can be decoded.
        UsageError: the URL's storage needs a package that is not installed.
    """
    file = open_source(source)
    try:
        container, stream = open_container(file, threads)
        try:
            return VideoReader(file, container, stream)
        except BaseException:
            container.close()
            raise
    except BaseException:
        file.close()
        raise


def require_snippet(source: str | Path, frames: int, grid: TimeGrid) -> int:
    """T of a decoded video, where it is long enough for any.

    Raises:
        DuetalError: fewer frames than one snippet sees.
    """
    length = grid.snippets(frames)
    if length == 0:
        cause = f"too short: {frames} frames at {grid.fps:g} a second, one snippet needs"
        raise DuetalError(f"{cause} {grid.window}", file=source)
    return length
