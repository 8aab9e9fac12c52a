"""Pictures as a video model was trained on them, from its `preprocessor_config.json`.

The library's own video processors need torchvision; this needs Pillow. The steps are the same:
resize, central crop, rescale, subtract the mean, divide by the standard deviation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from duetal.backbones.clip import middle


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes what a model reads; ValueError for sizes that cannot be."""

    size: tuple[int, int] | int  #: Pixels (h, w) of the resized picture, or of its short side.
    crop: tuple[int, int] | None  #: Pixels (h, w) of its middle that are read; None for all.
    resample: Image.Resampling
    scale: float  #: By which values in 0 ... 255 are multiplied.
    mean: Tensor  #: (3,), which is subtracted then.
    std: Tensor  #: (3,), by which they are divided.

    def __post_init__(self) -> None:
        sides = [self.size] if isinstance(self.size, int) else list(self.size)
        if not all(1 <= side <= 4096 for side in (*sides, *(self.crop or ()))):
            raise ValueError(f"sizes of {self.size} and {self.crop} pixels")
        if isinstance(self.size, int) and self.crop is None:
            raise ValueError("its pictures are of no one size: only their short side is given")
        if self.crop and any(c > s for c, s in zip(self.crop, sides * 2, strict=False)):
            raise ValueError(f"crops {self.crop} pixels of a picture resized to {self.size}")

    def resized(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) of any size -> (h, w, 3) uint8 of one size."""
        if isinstance(self.size, int):
            picture = middle(picture)
            height, width = picture.shape[:2]
            short = min(height, width)
            size = int(self.size * height / short), int(self.size * width / short)
        else:
            size = self.size
        image = Image.fromarray(np.ascontiguousarray(picture))
        pixels = np.asarray(image.resize(size[::-1], self.resample))
        if self.crop is None:
            return pixels
        top, left = ((a - b) // 2 for a, b in zip(size, self.crop, strict=True))
        return pixels[top : top + self.crop[0], left : left + self.crop[1]]

    def normalized(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        """(..., h, w, 3) of `resized` -> (..., 3, h, w) floating point."""
        mean, std = (x.to(pixels.device) for x in (self.mean, self.std))
        return ((pixels.float() * self.scale - mean) / std).movedim(-1, -3).to(dtype)


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """Read a preprocessor's configuration; KeyError, TypeError or ValueError if it is none."""
    size, crop = _size(config["size"]), None
    if config.get("do_center_crop", False):
        side = _size(config["crop_size"])
        crop = (side, side) if isinstance(side, int) else side
    if not config.get("do_resize", True):
        raise ValueError("pictures that are not resized are of no one size")
    rescale = config.get("do_rescale", True)
    scale = float(config.get("rescale_factor", 1 / 255)) if rescale else 1.0
    mean, std = torch.zeros(3), torch.ones(3)
    if config.get("do_normalize", True):
        mean, std = (
            torch.tensor(config[f"image_{key}"]).float().expand(3) for key in ("mean", "std")
        )
        if not (std > 0).all():
            raise ValueError("a standard deviation that is not positive")
    if rescale and config.get("offset", False):
        # ViViT: to [-1, 1].
        mean = mean + 1
    resample = Image.Resampling(config.get("resample", Image.Resampling.BILINEAR))
    return Preprocessing(size, crop, resample, scale, mean, std)


def _size(value: Any) -> tuple[int, int] | int:
    if isinstance(value, int):
        return value
    if "shortest_edge" in value:
        return int(value["shortest_edge"])
    return int(value["height"]), int(value["width"])
