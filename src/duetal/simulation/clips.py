"""Rendered videos of known motion and known action times, in any codec that PyAV can write.

A `Scene` is an analytic function of time, drawn at any instant, size and sub-pixel displacement, so
that a test knows the true picture and flow: a smooth texture with constant velocity and, during an
action, a patch before it whose texture and motion depend on the label. `render_clip` encodes one.
"""

import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Segment
from duetal.core.errors import UsageError
from duetal.core.files import replacing

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Picture = NDArray[np.uint8]

#: Muxers by suffix, where FFmpeg has another name.
MUXERS = {
    ".mkv": "matroska", ".ts": "mpegts", ".mpg": "mpeg", ".wmv": "asf", ".ogv": "ogg",
    ".h264": "h264", ".m2v": "mpeg2video",
}  # fmt: skip
#: Pixel formats of codecs that do not take yuv420p.
PIXEL_FORMATS = {
    "ffv1": "bgr0", "mjpeg": "yuvj420p", "gif": "rgb8", "png": "rgb24", "apng": "rgb24",
    "prores_ks": "yuv422p10le", "qtrle": "rgb24", "rawvideo": "bgr24", "huffyuv": "rgb24",
}  # fmt: skip
#: Fine enough for any time, and within the 16 bits of MPEG-4.
VARIABLE_RATE_TIME_BASE = Fraction(1, 60000)
AUDIO_RATE = 48000


@dataclass(frozen=True)
class Waves:
    """A texture: a sum of K plane waves, three colours each."""

    along: Floats  # (K, 2) angular frequencies (x, y) in radians per pixel.
    phase: Floats  # (K, 3) radians, per colour.
    amplitude: Floats  # (K, 3) grey values, per colour.

    @staticmethod
    def random(rng: np.random.Generator, *, count: int, shortest: float, longest: float) -> "Waves":
        """Waves of random direction and of lengths between two numbers of pixels."""
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest), count))
        angle = rng.uniform(0, 2 * np.pi, count)
        along = (2 * np.pi / length)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        # The colours have similar phases, so that grey keeps the texture.
        phase = rng.uniform(0, 2 * np.pi, (count, 1)) + rng.uniform(-0.8, 0.8, (count, 3))
        amplitude = rng.uniform(0.5, 1.0, (count, 3)) * 90 / math.sqrt(count)
        return Waves(along, phase, amplitude)

    def draw(self, x: Floats, y: Floats) -> Image:
        """(H, W, 3) values around 0 at the positions (W,) and (H,), in pixels."""
        # cos(a + b) = cos a cos b - sin a sin b makes the sum over K waves one matrix product.
        across, down = self.along[:, :1] * x, self.along[:, 1:] * y
        right = np.concatenate([np.cos(across), -np.sin(across)]).astype(np.float32)
        image = np.empty((len(y), len(x), 3), dtype=np.float32)
        for colour in range(3):
            angle = down + self.phase[:, colour, None]
            left = np.concatenate([np.cos(angle), np.sin(angle)])
            left *= np.tile(self.amplitude[:, colour], 2)[:, None]
            image[:, :, colour] = left.T.astype(np.float32) @ right
        return image


