"""Pictures of a live source: a file as if live, standard input, a device, or an address.

A source that is lost is waited for. What comes after it is a session of its own, because nothing is
known of the time between: `begin` says where it lies on the clock of the whole.
"""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from duetal.core.errors import DuetalError, UsageError, machine_fault, unknown
from duetal.video.decoding.container import (
    MOST_PIXELS,
    REFUSED_FORMATS,
    choose_stream,
    open_any,
    open_source,
    set_up_decoder,
)
from duetal.video.decoding.timeline import USUAL_RATE, StreamTimes, Timeline

STANDARD_INPUT = "-"
#: Which protocols FFmpeg may use for an address. None of them reads a local file.
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtp": "rtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "srt": "srt",
    "http": "http,https,tcp,tls,crypto,hls",
    "https": "https,http,tcp,tls,crypto,hls",
}
#: Errors of a picture or a packet in a row after which a source counts as lost.
_MOST_ERRORS = 250
#: Seconds between two attempts to reach a source again: these, and then the last one for ever.
_PAUSES = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Session:
    """A stretch of a live source without a break."""

    begin: float  #: Seconds on the clock of the whole at which it begins.
    #: Pairs of begin, in seconds of the session, and picture. Ends where the source does.
    pictures: Iterator[tuple[Fraction, VideoFrame]]
    pixel_aspect: Fraction | None  #: Width of a pixel over its height, where declared.


class LiveSource:
    """A source of live pictures.

    Args:
        address: a file, `-`, a video device, or an address such as `rtsp://…`, `udp://…` or HLS.
        wait: seconds without a picture after which a source is lost.
        patience: seconds for which a lost source is waited for.
        notify: called with a line about each loss and each return.

    Raises:
        UsageError: an address of an unknown kind.
        DuetalError: no such file.
    """

    def __init__(
        self,
        address: str,
        *,
        wait: float = 10.0,
        patience: float = float("inf"),
        notify: Callable[[str], object] = lambda line: None,
    ):
        self.address = address
        self._wait, self._patience, self._notify = wait, patience, notify
        scheme = urlsplit(address).scheme if "://" in address else ""
        if scheme and scheme not in _PROTOCOLS:
            raise UsageError(unknown("kind of address", scheme, _PROTOCOLS), file=address)
        self._protocols = _PROTOCOLS.get(scheme)
        self._is_device = False
        if not scheme and address != STANDARD_INPUT:
            path = Path(address)
            if not path.exists():
                raise DuetalError("no such file", file=address)
            self._is_device = stat.S_ISCHR(path.stat().st_mode)

    @property
    def is_file(self) -> bool:
        """Whether all of it is there already."""
        return not (self._protocols or self._is_device or self.address == STANDARD_INPUT)

    @property
    def comes_back(self) -> bool:
        """Whether more may come after its end."""
        return self._protocols is not None or self._is_device

    def sessions(self) -> Iterator[Session]:
        """One session after the other; the first one's begin is 0. A session ends with the next.

        Raises:
            DuetalError: the source can't be opened at first, or stays away for longer than the
                patience; it has no video.
        """
        started: float | None = None
        while True:
            container, stream = self._open() if started is None else self._open_again()
            with closing(container):
                now = time.monotonic()
                started = now if started is None else started
                pictures = self._pictures(container, stream)
                yield Session(now - started, pictures, stream.sample_aspect_ratio)
            if not self.comes_back:
                return
            self._notify("the source ended; waiting for it to come back")

    def _open(self) -> tuple[InputContainer, VideoStream]:
        try:
            container = self._container()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            cause = machine_fault(error) or getattr(error, "strerror", None) or str(error)
            raise DuetalError(
                f"cannot be opened as a live source: {cause}", file=self.address
            ) from error
        try:
            stream = choose_stream(container, self.address)
            set_up_decoder(stream, None, self.address)
        except BaseException:
            container.close()
            raise
        return container, stream

    def _container(self) -> InputContainer:
        if self.is_file:
            return open_any(open_source(self.address))
        options = {"max_pixels": str(MOST_PIXELS)}
        if self.address == STANDARD_INPUT:
            allowed = ",".join(sorted(av.formats_available - REFUSED_FORMATS))
            options |= {"format_whitelist": allowed, "protocol_whitelist": "none"}
            return av.open(_Pipe(), "r", options=options, metadata_errors="replace")
        if self._is_device:
            return av.open(self.address, "r", format="v4l2", timeout=self._wait)
        assert self._protocols is not None
        options["protocol_whitelist"] = self._protocols
        timeout = (self._wait, self._wait)
        return av.open(
            self.address, "r", options=options, timeout=timeout, metadata_errors="replace"
        )

    def _open_again(self) -> tuple[InputContainer, VideoStream]:
        lost, attempt = time.monotonic(), 0
        while True:
            time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            try:
                found = self._open()
            except DuetalError as error:
                attempt += 1
                if time.monotonic() - lost > self._patience:
                    away = f"it did not come back in {self._patience:g} s"
                    raise DuetalError(f"{away}: {error.cause}", file=self.address) from error
                continue
            self._notify(f"the source is back after {time.monotonic() - lost:.0f} s")
            return found

    def _pictures(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[tuple[Fraction, VideoFrame]]:
        """The pictures with their times, until the source ends, is lost."""
        times = StreamTimes(container, stream)
        timeline = Timeline(1 / (times.rate or USUAL_RATE), leaps=True)
        usual: Fraction | None = None
        for frame in self._decoded(container, stream):
            yield timeline.place(times.stamp(frame), usual), frame
            usual = times.lasting(frame)

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        errors = 0
        packets = container.demux(stream)
        while errors < _MOST_ERRORS:
            try:
                packet = next(packets)
                frames = stream.decode(packet)
            except StopIteration:
                return
            except (av.error.ExitError, av.error.TimeoutError):
                self._notify(f"no picture for {self._wait:g} s")
                return
            except (av.error.EOFError, av.error.ConnectionResetError):
                return
            except (av.error.FFmpegError, IndexError):
                errors += 1
                continue
            errors = 0 if frames else errors
            yield from frames
        self._notify(f"{errors} errors in a row")


class _Pipe:
    """Standard input, which can be read once; FFmpeg must not look for its size."""

    name = "video"

    def read(self, size: int) -> bytes:
        return os.read(sys.stdin.fileno(), size)
