"""What a backbone is: a frozen network that makes one feature of each snippet.

A family of backbones is one file of this folder. It has a `BackboneRecord` for each stream of
features that it makes, which `duetal.backbones.BACKBONES` lists, and the `Backbone` that the
record loads. Nothing here imports PyTorch or NumPy: the command line reads the records.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

#: Called during a download with the bytes done and the bytes in all, `None` if not known.
OnDownload = Callable[[int, int | None], object]


class Reads(StrEnum):
    """What a backbone reads of each frame."""

    FRAMES = auto()  #: (h, w, 3) uint8 RGB.
    #: (h, w, 2) float32, the TV-L1 flow to the next frame, clipped and scaled to [-1, 1].
    FLOW = auto()


@dataclass(frozen=True, slots=True)
class Input:
    """What a backbone reads of each snippet, as its weights were trained."""

    reads: Reads = Reads.FRAMES  #: The frames themselves, or the flow between them.
    fps: float = 25.0  #: Of the video.
    stride: int = 16  #: Frames from one snippet to the next.
    window: int = 16  #: Frames of a snippet.
    frames: int | None = None  #: Of the window's middle that are read; `None` for all.
    short_side: int = 256  #: Pixels.
    #: Pixels of the central square; `None` for whole pictures, which `Backbone.prepare` shrinks.
    crop: int | None = 224
    mean: float = 0.0  #: Of the values, where they are cropped, which are normalized by it.
    std: float = 1.0  #: Likewise.

    @property
    def offsets(self) -> range:
        """The frames that the backbone reads, counted from the snippet's first."""
        count = self.window if self.frames is None else self.frames
        first = (self.window - count + 1) // 2
        return range(first, first + count)


@dataclass(frozen=True, slots=True)
class WeightsIdentity:
    """The weights of a backbone, as a store's settings name them."""

    name: str  #: What the user named: a record, a hub name or a local path.
    sha256: str  #: Of the weights' file; of several, of their hashes in order of name.
    architecture: str  #: "i3d-rgb", or the class of the `transformers` model.
    licence: str | None = None  #: Where it is known.


class Backbone(Protocol):
    """A loaded backbone."""

    dim: int  #: C of its features.
    identity: WeightsIdentity  #: Of its weights.

    def to(self, device: "torch.device") -> object:
        """Move the weights to a device."""
        return self

    def prepare(self, picture: "NDArray[np.uint8]") -> Any:
        """Make a picture (H, W, 3) of any size an array of one shape, if `Input.crop` is `None`.

        Called from several threads at once.
        """
        return picture

    def encode(self, batch: "Tensor") -> "Tensor":
        """Features (B, C) of B snippets: (B, frames, h, w, channels), or of what `prepare` gave."""
        ...


@dataclass(frozen=True, slots=True)
class BackboneRecord:
    """A stream of features that can be extracted."""

    name: str  #: Of the stream and of its folder in a store.
    branch: str  #: Its reader; a branch's streams are joined in the order of `BACKBONES`.
    option: str  #: Of the command line, which names the weights.
    subject: str  #: What the option names, for its help.
    accepts: str  #: In which forms it can be named, for the help.
    weights: str  #: The default weights.
    input: Input  #: What the backbone reads.
    #: Loads it, given what the user named and a callback for the download; raises
    #: `DuetalError` where the weights can't be had, are damaged or have another hash.
    load: Callable[[str, OnDownload | None], Backbone]
    is_published: Callable[[str], bool]  #: Whether anybody can get weights of this name.
    is_at_hand: Callable[[str], bool]  #: Whether they need no download; a wrong name needs none.