@dataclass(frozen=True)
class Scene:
    """The content of a rendered video."""

    size: tuple[int, int]  # Width and height in pixels.
    _: KW_ONLY
    #: Of the whole texture, (x, y) pixels a frame: the true flow outside of actions.
    velocity: tuple[float, float] = (0.0, 0.0)
    fps: float = 25.0  # The frames per second of `velocity`.
    actions: Sequence[Segment] = ()  # When the patch is shown, and as which class.
    seed: int = 0  # Of the texture.

    @cached_property
    def _background(self) -> Waves:
        rng = np.random.default_rng(self.seed)
        return Waves.random(rng, count=16, shortest=10.0, longest=60.0)

    def picture(self, time: float, columns: int | None = None, rows: int | None = None) -> Picture:
        """(rows, columns, 3) RGB of the scene at a time in seconds.

        Other `columns` and `rows` than the scene's size sample the same view otherwise.
        """
        (width, height), columns, rows = self.size, columns or self.size[0], rows or self.size[1]
        x = (np.arange(columns) + 0.5) * width / columns - 0.5
        y = (np.arange(rows) + 0.5) * height / rows - 0.5
        dx, dy = np.array(self.velocity, dtype=np.float64) * self.fps * time
        image = self._background.draw(x - dx, y - dy)
        for action in self.actions:
            if action.start <= time < action.end:
                image = self._with_patch(image, x, y, action.label, time)
        return np.asarray((image + 128).round().clip(0, 255), dtype=np.uint8)

    def _with_patch(self, image: Image, x: Floats, y: Floats, label: str, time: float) -> Image:
        """Add the patch of a class: its own waves and tint, oscillating, with a soft edge."""
        rng = np.random.default_rng(zlib.crc32(label.encode()))
        angle, frequency = rng.uniform(0, np.pi), rng.uniform(0.4, 1.2)
        tint = rng.uniform(-60, 60, 3)
        shortest = rng.uniform(6, 16)
        waves = Waves.random(rng, count=6, shortest=shortest, longest=1.5 * shortest)
        width, height = self.size
        reach = min(width, height) / 4 * math.sin(2 * math.pi * frequency * time)
        at_x = width / 2 + reach * math.cos(angle)
        at_y = height / 2 + reach * math.sin(angle)
        radius = max(1.0, min(width, height) / 4)
        down, across = (np.exp(-0.5 * (d / radius) ** 2) for d in (y - at_y, x - at_x))
        near = down[:, None] * across
        cover = np.clip(2 * near, 0, 1, dtype=np.float32)[:, :, None]
        patch = waves.draw(x - at_x, y - at_y) + tint.astype(np.float32)
        return np.asarray((1 - cover) * image + cover * patch)


@dataclass(frozen=True)
class Encoding:
    """How a clip is encoded."""

    codec: str = "libx264"  # Or "mpeg4", "libvpx-vp9", "mjpeg", "ffv1" and others of FFmpeg.
    pixel_format: str | None = None  # None: one that suits the codec and size.
    #: Degrees (a multiple of 90) counterclockwise by which players turn the pictures.
    rotation: int = 0
    pixel_aspect: Fraction = Fraction(1)  # Width of a coded pixel over its height.
    full_range: bool = False  # Luma from 0 to 255 instead of 16 to 235, flagged in the stream.
    matrix: str | None = None  # From RGB to YUV, flagged in the stream: "ITU601" or "ITU709".
    b_frames: int = 0  # Pictures in a row that the codec may predict from later ones.
    keyframes: int = 25  # Pictures from one keyframe to the next.
    options: tuple[tuple[str, str], ...] = ()  # More options of the encoder.
    audio: bool = False  # Whether there is a tone.
    video: bool = True  # False writes the tone alone.


def render_clip(
    path: Path | str,
    *,
    duration: float,
    fps: float | Fraction = 25,
    size: tuple[int, int] = (160, 120),
    actions: Sequence[Segment] = (),
    velocity: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
    timestamps: Sequence[float] | None = None,
    **encoding: Any,
) -> Path:
    """Write a video of a `Scene`; its suffix gives the container.

    Args:
        path: the video to write, which is returned.
        duration: seconds; the pictures are those that begin before it.
        fps: pictures a second.
        size: width and height as displayed, after `rotation` and `pixel_aspect`.
        actions: see `Scene`.
        velocity: see `Scene`.
        seed: of the texture.
        timestamps: seconds at which each picture begins, for a variable rate; the last one lasts
            until `duration`.
        encoding: the fields of `Encoding`.

    Raises:
        UsageError: the encoder or container refuses the settings.
        DuetalError: the file can't be written.
    """
    path = Path(path)
    how, rate = Encoding(**encoding), Fraction(fps).limit_denominator(1001)
    scene = Scene(size, velocity=velocity, fps=float(fps), actions=actions, seed=seed)
    muxer = MUXERS.get(path.suffix.lower(), path.suffix.lower().removeprefix("."))
    with replacing(path) as temporary:
        try:
            with av.open(str(temporary), "w", format=muxer) as container:
                _encode(container, scene, duration, rate, timestamps, how)
        except (av.error.FFmpegError, ValueError) as error:
            raise UsageError(f"cannot encode {how.codec}: {error}", file=path) from error
    return path


