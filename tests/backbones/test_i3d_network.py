"""The I3D network: TensorFlow's padding, published shapes, a slow reference of the whole."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from duetal.backbones.i3d_network import I3D, ConvUnit, MaxPool, same_padding

KERNELS_AND_STRIDES = [(1, 1), (3, 1), (3, 2), (7, 2), (2, 2)]


def documented_padding(size, kernel, stride):
    """The padding as TensorFlow's documentation writes it down, case by case."""
    total = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize(("kernel", "stride"), KERNELS_AND_STRIDES)
@pytest.mark.parametrize("size", [*range(1, 20), 56, 57, 112, 224])
def test_padding_is_what_tensorflow_documents(size, kernel, stride):
    assert same_padding(size, kernel, stride) == documented_padding(size, kernel, stride)


def test_padding_of_the_first_layer_is_asymmetric_for_even_sizes():
    assert same_padding(224, 7, 2) == (2, 3)
    assert same_padding(225, 7, 2) == (3, 3)


def slow_windows(clip, kernel, stride, fill):
    """Every window of a padded (C, T, H, W) array: yields its place in the output and itself."""
    paddings = [documented_padding(size, kernel, stride) for size in clip.shape[1:]]
    padded = np.pad(clip, [(0, 0), *paddings], constant_values=fill)
    outputs = [-(-size // stride) for size in clip.shape[1:]]
    for place in itertools.product(*map(range, outputs)):
        t, h, w = (index * stride for index in place)
        yield place, padded[:, t : t + kernel, h : h + kernel, w : w + kernel]


def slow_convolution(clip, weight, stride):
    outputs = [-(-size // stride) for size in clip.shape[1:]]
    result = np.empty((len(weight), *outputs))
    for place, window in slow_windows(clip, weight.shape[2], stride, fill=0.0):
        result[(slice(None), *place)] = (weight * window).sum(axis=(1, 2, 3, 4))
    return result


SIZES = [(4, 5, 6), (5, 4, 7), (1, 2, 3), (8, 8, 8)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (7, 2)])
def test_convolution_is_that_of_a_slow_reference(size, kernel, stride):
    torch.manual_seed(0)
    unit = ConvUnit(2, 3, kernel=kernel, stride=stride).eval()
    for name, tensor in unit.norm.state_dict().items():
        if name != "num_batches_tracked":
            tensor.uniform_(0.5, 1.5)
    clip = torch.randn(2, *size)
    with torch.inference_mode():
        fast = unit(clip[None])[0].numpy()
    convolved = slow_convolution(clip.numpy(), unit.conv.weight.detach().numpy(), stride)
    scale, shift, mean, variance = (
        unit.norm.state_dict()[name].numpy()[:, None, None, None]
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    normalised = (convolved - mean) / np.sqrt(variance + 1e-3) * scale + shift
    np.testing.assert_allclose(fast, np.maximum(normalised, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (2, 2)])
def test_pooling_is_that_of_a_slow_reference(size, kernel, stride):
    # All negative: padding with zeros, as for a convolution, would win every window at the edge.
    clip = -1 - torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    fast = MaxPool((kernel,) * 3, (stride,) * 3)(clip[None])[0].numpy()
    assert fast.shape[1:] == tuple(-(-length // stride) for length in size)
    for place, window in slow_windows(clip.numpy(), kernel, stride, fill=-np.inf):
        np.testing.assert_array_equal(fast[(slice(None), *place)], window.max(axis=(1, 2, 3)))


#: Channels and (T, H, W) after each layer: of the published network, and for odd sizes.
SHAPES = {
    "Conv3d_1a_7x7": (64, (8, 112, 112), (5, 29, 22)),
    "MaxPool3d_2a_3x3": (64, (8, 56, 56), (5, 15, 11)),
    "Conv3d_2b_1x1": (64, (8, 56, 56), (5, 15, 11)),
    "Conv3d_2c_3x3": (192, (8, 56, 56), (5, 15, 11)),
    "MaxPool3d_3a_3x3": (192, (8, 28, 28), (5, 8, 6)),
    "Mixed_3b": (256, (8, 28, 28), (5, 8, 6)),
    "Mixed_3c": (480, (8, 28, 28), (5, 8, 6)),
    "MaxPool3d_4a_3x3": (480, (4, 14, 14), (3, 4, 3)),
    "Mixed_4b": (512, (4, 14, 14), (3, 4, 3)),
    "Mixed_4c": (512, (4, 14, 14), (3, 4, 3)),
    "Mixed_4d": (512, (4, 14, 14), (3, 4, 3)),
    "Mixed_4e": (528, (4, 14, 14), (3, 4, 3)),
    "Mixed_4f": (832, (4, 14, 14), (3, 4, 3)),
    "MaxPool3d_5a_2x2": (832, (2, 7, 7), (2, 2, 2)),
    "Mixed_5b": (832, (2, 7, 7), (2, 2, 2)),
    "Mixed_5c": (1024, (2, 7, 7), (2, 2, 2)),
}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return I3D(3).eval()


@pytest.mark.parametrize(("column", "size"), [(1, (16, 224, 224)), (2, (9, 57, 43))])
def test_every_layer_has_the_published_shape(network, column, size):
    layer_input = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        features = network(layer_input)
        output = layer_input
        shapes = {}
        for name, layer in network.trunk.named_children():
            output = layer(output)
            shapes[name] = (output.shape[1], tuple(output.shape[2:]))
        assert shapes == {name: (row[0], row[column]) for name, row in SHAPES.items()}
        # At 16x224x224 the window of the original's average pooling is all there is.
        pooled = F.avg_pool3d(output, (2, 7, 7) if column == 1 else output.shape[2:])
        torch.testing.assert_close(features, pooled.flatten(1))


# 12,697,264: the count that projects using the public RGB weights print; the flow network has one
# input channel of 64 filters of 7x7x7 less.
@pytest.mark.parametrize(("channels", "count"), [(3, 12_697_264), (2, 12_697_264 - 64 * 7**3)])
def test_it_has_as_many_parameters_as_the_published_network(channels, count):
    with torch.device("meta"):
        assert sum(weight.numel() for weight in I3D(channels).parameters()) == count


def test_logits_are_the_head_applied_to_the_features(network):
    features = torch.randn(2, 1024, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        convolved = network.head(features[:, :, None, None, None])[:, :, 0, 0, 0]
        torch.testing.assert_close(network.logits(features), convolved)


def test_a_clip_has_the_same_features_in_any_batch(network):
    clips = torch.rand((3, 3, 16, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = network(clips)
        alone = torch.cat([network(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together[0], together[1])


def reference_features(clip, weights):
    """The whole network, written again from the paper's figure over keys of `rgb_imagenet.pt`.

    Every padding is an explicit copy by the documented formula.
    """

    def pad(x, kernel, stride, fill):
        sizes = zip(x.shape[2:], kernel, stride, strict=True)
        before_after = [documented_padding(*size) for size in sizes]
        return F.pad(x, [n for pair in reversed(before_after) for n in pair], value=fill)

    def unit(x, name, stride=1):
        kernel = weights[f"{name}.conv3d.weight"]
        x = pad(x, kernel.shape[2:], (stride,) * 3, 0.0)
        norm = [weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var")]
        affine = [weights[f"{name}.bn.{part}"] for part in ("weight", "bias")]
        return F.batch_norm(F.conv3d(x, kernel, stride=stride), *norm, *affine, eps=1e-3).relu()

    def pool(x, kernel, stride):
        return F.max_pool3d(pad(x, kernel, stride, -torch.inf), kernel, stride)

    def mixed(x, name):
        branches = [
            unit(x, f"{name}.b0"),
            unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
            unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
            unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"),
        ]
        return torch.cat(branches, dim=1)

    x = pool(unit(clip, "Conv3d_1a_7x7", stride=2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    x = pool(mixed(mixed(x, "Mixed_3b"), "Mixed_3c"), (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = mixed(x, f"Mixed_4{letter}")
    x = mixed(mixed(pool(x, (2, 2, 2), (2, 2, 2)), "Mixed_5b"), "Mixed_5c")
    return x.mean(dim=(2, 3, 4))


@pytest.mark.parametrize("size", [(16, 56, 56), (16, 32, 49), (11, 45, 31)])
def test_features_are_those_of_a_slow_reference(i3d_weights_file, size):
    from duetal.backbones.i3d import load_i3d

    weights: dict[str, Tensor] = torch.load(i3d_weights_file, weights_only=True)
    network = load_i3d("rgb", str(i3d_weights_file)).network
    clip = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = reference_features(clip, weights)
        torch.testing.assert_close(network(clip), expected, rtol=1e-4, atol=1e-4)
        assert expected.std() > 0.05
