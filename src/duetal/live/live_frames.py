"""Frames of a live session as they come, and what is left of them when there is no time.

A thread reads the pictures as they come. Where more than a few seconds of frames wait to be worked
on, those that come are lost until there is room again: from the start of a snippet to that of
another, so that whole snippets are lost and not parts of many.
"""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from fractions import Fraction

from av.video.frame import VideoFrame

from duetal.core.files import Closing
from duetal.core.grid import TimeGrid
from duetal.live.live_source import Session
from duetal.video.decoding.deinterlacing import TimedPicture, deinterlaced
from duetal.video.decoding.geometry import read_geometry
from duetal.video.decoding.timeline import USUAL_RATE
from duetal.video.decoding.video_reader import Frame, resample

#: Seconds of frames that may wait.
LATEST = 4.0
#: Seconds for which the last picture is shown, at most.
_LONGEST_STEP = Fraction(1)


class LiveFrames(Closing):
    """The frames of a session, read by a thread of its own; a context manager.

    Args:
        session: the pictures.
        grid: whose frame rate they are brought to, and whose snippets are lost whole.
        short_side: pixels of the frames' shorter side.
        speed: of a file: seconds of it that pass in one second; 0 as fast as they are worked on.
        loses: whether frames are lost that come when too many wait; else the source waits.
    """

    def __init__(
        self, session: Session, grid: TimeGrid, short_side: int, *, speed: float, loses: bool
    ):
        self._grid, self._speed, self._loses = grid, speed, loses
        self._most = int(LATEST * grid.fps)
        self._session, self._short_side = session, short_side
        self._waiting: deque[Frame | None] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._over = self._closed = self._losing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, as soon as the source gives it a picture or its time is up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order; what was lost repeats the frame before."""
        last: Frame | None = None
        index = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._over or self._closed)
                if self._closed:
                    return
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return
                frame = self._waiting.popleft()
                self._changed.notify_all()
            if frame is None:
                assert last is not None
                frame = replace(last, index=index, repeated=True, lost=True)
            last, index = frame, frame.index + 1
            yield frame

    def _run(self) -> None:
        try:
            for frame in self._resampled():
                if not self._put(frame):
                    break
        except BaseException as error:
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _resampled(self) -> Generator[Frame, None, int]:
        pictures = deinterlaced(self._paced())
        first = next(pictures, None)
        if first is None:
            return 0
        geometry = read_geometry(first[1], self._session.pixel_aspect)
        last, step = first[0], 1 / USUAL_RATE

        def noted() -> Iterator[TimedPicture]:
            nonlocal last, step
            yield first
            for begin, picture in pictures:
                # The last picture lasts as long as the one before, but for a pause.
                step = min(begin - last, _LONGEST_STEP)
                last = begin
                yield begin, picture

        size = geometry.display_size(first[1].width, first[1].height)
        return (
            yield from resample(
                noted(), size, geometry, self._grid.fps, self._short_side, lambda: last + step
            )
        )

    def _paced(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        started = time.monotonic()
        for begin, picture in self._session.pictures:
            if self._speed:
                late = started + float(begin) / self._speed - time.monotonic()
                with self._changed:
                    if late > 0 and not self._closed:
                        self._changed.wait_for(lambda: self._closed, late)
            if self._closed:
                return
            yield begin, picture

    def _put(self, frame: Frame) -> bool:
        """Let a frame wait, or lose it; False where nobody reads any more."""
        with self._changed:
            if not self._loses:
                self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._most)
            elif frame.index and frame.index % self._grid.stride == 0:
                room = self._most // 2 if self._losing else self._most
                self._losing = len(self._waiting) >= room
            self._waiting.append(None if self._losing else frame)
            self._changed.notify_all()
            return not self._closed
