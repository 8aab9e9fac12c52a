"""Small pictures of a video at even distances, as one image."""

import io
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from duetal.core.errors import DuetalError
from duetal.video.decoding.container import open_container, open_source
from duetal.video.decoding.geometry import RGBConverter, read_geometry

#: Pictures that are decoded at most to come from one that can be jumped to, to the one wanted.
MOST_DECODED = 60


def filmstrip(source: str | Path, *, count: int, width: int = 128, height: int = 72) -> bytes:
    """A JPEG of `count` pictures beside each other, each `width` × `height` pixels on black.

    Picture k is about the one at `(k + 0.5) / count` of the video, or a little before where coming
    to it would take long; black where none can be decoded.

    Raises:
        DuetalError: the video can't be read.
    """
    from PIL import Image

    strip = Image.new("RGB", (count * width, height))
    with closing(open_source(source)) as file:
        container, stream = open_container(file, threads=1)
        with container:
            tick = stream.time_base or Fraction(1, av.time_base)
            begin = float((stream.start_time or 0) * tick)
            length = float((stream.duration or 0) * tick)
            length = length or (container.duration or 0) / av.time_base
            for k in range(count):
                picture = _picture_at(container, stream, begin + length * (k + 0.5) / count)
                if picture is None:
                    continue
                geometry = read_geometry(picture, stream.sample_aspect_ratio)
                shown = geometry.display_size(picture.width, picture.height)
                share = min(width / shown[0], height / shown[1])
                size = (max(1, round(shown[0] * share)), max(1, round(shown[1] * share)))
                image = np.ascontiguousarray(RGBConverter(size, geometry).convert(picture))
                place = (k * width + (width - size[0]) // 2, (height - size[1]) // 2)
                strip.paste(Image.fromarray(image), place)
    encoded = io.BytesIO()
    strip.save(encoded, "JPEG", quality=70)
    return encoded.getvalue()


def _picture_at(container: Any, stream: Any, seconds: float) -> av.VideoFrame | None:
    """The picture shown at a time of the container's clock, or one a little before."""
    found = None
    with suppress(av.error.FFmpegError, DuetalError):
        container.seek(round(seconds / stream.time_base), stream=stream)
        for number, picture in enumerate(container.decode(stream)):
            if found is not None and (picture.time or 0.0) > seconds:
                break
            found = picture
            if number >= MOST_DECODED:
                break
    return found
