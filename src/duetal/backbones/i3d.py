"""I3D: Inception-v1 whose filters are inflated to three dimensions.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR
2017, https://arxiv.org/abs/1705.07750; Figure 3 is the network. The public weights were trained in
TensorFlow, so padding follows its rule "same", which is not PyTorch's.
"""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, int, int]

#: What one I3D looks at.
Modality = Literal["rgb", "flow"]

#: Channels of the input: red, green and blue; or the two components of the flow.
CHANNELS: dict[Modality, int] = {"rgb": 3, "flow": 2}
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

    Args:
        inputs: channels of the input.
        point: channels of branch 0, a 1x1x1 convolution.
        branch_1: channels of its 1x1x1 and its 3x3x3 convolution.
        branch_2: the same of a second such branch.
        pooled: channels of branch 3, a 1x1x1 convolution after max pooling.
    """

    def __init__(
        self,
        inputs: int,
        point: int,
        branch_1: tuple[int, int],
        branch_2: tuple[int, int],
        pooled: int,
    ):
        super().__init__()
        self.branch_0 = ConvUnit(inputs, point)
        self.branch_1 = nn.Sequential(ConvUnit(inputs, branch_1[0]), ConvUnit(*branch_1, kernel=3))
        self.branch_2 = nn.Sequential(ConvUnit(inputs, branch_2[0]), ConvUnit(*branch_2, kernel=3))
        self.branch_3 = nn.Sequential(MaxPool((3, 3, 3), (1, 1, 1)), ConvUnit(inputs, pooled))

    def forward(self, clip: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, sum of the branches' channels, T, H, W)."""
        branches = (self.branch_0, self.branch_1, self.branch_2, self.branch_3)
        return torch.cat([branch(clip) for branch in branches], dim=1)


class I3D(nn.Module):
    """The network up to its average pooling, which gives the features, and the head after it.

    A fresh one has random weights; `load_i3d` gives one with trained weights.

    Args:
        channels: 3 for RGB, 2 for flow.
        classes: outputs of the head; 400 in Kinetics.
    """

    def __init__(self, channels: int, classes: int = KINETICS_CLASSES):
        super().__init__()
        self.channels = channels
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
        """Features: the global average of the last layer.

        Of 16 frames of 224x224 pixels that is the original's average over 2x7x7.

        Args:
            clips: (B, channels, T, H, W) in [-1, 1]; T is 16 in duetal, H and W are 224.

        Returns:
            (B, 1024), float32.
        """
        features: Tensor = self.trunk(clips)
        # float32 here even under autocast: an average of a hundred halves would lose bits.
        return features.float().mean(dim=(2, 3, 4))

    def logits(self, features: Tensor) -> Tensor:
        """Scores of the classes before the softmax: (B, 1024) features -> (B, classes)."""
        head = self.head
        return F.linear(features, head.weight.flatten(1), head.bias)
