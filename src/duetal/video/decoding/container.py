"""Opening a video: its bytes, its container, and which of its streams is read.

The bytes come from a regular local file or an fsspec URL, and FFmpeg reads nothing else.
"""

import os
import stat
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import av
import fsspec
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from duetal.core.errors import DuetalError, UsageError, machine_fault
from duetal.core.files import is_url

#: Demuxers that open what a file names: other files, addresses; and text shown as pictures.
REFUSED_FORMATS = frozenset({
    "avisynth", "concat", "concatf", "dash", "ffmetadata", "hls", "image2", "imf", "lavfi", "rtp",
    "rtsp", "sap", "sdp", "smoothstreaming", "tty", "vapoursynth", "vobsub", "webm_dash_manifest",
})  # fmt: skip
BUFFER_SIZE = 1 << 18  #: Bytes that FFmpeg reads at once; every request crosses Python.
#: The largest coded picture: 8192 x 8192, which 8K fits in; a header can claim anything.
MOST_PIXELS = 1 << 26
MOST_THREADS = 4  #: Decoder threads that are of use beside the flow and the networks.


class VideoFile:
    """A readable, seekable file, whose every failure is a `DuetalError` naming the video."""

    def __init__(self, source: str | Path, file: Any) -> None:
        self.source = source
        self._file = file
        # FFmpeg takes the suffix as a hint; the rest of a name could only mislead it.
        self.name = "video" + PurePosixPath(str(source)).suffix
        self.read, self.seek, self.tell, self.close = (
            partial(self._call, method) for method in ("read", "seek", "tell", "close")
        )

    def read_at(self, place: int, size: int) -> bytes:
        """Up to so many bytes from a place on; whoever reads the file goes on where it was."""
        here = self.tell()
        self.seek(place)
        data: bytes = self.read(size)
        self.seek(here)
        return data

    def _call(self, method: str, *arguments: int) -> Any:
        try:
            return getattr(self._file, method)(*arguments)
        except Exception as error:  # A storage library's own types: there is no common one.
            raise DuetalError(f"cannot read: {_reason(error)}", file=self.source) from error


def open_source(source: str | Path) -> VideoFile:
    """Open a local path or a URL such as `s3://bucket/video.mp4` for reading.

    Raises:
        DuetalError: missing, unreadable, empty, or no regular file (a folder, a pipe, a device).
        UsageError: the URL's storage needs a package that is not installed.
    """
    try:
        file = VideoFile(source, _open(source))
    except DuetalError:
        raise
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=source) from error
    except ImportError as error:
        hint = 'pip install "duetal[cluster]" brings s3'
        raise UsageError(f"{_reason(error)} ({hint})", file=source) from error
    except Exception as error:  # A storage library's own types: there is no common one.
        verb = "open" if is_url(source) else "read"
        raise DuetalError(f"cannot {verb}: {_reason(error)}", file=source) from error
    if file.seek(0, os.SEEK_END) == 0:
        file.close()
        raise DuetalError("empty file: 0 bytes", file=source)
    file.seek(0)
    return file


def _open(source: str | Path) -> Any:
    if is_url(source):
        return fsspec.open(str(source), "rb").open()
    mode = Path(source).stat().st_mode
    if stat.S_ISDIR(mode):
        raise DuetalError("is a folder, not a video", file=source)
    # Opening a pipe or a terminal would wait for somebody to write into it.
    if not stat.S_ISREG(mode):
        raise DuetalError("not a regular file", file=source)
    return Path(source).open("rb")


def _reason(error: Exception) -> str:
    return f"{getattr(error, 'strerror', None) or error or type(error).__name__}"


def open_any(file: VideoFile) -> InputContainer:
    """Open a container; DuetalError if it is nothing that FFmpeg can read."""
    options = {
        "format_whitelist": ",".join(sorted(av.formats_available - REFUSED_FORMATS)),
        # No protocol at all: the bytes come from the file object.
        "protocol_whitelist": "none",
        "max_pixels": str(MOST_PIXELS),
    }
    try:
        return av.open(
            file, "r", options=options, buffer_size=BUFFER_SIZE,
            metadata_errors="replace", io_open=_refuse_to_open,
        )  # fmt: skip
    except (av.error.ArgumentError, DuetalError) as error:
        if isinstance(error, DuetalError) and error.file is not None:
            raise
        cause = "a playlist, script or text; only videos that hold their own pictures are read"
        raise DuetalError(cause, file=file.source) from error
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise DuetalError(_why_unreadable(file, error), file=file.source) from error