def _encode(
    container: av.container.OutputContainer,
    scene: Scene,
    duration: float,
    fps: Fraction,
    timestamps: Sequence[float] | None,
    how: Encoding,
) -> None:
    # All streams must exist before the first packet.
    stream: Any = None
    if how.video:
        stream = _video_stream(container, scene.size, fps, timestamps is not None, how)
    if how.audio or not how.video:
        tone = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        for sound in _tone(duration):
            container.mux(tone.encode(sound))
        container.mux(tone.encode(None))
    if stream is None:
        return
    times = [k / fps for k in range(max(1, round(duration * fps)))]
    end = times[-1] + 1 / fps
    if timestamps is not None:
        times, end = [Fraction(time) for time in timestamps], Fraction(duration)
    base = stream.codec_context.time_base
    ticks = [round(time / base) for time in (*times, end)]
    # Encoders drop the duration of pictures, which containers need for the last one.
    lasting = {begin: next_ - begin for begin, next_ in itertools.pairwise(ticks)}

    def mux(packets: Sequence[Any]) -> None:
        for packet in packets:
            packet.duration = lasting.get(packet.pts, packet.duration)
            container.mux(packet)

    for time, tick in zip(times, ticks, strict=False):
        frame = _coded_picture(scene, float(time), stream, how)
        frame.pts, frame.time_base = tick, base
        mux(stream.encode(frame))
    mux(stream.encode(None))


def _video_stream(
    container: av.container.OutputContainer,
    size: tuple[int, int],
    fps: Fraction,
    variable_rate: bool,
    how: Encoding,
) -> Any:
    """Add the video's stream with its settings."""
    width, height = size if how.rotation % 180 == 0 else size[::-1]
    width = max(1, round(width / how.pixel_aspect))
    options = {"bf": str(how.b_frames)}
    if how.codec.startswith("libx26"):
        options |= {"preset": "ultrafast", "crf": "18"}
    if how.codec.startswith("libvpx"):
        options |= {"deadline": "realtime", "cpu-used": "8"}
    options |= dict(how.options)
    stream: Any = container.add_stream(how.codec, rate=fps, options=options)
    stream.width, stream.height = width, height
    odd = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    stream.pix_fmt = how.pixel_format or PIXEL_FORMATS.get(how.codec, odd)
    context = stream.codec_context
    context.time_base = VARIABLE_RATE_TIME_BASE if variable_rate else 1 / fps
    context.gop_size, context.max_b_frames = how.keyframes, how.b_frames
    context.thread_count = 1
    if "crf" not in options:
        context.bit_rate = round(2 * width * height * fps) + 10_000
    if how.pixel_aspect != 1:
        context.sample_aspect_ratio = how.pixel_aspect
    if how.full_range or how.codec == "mjpeg":
        context.color_range = int(av.video.reformatter.ColorRange.JPEG)
    if how.matrix is not None:
        context.colorspace = {"ITU709": 1, "ITU601": 6}[how.matrix]
    if how.rotation:
        stream.set_display_rotation(how.rotation)
    return stream


def _coded_picture(scene: Scene, time: float, stream: Any, how: Encoding) -> av.VideoFrame:
    """The scene, scaled and rotated so that a player undoes both."""
    turned = how.rotation % 180 != 0
    coded = (stream.width, stream.height)
    image = scene.picture(time, *(coded[::-1] if turned else coded))
    image = np.ascontiguousarray(np.rot90(image, -how.rotation // 90))
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format=stream.pix_fmt,
        dst_colorspace=how.matrix or "ITU601",
        dst_color_range="JPEG" if how.full_range or how.codec == "mjpeg" else "MPEG",
    )


def _tone(duration: float) -> Iterator[av.AudioFrame]:
    """A tone of 440 Hz in frames of the encoder's size."""
    samples, step = round(duration * AUDIO_RATE), 1024
    for begin in range(0, samples, step):
        time = np.arange(begin, min(begin + step, samples)) / AUDIO_RATE
        wave = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = AUDIO_RATE, begin
        frame.time_base = Fraction(1, AUDIO_RATE)
        yield frame
