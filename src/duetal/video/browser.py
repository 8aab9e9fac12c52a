"""Whether a browser can play a video as it is, and a copy of it that every browser plays."""

from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from duetal.core.errors import DuetalError
from duetal.core.files import is_url, replacing
from duetal.video.decoding.container import open_container, open_source, videos_of
from duetal.video.decoding.sound import has_pictures
from duetal.video.decoding.video_reader import open_video

#: Suffixes that browsers take a local file's type from, and FFmpeg's name of the container.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mp4", ".webm": "webm"}
#: What every current browser decodes in these containers, by FFmpeg's names of the decoders.
CODECS = {
    "mp4": {"h264", "vp9", "libvpx-vp9", "av1", "libdav1d"},
    "webm": {"vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d"},
}
#: Of files with sound alone, which browsers play too.
SOUNDS = {".flac", ".m4a", ".mp3", ".wav"}
#: 4:2:0 with 8 bits; other pixels are decoded by some browsers only.
PIXELS = {"yuv420p", "yuvj420p"}
#: Seconds: players disagree on the time where a file's clock does not begin at 0. Sound that
#: begins a little before or after the pictures is usual, and does no harm.
MOST_LATE = 0.1
COPY_SHORT_SIDE = 720  #: Pixels of a copy's shorter side, at most.
#: Encoders of copies in order of preference, with container and settings.
ENCODERS = (
    ("libx264", "mp4", {"preset": "veryfast", "crf": "23", "bf": "0", "g": "50"}),
    ("libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "8", "crf": "34", "g": "50"}),
)


@dataclass(frozen=True)
class Playback:
    """Whether browsers play a video as it is."""

    hindrance: str  #: Why they do not; empty where they do.
    offset: float = 0.0  #: Seconds that a browser's clock shows at the first picture.


def playback(source: str | Path) -> Playback:
    """Whether every current browser plays a video, or sound alone, as it is, from its place.

    Raises:
        DuetalError: it can't be read, or no picture in it can be decoded.
    """
    if is_url(source):
        return Playback("it is not on this machine")
    if Path(source).suffix.lower() in SOUNDS and not has_pictures(source):
        return Playback("")
    with closing(open_source(source)) as file:
        container, stream = open_container(file, threads=1)
        with container:
            first = _first_picture(container, stream, source)
            offset = float(first.time or 0.0)
            begins = (container.start_time or 0) / av.time_base
            codec, formats = stream.codec_context.name, container.format.name.split(",")
            pixels = first.format.name
            several = len(videos_of(container)) > 1
    hindrance = ""
    kind = CONTAINERS.get(Path(source).suffix.lower())
    if kind is None or kind not in formats:
        hindrance = f"browsers do not play {formats[0]} files"
    elif codec not in CODECS[kind]:
        hindrance = f"browsers do not play {codec} video"
    elif pixels not in PIXELS:
        hindrance = f"browsers do not play {codec} video of {pixels} pixels"
    elif several:
        hindrance = "it has several video streams, and browsers choose by themselves"
    elif not -MOST_LATE <= begins <= MOST_LATE:
        hindrance = f"its clock begins at {begins:.2f} s, which players disagree on"
    return Playback(hindrance, offset)


def _first_picture(container: Any, stream: Any, source: str | Path) -> av.VideoFrame:
    """The first picture that can be decoded, whatever is damaged before it."""
    for packet in container.demux(stream):
        with suppress(av.error.FFmpegError):
            frame: av.VideoFrame
            for frame in packet.decode():
                return frame
    raise DuetalError("no picture in it can be decoded", file=source)


def copy_suffix() -> str:
    """The suffix of the copies that this machine can write.

    Raises:
        DuetalError: its FFmpeg has no encoder for a codec that browsers play.
    """
    return f".{_encoder()[1]}"


def write_browser_copy(
    source: str | Path,
    path: Path,
    *,
    fps: float = 25.0,
    fingerprint: str = "",
    stream: int | None = None,
    damaged: bool = False,
) -> None:
    """Write the pictures of a video, without its sound, so that every browser plays them.

    The copy shows the networks' input frames at their times: upright, with square pixels, beginning
    at 0, at a fixed rate. Frames are decoded and encoded one by one.

    Args:
        source: path or URL.
        path: the copy, with the suffix `copy_suffix`; a complete file or none.
        fps: frames a second.
        fingerprint: of the source, kept in the copy for `is_copy_of`.
        stream: see `open_video`.
        damaged: see `open_video`.

    Raises:
        DuetalError: the video is broken, or the copy can't be written.
    """
    codec, muxer, options = _encoder()
    # The index before the pictures, so that a page on a server plays at once.
    front = {"movflags": "+faststart"} if muxer == "mp4" else {}
    rate = Fraction(fps).limit_denominator(100_000)
    opened = open_video(source, stream=stream, damaged=damaged)
    with opened as video, replacing(path) as temporary:
        short_side = min(COPY_SHORT_SIDE, video.info.width, video.info.height)
        try:
            with av.open(str(temporary), "w", format=muxer, container_options=front) as out:
                out.metadata["comment"] = fingerprint
                written: Any = None
                for frame in video.frames(fps, short_side):
                    # The last row and column twice where 4:2:0 needs an even number of them.
                    height, width = frame.image.shape[:2]
                    padding = ((0, height % 2), (0, width % 2), (0, 0))
                    image = np.pad(frame.image, padding, mode="edge")
                    if written is None:
                        written = out.add_stream(codec, rate=rate, options=options)
                        written.height, written.width = image.shape[:2]
                        written.pix_fmt = "yuv420p"
                        written.codec_context.time_base = 1 / rate
                    picture = av.VideoFrame.from_ndarray(image, format="rgb24")
                    picture.pts, picture.time_base = frame.index, written.codec_context.time_base
                    out.mux(written.encode(picture))
                if written is None:
                    raise DuetalError("no frame in it", file=source)
                out.mux(written.encode(None))
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # a full disk, which `replacing` reports
            raise DuetalError(f"cannot be copied for browsers: {error}", file=source) from error


def is_copy_of(path: Path, fingerprint: str) -> bool:
    """Whether a complete copy of the video of that fingerprint exists."""
    with suppress(av.error.FFmpegError, ValueError), av.open(str(path)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        return bool(fingerprint) and tags.get("comment") == fingerprint
    return False


def _encoder() -> tuple[str, str, dict[str, str]]:
    for codec, muxer, options in ENCODERS:
        if codec in av.codecs_available:
            return codec, muxer, options
    names = " nor ".join(codec for codec, _, _ in ENCODERS)
    raise DuetalError(f"this FFmpeg can write no copies for browsers: it has neither {names}")
