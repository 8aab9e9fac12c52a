"""Deinterlacing: two moments in one picture would look like motion to the flow."""

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeAlias

from av.error import BlockingIOError as NotYetError
from av.error import EOFError as NoMoreError
from av.filter import Graph
from av.video.frame import VideoFrame

#: A picture and when it begins, in seconds.
TimedPicture: TypeAlias = tuple[Fraction, VideoFrame]


def deinterlaced(pictures: Iterable[TimedPicture]) -> Iterator[TimedPicture]:
    """The same pictures at the same times, with those that are flagged interlaced deinterlaced.

    A video without such pictures passes untouched; from the first one on FFmpeg's bwdif reads a
    picture's neighbours, which delays it by one.
    """
    deinterlacer: _Deinterlacer | None = None
    for begin, frame in pictures:
        if deinterlacer is not None and deinterlacer.form != _form(frame):
            yield from deinterlacer.finish()
            deinterlacer = None
        if deinterlacer is None and frame.interlaced_frame:
            deinterlacer = _Deinterlacer(frame)
        if deinterlacer is None:
            yield begin, frame
        else:
            yield from deinterlacer.push(begin, frame)
    if deinterlacer is not None:
        yield from deinterlacer.finish()


class _Deinterlacer:
    """One filter graph, for pictures of one size and format."""

    def __init__(self, frame: VideoFrame) -> None:
        self.form = _form(frame)
        self._waiting: deque[TimedPicture] = deque()
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        bwdif = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()
        self._pushed = 0

    def push(self, begin: Fraction, frame: VideoFrame) -> Iterator[TimedPicture]:
        self._waiting.append((begin, frame))
        # The filter's own count of time: the true one may stand still.
        frame.pts, frame.time_base = self._pushed, Fraction(1, 25)
        self._pushed += 1
        self._graph.vpush(frame)
        yield from self._ready()

    def finish(self) -> Iterator[TimedPicture]:
        self._graph.vpush(None)
        yield from self._ready()
        # A picture that the filter does not return is better combed than missing.
        yield from self._waiting

    def _ready(self) -> Iterator[TimedPicture]:
        while self._waiting:
            try:
                whole = self._graph.vpull()
            except (NotYetError, NoMoreError):
                return
            begin, combed = self._waiting.popleft()
            whole.colorspace, whole.color_range = combed.colorspace, combed.color_range
            yield begin, whole


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