def open_container(
    file: VideoFile, threads: int | None = None, number: int | None = None
) -> tuple[InputContainer, VideoStream]:
    """Open a video's container and set up the decoder of the stream that is read.

    `threads` are the decoder's; None takes the machine's cores, but 4 at most. `number` is that of
    the stream, see `choose_stream`.

    Raises:
        DuetalError: nothing that FFmpeg can read, no video in it, or one too large.
    """
    container = open_any(file)
    try:
        stream = choose_stream(container, file.source, number)
        set_up_decoder(stream, threads, file.source)
    except BaseException:
        container.close()
        raise
    return container, stream


#: How an ASF file begins, and the object in its header that holds its size and length.
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def length_before_cut(file: VideoFile, stream: VideoStream) -> Fraction | None:
    """Seconds that an AVI or ASF file had before it was cut off; None where it is whole.

    FFmpeg takes the length of what is left. Matroska, MP4 and FLV keep theirs.
    """
    head = file.read_at(0, 8192)
    if head[:4] + head[8:12] == b"RIFFAVI ":
        # A writer that cannot go back leaves 0, or the largest number.
        declared = (int.from_bytes(head[4:8], "little") + 2**16) % 2**32 - 2**16 + 8
        length = stream.frames / (stream.guessed_rate or Fraction(1000))
    elif head.startswith(_ASF) and (place := head.find(_ASF_PROPERTIES)) > 0:
        declared, ticks, preroll = (
            int.from_bytes(head[place + at : place + at + 8], "little") for at in (40, 64, 80)
        )
        length = Fraction(ticks, 10_000_000) - Fraction(preroll, 1000)
    else:
        return None
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return length if size < declared and length > 0 else None


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> object:
    raise DuetalError(f"wants to open {url!r}")


def _why_unreadable(file: VideoFile, error: Exception) -> str:
    if not isinstance(error, av.error.InvalidDataError):
        return f"cannot be opened as a video: {machine_fault(error) or _reason(error)}"
    file.seek(0)
    if file.read(8)[4:] == b"ftyp":
        return "an MP4 without its index (moov): cut off, or its recording never finished"
    return "not a video: no container that is known, or its header is damaged"


def choose_stream(
    container: InputContainer, source: str | Path, number: int | None = None
) -> VideoStream:
    """The stream that is read: the container's default, or else the largest.

    Cover pictures and pictures of chapters are no videos. `number` chooses a stream by its place
    in the container, counted from 0.

    Raises:
        DuetalError: there is none, or no such one.
    """
    videos = videos_of(container)
    if number is not None:
        chosen = next((stream for stream in videos if stream.index == number), None)
        if chosen is None:
            numbers = ", ".join(str(stream.index) for stream in videos) or "none"
            raise DuetalError(f"stream {number} is no video; those are: {numbers}", file=source)
        return chosen
    if videos:
        return max(videos, key=_rank)
    kinds = {"audio": "sound", "subtitle": "subtitles"}
    found = sorted({kinds.get(other.type, other.type) for other in container.streams})
    if container.streams.video:
        found = [*(kind for kind in found if kind != "video"), "a cover picture"]
    only = f", only {' and '.join(found)}" if found else ""
    raise DuetalError(f"no video in it{only}", file=source)


def videos_of(container: InputContainer) -> list[VideoStream]:
    """The streams that are videos, and not a cover picture or pictures of chapters."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & pictures]


def _rank(stream: VideoStream) -> tuple[bool, bool, int]:
    """What can be decoded goes before the default, and that before size."""
    context = stream.codec_context
    size = 0 if context is None else context.width * context.height
    return context is not None, bool(stream.disposition & Disposition.default), size


def stream_note(container: InputContainer, stream: VideoStream) -> tuple[str, ...]:
    """Which stream is read, where there are several to choose from."""
    videos = videos_of(container)
    if len(videos) < 2:
        return ()
    listed = ", ".join(f"{one.index} of {one.width}x{one.height}" for one in videos)
    return (f"video streams: {listed}; stream {stream.index} is read",)


def set_up_decoder(stream: VideoStream, threads: int | None, source: str | Path) -> None:
    """Let a stream be decoded by so many threads; DuetalError if FFmpeg can't, or too large."""
    context = stream.codec_context
    if context is None:
        raise DuetalError("its video is in a codec that this FFmpeg cannot decode", file=source)
    if context.width * context.height > MOST_PIXELS:
        size = f"{context.width}x{context.height}"
        raise DuetalError(f"pictures of {size} pixels are too large to decode", file=source)
    context.thread_type = "AUTO"
    context.thread_count = threads or min(MOST_THREADS, os.cpu_count() or 1)
    context.options = {"max_pixels": str(MOST_PIXELS)}
