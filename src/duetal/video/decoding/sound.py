"""The sound of a video's file, in windows that go forward with its snippets.

Sound is placed by its timestamps on the clock of the pictures. Where there is none (before the
beginning, after the end, in a gap, or where it is damaged) it is silence. Memory does not grow with
the length of the file.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.files import Closing
from duetal.core.grid import TimeGrid
from duetal.video.decoding.container import VideoFile, open_any, open_source, videos_of
from duetal.video.decoding.geometry import Geometry
from duetal.video.decoding.video_reader import Decoded, Frame, VideoInfo

#: Seconds by which timestamps may be off before a gap is believed.
TOLERANCE = 0.1
#: Seconds of sound before the first picture that are kept: no window reaches farther.
_BEFORE = 30
#: Samples a second at which the length of sound without pictures is measured.
_RATE = 16_000
#: Seconds of silence at most that a leap of the clock may cause; a longer one is no gap.
LONGEST_GAP = 3600.0

Samples = NDArray[np.float32]


class SoundReader(Closing):
    """The sound of an opened file as one channel; made by `open_sound`, a context manager."""

    def __init__(self, file: VideoFile, container: InputContainer, rate: int, zero: float):
        self._file, self._container, self.rate = file, container, rate
        best = container.streams.best("audio")
        if not isinstance(best, AudioStream) or best.codec_context is None:
            raise DuetalError("no sound in it", file=file.source)
        self.stream = best
        self._zero = zero
        self._pieces = self._placed()
        #: The samples that may still be wanted, and those decoded since the last window.
        self._kept = np.zeros(0, np.float32)
        self._new: list[Samples] = []
        #: The place of the first sample kept, counted from the first picture, and that after the
        #: last one decoded. Sound may begin before the pictures.
        self._first = self._end = -_BEFORE * rate
        #: A piece before which there is silence.
        self._waiting: tuple[int, Samples] | None = None
        self._ended = False

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()

    def window(self, centre: float, seconds: float) -> Samples:
        """The samples (n,) of so many seconds around a place, in seconds after the first picture.

        Windows must not go back.
        """
        count = round(seconds * self.rate)
        begin = round(centre * self.rate) - count // 2
        while not self._ended and self._end < begin + count:
            self._read()
        kept = np.concatenate([self._kept, *self._new])
        dropped = min(max(0, begin - self._first), len(kept))
        self._kept, self._first = kept[dropped:], self._first + dropped
        self._new.clear()
        window = np.zeros(count, np.float32)
        place = min(max(0, self._first - begin), count)
        found = self._kept[: count - place]
        window[place : place + len(found)] = found
        return window

    def length(self) -> float:
        """Seconds from the first picture to the last sample; no window can be read afterwards."""
        while not self._ended:
            self._read()
            self._new.clear()
        return self._end / self.rate

    def _read(self) -> None:
        """Take one more piece, or at most a second of the silence before it."""
        piece = self._waiting or next(self._pieces, None)
        self._waiting = None
        if piece is None:
            self._ended = True
            return
        place, samples = piece
        gap = place - self._end
        if gap > 0:
            self._waiting = piece
            samples = np.zeros(min(gap, self.rate), np.float32)
        elif gap < 0:
            samples = samples[-gap:]
        self._new.append(samples)
        self._end += len(samples)

    def _placed(self) -> Iterator[tuple[int, Samples]]:
        """Pieces of sound with the place of their first sample; places never go back."""
        resampler = self._resampler()
        end = 0
        for frame in self._frames():
            if frame.time is not None:
                place = round((frame.time - self._zero) * self.rate)
                if TOLERANCE * self.rate < abs(place - end) < LONGEST_GAP * self.rate:
                    for samples in self._resampled(resampler, None):
                        yield end, samples
                    resampler, end = self._resampler(), place
            try:
                pieces = self._resampled(resampler, frame)
            except (av.error.FFmpegError, ValueError):
                # Its rate or channels have changed on the way.
                resampler = self._resampler()
                pieces = self._resampled(resampler, frame)
            for samples in pieces:
                yield end, samples
                end += len(samples)
        for samples in self._resampled(resampler, None):
            yield end, samples
            end += len(samples)

    def _resampler(self) -> av.AudioResampler:
        # Not to one channel, which FFmpeg makes louder than any of those that it adds.
        return av.AudioResampler(format="fltp", rate=self.rate)

    def _resampled(self, resampler: av.AudioResampler, frame: AudioFrame | None) -> list[Samples]:
        """The mean of the channels of what comes out."""
        found = (one.to_ndarray().mean(axis=0) for one in resampler.resample(frame))
        return [np.nan_to_num(samples, posinf=0.0, neginf=0.0) for samples in found]

    def _frames(self) -> Iterator[AudioFrame]:
        try:
            for packet in self._container.demux(self.stream):
                try:
                    yield from packet.decode()
                except EOFError:
                    continue
                except av.error.FFmpegError:
                    continue
        except av.error.FFmpegError:
            # What can't be read is as silent as what follows the end.
            return


class SoundAlone(Closing):
    """A file of sound without pictures, in the place of a `VideoReader`: its frames show nothing.

    Its sound is decoded to the end, which tells its duration; DuetalError if there is none.
    """

    def __init__(self, source: str | Path) -> None:
        with open_sound(source, _RATE) as sound:
            duration, stream = sound.length(), sound.stream.index
            if duration <= 0:
                raise DuetalError("no sound in it that can be decoded", file=source)
        self.zero, self._stream = 0.0, stream
        self._picture = np.zeros((1, 1, 3), np.uint8)
        self.info = VideoInfo(1, 1, duration, Geometry())
        self.decoded: Decoded

    def close(self) -> None:
        """Nothing is open."""

    def frames(self, fps: float = 25.0, short_side: int | None = None) -> Iterator[Frame]:
        """As many frames as the sound lasts."""
        assert self.info.duration is not None
        count = TimeGrid(fps=fps).frames(self.info.duration)
        for index in range(count):
            yield Frame(index, self._picture, index > 0, lambda: self._picture)
        self.decoded = Decoded(count, 1, self.info.duration, 0.0, fps, self._stream, ())


def has_pictures(source: str | Path) -> bool:
    """Whether a file has a video, and not sound alone; DuetalError if it can't be read."""
    with closing(open_source(source)) as file, open_any(file) as container:
        return bool(videos_of(container)) or not container.streams.audio


def open_sound(source: str | Path, rate: int, zero: float = 0.0) -> SoundReader:
    """Open the sound of a file, as one channel of `rate` samples a second.

    `zero` is the timestamp of the first picture, in seconds: windows are counted from it.

    Raises:
        DuetalError: it can't be read, or has no sound that can be decoded.
    """
    with ExitStack() as on_error:
        file = on_error.enter_context(closing(open_source(source)))
        container = on_error.enter_context(open_any(file))
        reader = SoundReader(file, container, rate, zero)
        on_error.pop_all()
        return reader
