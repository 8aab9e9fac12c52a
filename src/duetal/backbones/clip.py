"""CLIP's image encoder, or that of any image-text model of `transformers` with its interface."""

from typing import TYPE_CHECKING, Any

from duetal.backbones.pretrained import is_fetched, is_hub_name
from duetal.backbones.protocol import Backbone, BackboneRecord, Input, OnDownload, WeightsIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, device, nn

#: A picture longer than this many times its short side is cut to it before it is resized, where
#: the model reads its central square alone: 2 x 8192 pixels would become 224 x 917504 first.
LONGEST = 8


class ImageEncoder(Backbone):
    """A frozen image encoder whose features are comparable with its text encoder's.

    It is a `transformers` model with `get_image_features` and its image processor, on PIL.
    ValueError if the model does not make one feature of each picture of one size.
    """

    def __init__(self, model: Any, processor: Any, identity: WeightsIdentity):
        self.model = model
        self.identity = identity
        self._processor = processor
        cropped = getattr(processor, "do_center_crop", False)
        self._central = bool(cropped and dict(processor.size).get("shortest_edge"))
        self.dim = self._probe()

    @property
    def module(self) -> "nn.Module":
        """The model, without its text encoder."""
        model: nn.Module = self.model
        return model

    def to(self, device: "device") -> object:
        """Move the weights to a device."""
        return self.model.to(device)

    def prepare(self, picture: "NDArray[np.uint8]") -> "Tensor":
        """(H, W, 3) RGB of any size -> (3, h, w) float32 of one size, by the model's own rules.

        For CLIP: short side to 224 (bicubic), central square, mean and std of its training set.
        """
        if self._central:
            picture = middle(picture)
        # Stated, not guessed: the library takes pictures 1, 3 or 4 pixels high for channels first.
        found = self._processor(picture, input_data_format="channels_last", return_tensors="pt")
        pixels: Tensor = found["pixel_values"][0]
        return pixels

    def encode(self, batch: "Tensor") -> "Tensor":
        """Image features (B, D), float32, not normalised, of prepared pictures (B, 1, 3, h, w)."""
        import torch

        weight = next(self.model.parameters())
        found = self.model.get_image_features(pixel_values=batch[:, 0].to(weight.dtype))
        features: Tensor = found if isinstance(found, torch.Tensor) else found.pooler_output
        return features.float()

    def _probe(self) -> int:
        """The dim of the features; pictures of two shapes must come to the same size."""
        import numpy as np
        import torch

        shapes = ((24, 48, 3), (48, 24, 3))
        wide, tall = (self.prepare(np.zeros(shape, np.uint8)) for shape in shapes)
        if wide.ndim != 3 or len(wide) != 3 or wide.shape != tall.shape:
            raise ValueError("it does not take pictures of one size")
        with torch.no_grad():
            features = self.encode(wide[None, None])
        if features.ndim != 2:
            raise ValueError("it does not give one feature a picture")
        return features.shape[1]


def load_image_encoder(source: str, on_download: OnDownload | None = None) -> ImageEncoder:
    """Load the image encoder of CLIP, SigLIP, MetaCLIP, ALIGN or another model of their interface.

    `source` is a local folder or a hub name of a whole image-text model; weights are read from
    safetensors only. `on_download` is not called: the hub's client downloads.

    Raises:
        DuetalError: it can't be loaded, its weights are damaged or incomplete, or it has no image
            encoder whose features can be compared with a text's.
    """
    from transformers import AutoImageProcessor

    from duetal.backbones.pretrained import drop_text, find_pretrained

    found = find_pretrained(source, "image encoder")
    model = found.load_model(found.image_text_class(config := found.config()), config=config)
    architecture = type(model).__name__
    # Two generations of the library call PIL by different names.
    processor = found.load(AutoImageProcessor, backend="pil", use_fast=False)
    with found.explaining(f"{architecture} cannot be used"):
        encoder = ImageEncoder(model, processor, found.identity(architecture))
        drop_text(found, model, encoder.dim)
    return encoder


def middle(picture: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """The middle of a picture that is more than LONGEST times as long as its short side."""
    height, width = picture.shape[:2]
    longest = LONGEST * min(height, width)
    top, left = max(0, (height - longest) // 2), max(0, (width - longest) // 2)
    return picture[top : top + longest, left : left + longest]


CLIP = BackboneRecord(
    name="clip",
    branch="vlp",
    option="--clip",
    subject="Image-text model",
    accepts="a hub name or a folder",
    weights="openai/clip-vit-base-patch16",
    input=Input(frames=1, crop=None),
    load=load_image_encoder,
    is_published=is_hub_name,
    is_at_hand=is_fetched,
)
