"""From a coded picture to what a player shows: colours, pixel aspect, rotation and size."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from duetal.core.errors import DuetalError

Image = NDArray[np.uint8]

#: FFmpeg's own default for scaling, with arithmetic that is the same on every processor.
INTERPOLATION = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
#: Long side over short side; beyond it, resizing the short side would make an enormous picture.
MOST_ELONGATED = 16
#: A pixel that is wider or taller than this is a mistake in a header; players show it square.
MOST_PIXEL_ASPECT = 10


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a player shows coded pictures: stretched, then mirrored, then turned."""

    pixel_aspect: Fraction = Fraction(1)  #: Width of a coded pixel over its height.
    rotation: int = 0  #: Degrees counterclockwise: 0, 90, 180 or 270.
    mirrored: bool = False  #: Left and right are exchanged before the turn.

    def display_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the shown picture, at the coded picture's height."""
        stretched = max(1, round(width * self.pixel_aspect))
        return (height, stretched) if self.rotation % 180 else (stretched, height)

    def upright(self, image: Image) -> Image:
        """Mirror and turn a coded picture of square pixels."""
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, self.rotation // 90))


def read_geometry(frame: VideoFrame, pixel_aspect: Fraction | None) -> Geometry:
    """The geometry of a decoded picture, which carries the container's display matrix."""
    if not pixel_aspect or not 1 / MOST_PIXEL_ASPECT <= pixel_aspect <= MOST_PIXEL_ASPECT:
        pixel_aspect = Fraction(1)
    rotation, mirrored = 0, False
    # Its stub is that of a plain dictionary.
    matrix: Any = cast(Any, frame.side_data).get(SideDataType.DISPLAYMATRIX)
    if matrix is not None:
        rotation, mirrored = quarter_turns(np.frombuffer(bytes(matrix), dtype=np.int32))
    return Geometry(pixel_aspect, rotation, mirrored)


def quarter_turns(matrix: NDArray[np.int32]) -> tuple[int, bool]:
    """Degrees counterclockwise of a display matrix, and whether it mirrors before it turns.

    The matrix maps a coded point (x, y) to (a x + c y, b x + d y), y pointing down, its first two
    rows being (a, b, u) and (c, d, v): `libavutil/display.h`.
    """
    a, b, c, d = (float(matrix[k]) for k in (0, 1, 3, 4))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    angle = np.degrees(np.arctan2(-b, a)) if a or b else 0.0
    return round(float(angle) / 90) * 90 % 360, mirrored


def resized(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Width and height for a given short side, in the same proportion.

    Raises:
        DuetalError: the picture is longer than 16 times its short side.
    """
    short, long = sorted(size)
    if long > MOST_ELONGATED * short:
        shape = f"{size[0]}x{size[1]}"
        raise DuetalError(f"pictures of {shape} are longer than {MOST_ELONGATED} times their width")
    scaled = round(long * short_side / short)
    return (scaled, short_side) if size[0] > size[1] else (short_side, scaled)


class RGBConverter:
    """Converts decoded pictures to RGB arrays of one size.

    Colours follow the picture's matrix and range; a picture that names no matrix is read as
    BT.601, as FFmpeg does at every size. Transparent parts are shown over black. `size` is width
    and height of the result, as displayed.
    """

    def __init__(self, size: tuple[int, int], geometry: Geometry) -> None:
        self._coded_size = size[::-1] if geometry.rotation % 180 else size
        self._geometry = geometry
        self._reformatter = VideoReformatter()

    def convert(self, frame: VideoFrame) -> Image:
        """(height, width, 3) RGB of a picture.

        Raises:
            DuetalError: its pixel format can't be converted.
        """
        has_alpha = frame.format.has_palette or len(frame.format.components) in (2, 4)
        to, size = "rgba" if has_alpha else "rgb24", self._coded_size
        try:
            converted = self._reformatter.reformat(
                frame, *size, format=to, interpolation=INTERPOLATION, threads=1
            )
            image = cast(Image, converted.to_ndarray())
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            raise DuetalError(f"pictures of {frame.format.name} can't be shown: {error}") from error
        if has_alpha:
            image = (image[:, :, :3] * (image[:, :, 3:] / np.float32(255))).round().astype(np.uint8)
        return self._geometry.upright(image)
