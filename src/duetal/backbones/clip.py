"""CLIP's image encoder, or that of any image-text model of `transformers` with its interface."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duetal.backbones.identity import WeightsIdentity
from duetal.backbones.pretrained import find_pretrained

#: A picture longer than this many times its short side is cut to it before it is resized, where
#: the model sees its central square alone: 2 x 8192 pixels would become 224 x 917504 first.
LONGEST = 8


class ImageEncoder(nn.Module):
    """A frozen image encoder whose features are comparable with its text encoder's.

    Args:
        model: a `transformers` model with `get_image_features`.
        processor: its image processor, on PIL.
        identity: of its weights.

    Attributes:
        dim: D, of its features.
        identity: of its weights.
    """

    def __init__(self, model: nn.Module, processor: Any, identity: WeightsIdentity):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.identity = identity
        self._processor = processor
        self._central = bool(getattr(processor, "do_center_crop", False)) and bool(
            dict(processor.size).get("shortest_edge")
        )
        self.dim: int = self._probe()

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Training never reaches the frozen encoder."""
        super().train(mode)
        self.model.eval()
        return self

    def preprocess(self, image: NDArray[np.uint8]) -> Tensor:
        """Make a picture what the model was trained on, by the model's own rules.

        For CLIP: short side to 224 (bicubic), central square, mean and deviation of its training
        set. May be called from many threads at once.

        Args:
            image: (H, W, 3) RGB, of any size.

        Returns:
            (3, h, w) float32, the same h and w for every picture.
        """
        if self._central:
            image = _middle(image)
        # Said, not guessed: the library takes pictures 1, 3 or 4 pixels high for channels first.
        found = self._processor(image, input_data_format="channels_last", return_tensors="pt")
        pixels: Tensor = found["pixel_values"][0]
        return pixels

    def forward(self, images: Tensor) -> Tensor:
        """Image features (B, D), float32, not normalised, of preprocessed images (B, 3, h, w)."""
        weight = next(self.model.parameters())
        found = self.model.get_image_features(  # type: ignore[operator]
            pixel_values=images.to(weight.dtype)
        )
        features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
        return features.float()

    @torch.no_grad()
    def _probe(self) -> int:
        """The dim of the features; pictures of two shapes must come to the same size.

        Raises:
            ValueError: the model wants something else than pictures of one size, or gives something
                else than one feature a picture.
        """
        shapes = ((24, 48, 3), (48, 24, 3))
        wide, tall = (self.preprocess(np.zeros(shape, np.uint8)) for shape in shapes)
        if wide.ndim != 3 or len(wide) != 3 or wide.shape != tall.shape:
            raise ValueError("it does not take pictures of one size")
        features = self(wide[None])
        if features.ndim != 2:
            raise ValueError("it does not give one feature a picture")
        dim: int = features.shape[1]
        return dim


def load_image_encoder(source: str) -> ImageEncoder:
    """Load the image encoder of CLIP, SigLIP, MetaCLIP, ALIGN or another model of their interface.

    Args:
        source: a local folder or a hub name of a whole image-text model; weights are read from
            safetensors only.

    Raises:
        DuetalError: it can't be loaded, its weights are damaged or incomplete, or it has no image
            encoder whose features can be compared with a text's.
    """
    found = find_pretrained(source, "image encoder")
    from transformers import AutoImageProcessor, AutoModel

    model = found.load_model(AutoModel)
    architecture = type(model).__name__
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        what = "a text encoder alone" if "Text" in architecture else "not an image-text model"
        raise found.error(f"{architecture} is {what}; a whole CLIP, SigLIP or the like is needed")
    # Two generations of the library call PIL by different names.
    processor = found.load(AutoImageProcessor, backend="pil", use_fast=False)
    with found.telling(f"{architecture} cannot be used"):
        encoder = ImageEncoder(model, processor, found.identity(architecture))
    # The text encoder would take as much memory again, on every device.
    for part in ("text_model", "text_projection"):
        if hasattr(model, part):
            setattr(model, part, None)
    return encoder


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a picture that is more than LONGEST times as long as its short side."""
    height, width = image.shape[:2]
    longest = LONGEST * min(height, width)
    top, left = max(0, (height - longest) // 2), max(0, (width - longest) // 2)
    return image[top : top + longest, left : left + longest]
