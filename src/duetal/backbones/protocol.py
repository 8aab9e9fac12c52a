"""What a backbone is: a frozen network that makes one feature of each snippet.

A family of backbones is one file of this folder. It has a `BackboneRecord` for each stream of
features that it makes, which `duetal.backbones.BACKBONES` lists, and the `Backbone` that the
record loads. Nothing here imports PyTorch or NumPy: the command line reads the records.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from duetal.core.grid import TimeGrid

#: Called during a download with the bytes done and the bytes in all, `None` if not known.
OnDownload = Callable[[int, int | None], object]


class Reads(StrEnum):
    """What a backbone reads of each snippet."""

    FRAMES = auto()  #: (h, w, 3) uint8 RGB.
    #: (h, w, 2) float32, the TV-L1 flow to the next frame, clipped and scaled to [-1, 1].
    FLOW = auto()
    SOUND = auto()  #: (n,) float32, one channel at `Backbone.sound_rate`, in [-1, 1].


@dataclass(frozen=True, slots=True)
class Input:
    """What a backbone reads of each snippet, as its weights were trained."""

    reads: Reads = Reads.FRAMES  #: The frames themselves, or the flow between them.
    fps: float = 25.0  #: Of the video.
    stride: int = 16  #: Frames from one snippet to the next.
    window: int = 16  #: Frames of a snippet.
    frames: int | None = None  #: Of the window that are read; `None` for all.
    #: Whether they are read evenly spaced over the window, instead of one after another from its
    #: middle.
    spread: bool = False
    #: Of sound: seconds around the middle of the window; more where the window is longer.
    seconds: float = 0.0
    #: Squares of each picture that are read: 1, or 10, of which the features are kept apart.
    crops: int = 1
    short_side: int = 256  #: Pixels.
    #: Pixels of the central square; `None` for whole pictures, which `Backbone.prepare` shrinks.
    crop: int | None = 224
    mean: float = 0.0  #: Of the values, where they are cropped, which are normalized by it.
    std: float = 1.0  #: Likewise.

    @property
    def offsets(self) -> range:
        """The frames that the backbone reads, counted from the snippet's first."""
        count = self.window if self.frames is None else self.frames
        step = self.window // count if self.spread else 1
        first = (self.window - (count - 1) * step) // 2
        return range(first, first + count * step, step)

    @property
    def sound_seconds(self) -> float:
        """Seconds of sound that are read around the middle of the window."""
        return max(self.seconds, self.window / self.fps)

    def on(self, grid: "TimeGrid", crops: int = 1) -> "Input":
        """The same on another grid; sound has no crops.

        ValueError if the window has fewer frames than are read.
        """
        count = self.window if self.frames is None else self.frames
        if grid.window < count:
            raise ValueError(f"reads {count} frames, and the window has {grid.window}")
        if self.reads is Reads.SOUND:
            crops = 1
        on_grid = replace(self, fps=grid.fps, stride=grid.stride, window=grid.window)
        return replace(on_grid, frames=count, crops=crops)


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
    sound_rate: int = 0  #: Samples a second, of one that reads sound.
    longest: float = 0.0  #: Seconds of sound that it reads at most.

    @property
    def module(self) -> "torch.nn.Module | None":
        """The network behind `encode`, whose weights can be trained; None if they can't."""
        return None

    def to(self, device: "torch.device") -> object:
        """Move the weights to a device."""
        return self

    def prepare(self, picture: "NDArray[Any]") -> Any:
        """Make a picture (H, W, 3) of any size an array of one shape, if `Input.crop` is `None`.

        One that reads sound gets samples (n,) instead.

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
