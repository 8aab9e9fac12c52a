"""Opening a container so that nothing but its own bytes is ever read, and choosing its video."""

import os
from pathlib import Path
from typing import TypeAlias

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from duetal.core.errors import DuetalError
from duetal.video.decoding.source import BUFFER_SIZE, SourceFile

#: Demuxers that open what a file names: other files, addresses; and text shown as pictures.
REFUSED_FORMATS = frozenset({
    "avisynth", "concat", "concatf", "dash", "ffmetadata", "hls", "image2", "imf", "lavfi", "rtp",
    "rtsp", "sap", "sdp", "smoothstreaming", "tty", "vapoursynth", "vobsub", "webm_dash_manifest",
})  # fmt: skip
#: The largest coded picture: 8192 x 8192, which 8K fits in; a header can claim anything.
MOST_PIXELS = 1 << 26
#: Decoder threads that are of use beside the flow and the networks.
MOST_THREADS = 4

Input: TypeAlias = tuple[InputContainer, VideoStream]


def open_container(file: SourceFile, threads: int | None = None) -> Input:
    """Open a video's container and set up the decoder of its first video.

    Args:
        file: the bytes.
        threads: of the decoder; None takes the machine's cores, but 4 at most.

    Returns:
        The container, and its first video stream that is not a cover picture.

    Raises:
        DuetalError: nothing that FFmpeg can read, no video in it, or one too large.
    """
    allowed = ",".join(sorted(av.formats_available - REFUSED_FORMATS))
    options = {
        "format_whitelist": allowed,
        # No protocol at all: the bytes come from the file object.
        "protocol_whitelist": "none",
        "max_pixels": str(MOST_PIXELS),
    }
    try:
        container = av.open(
            file,
            "r",
            options=options,
            buffer_size=BUFFER_SIZE,
            metadata_errors="replace",
            io_open=_refuse_to_open,
        )
    except (av.error.ArgumentError, DuetalError) as error:
        if isinstance(error, DuetalError) and error.file is not None:
            raise
        raise DuetalError(
            "a playlist, script or text; only videos that hold their own pictures are read",
            file=file.source,
        ) from error
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise DuetalError(_why_unreadable(file, error), file=file.source) from error
    try:
        stream = _choose_video(container, file.source)
        _set_up_decoder(stream, threads, file.source)
    except BaseException:
        container.close()
        raise
    return container, stream


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> object:
    raise DuetalError(f"wants to open {url!r}")


def _why_unreadable(file: SourceFile, error: Exception) -> str:
    if not isinstance(error, av.error.InvalidDataError):
        return f"cannot be opened as a video: {getattr(error, 'strerror', None) or error}"
    file.seek(0)
    if file.read(8)[4:] == b"ftyp":
        return "an MP4 without its index (moov): cut off, or its recording never finished"
    return "not a video: no container that is known, or its header is damaged"


def _choose_video(container: InputContainer, source: str | Path) -> VideoStream:
    videos = [stream for stream in container.streams.video if not _is_cover(stream)]
    if videos:
        return videos[0]
    kinds = {"audio": "sound", "subtitle": "subtitles"}
    found = sorted({kinds.get(stream.type, stream.type) for stream in container.streams})
    if container.streams.video:
        found = [*(kind for kind in found if kind != "video"), "a cover picture"]
    only = f", only {' and '.join(found)}" if found else ""
    raise DuetalError(f"no video in it{only}", file=source)


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _set_up_decoder(stream: VideoStream, threads: int | None, source: str | Path) -> None:
    context = stream.codec_context
    if context is None:
        raise DuetalError("its video is in a codec that this FFmpeg cannot decode", file=source)
    if context.width * context.height > MOST_PIXELS:
        size = f"{context.width}x{context.height}"
        raise DuetalError(f"pictures of {size} pixels are too large to decode", file=source)
    context.thread_type = "AUTO"
    context.thread_count = threads or min(MOST_THREADS, os.cpu_count() or 1)
    context.options = {"max_pixels": str(MOST_PIXELS)}
