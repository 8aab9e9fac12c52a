"""Weights of I3D: both public layouts, every way to nest them, and everything wrong with them."""

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from duetal.backbones.i3d import load_i3d, random_weights
from duetal.backbones.i3d_network import I3D, i3d_from
from duetal.backbones.weights import file_sha256
from duetal.core.errors import DuetalError

Weights = dict[str, Tensor]

#: Output channels of the branches of each block: 0, 1a, 1b, 2a, 2b, 3b; and its input's.
BLOCKS = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}
PIERGIAJ_BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
HASSONY2_BRANCHES = (
    "branch_0",
    "branch_1.0",
    "branch_1.1",
    "branch_2.0",
    "branch_2.1",
    "branch_3.1",
)


def public_shapes(channels: int, layout: str) -> dict[str, tuple[int, ...]]:
    """The keys of a public file and their shapes, put together without duetal's own names."""
    hassony2 = layout == "hassony2"
    branches = HASSONY2_BRANCHES if hassony2 else PIERGIAJ_BRANCHES
    layers = {
        "Conv3d_1a_7x7": (64, channels, 7),
        "Conv3d_2b_1x1": (64, 64, 1),
        "Conv3d_2c_3x3": (192, 64, 3),
    }
    for block, (inputs, point, first_1, second_1, first_2, second_2, pooled) in BLOCKS.items():
        sizes = (
            (point, inputs, 1),
            (first_1, inputs, 1),
            (second_1, first_1, 3),
            (first_2, inputs, 1),
            (second_2, first_2, 3),
            (pooled, inputs, 1),
        )
        for branch, size in zip(branches, sizes, strict=True):
            layers[f"Mixed_{block}.{branch}"] = size
    norm = "batch3d" if hassony2 else "bn"
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (outputs, inputs, kernel) in layers.items():
        name = layer[0].lower() + layer[1:] if hassony2 else layer
        shapes[f"{name}.conv3d.weight"] = (outputs, inputs, kernel, kernel, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{norm}.{part}"] = (outputs,)
    head = "conv3d_0c_1x1" if hassony2 else "logits"
    return shapes | {
        f"{head}.conv3d.weight": (400, 1024, 1, 1, 1),
        f"{head}.conv3d.bias": (400,),
    }


def public_weights(channels: int, layout: str) -> Weights:
    """Random content; the same, key by key, in both layouts."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, shape in public_shapes(channels, layout).items():
        scale = torch.tensor(shape[1:]).prod().item() ** -0.5
        weights[key] = torch.rand(shape, generator=generator) * scale + 0.01
    return weights


def clips(channels: int) -> Tensor:
    return torch.rand((2, channels, 16, 32, 32), generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("modality", "channels"), [("rgb", 3), ("flow", 2)])
def test_both_public_layouts_give_the_identical_network(tmp_path, modality, channels):
    networks = []
    for layout in ("piergiaj", "hassony2"):
        # Neither public file has the counters that newer versions of PyTorch keep.
        path = tmp_path / f"{layout}.pt"
        torch.save(public_weights(channels, layout), path)
        backbone = load_i3d(modality, str(path))
        assert backbone.identity.architecture == f"i3d-{modality}"
        assert backbone.identity.sha256 == file_sha256(path)
        networks.append(backbone.network)
    one, other = (network.state_dict() for network in networks)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    with torch.inference_mode():
        features = [network(clips(channels)) for network in networks]
    assert torch.equal(*features)
    assert features[0].std() > 0


def test_a_loaded_network_is_frozen(i3d_weights_file):
    network = load_i3d("rgb", str(i3d_weights_file)).network
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


@pytest.fixture(scope="module")
def rgb() -> Weights:
    return public_weights(3, "piergiaj")


def save_nested(weights, path):
    torch.save({"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1}}, path)


def save_model(weights, path):
    torch.save({"model": weights}, path)


def save_parallel(weights, path):
    torch.save({"state_dict": {f"module.{key}": value for key, value in weights.items()}}, path)


def save_as_before_2020(weights, path):
    torch.save(weights, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("nested.pth.tar", save_nested),
        ("model.pth", save_model),
        ("parallel.pt", save_parallel),
        ("old.pt", save_as_before_2020),
        ("rgb.safetensors", save_file),
    ],
)
def test_every_way_to_save_them_loads(tmp_path, rgb, name, save: Callable[..., None]):
    save(rgb, tmp_path / name)
    network = load_i3d("rgb", str(tmp_path / name)).network
    loaded = network.trunk.Mixed_4e.branch_2[1].conv.weight
    assert torch.equal(loaded, rgb["Mixed_4e.b2b.conv3d.weight"])


def test_half_precision_and_other_classes_load(tmp_path, rgb):
    weights = {key: value.half() for key, value in rgb.items()}
    weights["logits.conv3d.weight"] = torch.zeros(157, 1024, 1, 1, 1)
    weights["logits.conv3d.bias"] = torch.zeros(157)
    network = i3d_from(weights, 3, tmp_path / "charades.pt")
    assert network(clips(3)).dtype == torch.float32
    assert network.logits(torch.zeros(2, 1024)).shape == (2, 157)


KEY = "Mixed_3b.b1a.conv3d.weight"


def without(key):
    return lambda weights: {name: value for name, value in weights.items() if name != key}


def replacing(key, change):
    return lambda weights: weights | {key: change(weights.get(key))}


@pytest.mark.parametrize(
    ("change", "place", "cause"),
    [
        (
            lambda w: public_weights(2, "piergiaj"),
            "Conv3d_1a_7x7.conv3d.weight",
            "these are optical flow",
        ),
        (
            lambda w: public_weights(2, "hassony2"),
            "conv3d_1a_7x7.conv3d.weight",
            "these are optical flow",
        ),
        (lambda w: {"fc.weight": torch.zeros(1)}, None, "not the weights of an I3D"),
        (without("Conv3d_1a_7x7.conv3d.weight"), None, "not the weights of an I3D"),
        (without(KEY), KEY, "missing"),
        (without("logits.conv3d.bias"), "logits.conv3d.bias", "missing"),
        (without("Mixed_5c.b0.bn.running_var"), "Mixed_5c.b0.bn.running_var", "missing"),
        (lambda w: dict(list(w.items())[:10]), "Conv3d_2c_3x3.conv3d.weight", "more"),
        (lambda w: w | {"extra.weight": w[KEY]}, "extra.weight", "not of an I3D"),
        (lambda w: w | public_weights(3, "hassony2"), "conv3d_1a_7x7.conv3d.weight", "more"),
        (replacing(KEY, lambda t: t[:, :, 0]), KEY, r"shape \(96, 192, 1, 1\) instead of"),
        (replacing(KEY, lambda t: t[:5]), KEY, "shape"),
        (replacing(KEY, lambda t: t.int()), KEY, "int32 instead of floating"),
        (replacing(KEY, lambda t: t * float("nan")), KEY, "not a number"),
        (
            replacing("Conv3d_1a_7x7.conv3d.weight", lambda t: t[:, :1]),
            "Conv3d_1a_7x7.conv3d.weight",
            "shape",
        ),
        (replacing("Conv3d_1a_7x7.conv3d.weight", torch.sum), "Conv3d_1a_7x7.conv3d.weight", "sha"),
        (replacing("logits.conv3d.weight", torch.sum), "logits.conv3d.weight", "shape"),
    ],
)
def test_wrong_weights_are_named(tmp_path, rgb, change, place, cause):
    file = tmp_path / "rgb.pt"
    with pytest.raises(DuetalError, match=cause) as caught:
        i3d_from(change(rgb), 3, file)
    assert caught.value.file == file
    assert caught.value.place == place
    assert "\n" not in str(caught.value)


def test_rgb_weights_are_refused_for_flow(i3d_weights_file):
    with pytest.raises(DuetalError, match="these are RGB weights"):
        load_i3d("flow", str(i3d_weights_file))


def test_random_weights_depend_on_their_seed(tmp_path, i3d_weights_file):
    random_weights(tmp_path / "same.pt", "rgb", seed=1)
    random_weights(tmp_path / "other.pt", "rgb", seed=2)
    original = torch.load(i3d_weights_file, weights_only=True)
    key = "Conv3d_2b_1x1.conv3d.weight"
    assert torch.equal(torch.load(tmp_path / "same.pt", weights_only=True)[key], original[key])
    assert not torch.equal(torch.load(tmp_path / "other.pt", weights_only=True)[key], original[key])
    assert public_shapes(3, "piergiaj").keys() <= original.keys()


def test_random_weights_give_useful_features(tmp_path):
    """No layer's activations vanish or explode, and different clips have different features."""
    random_weights(tmp_path / "flow.pt", "flow")
    network = load_i3d("flow", str(tmp_path / "flow.pt")).network
    assert isinstance(network, I3D)
    right = torch.zeros(2, 16, 56, 56)
    right[0] = 0.1  # two pixels a frame
    up = torch.zeros(2, 16, 56, 56)
    up[1] = -0.1
    with torch.inference_mode():
        output = torch.stack([right, up, torch.zeros_like(up)])
        for layer in network.trunk.children():
            output = layer(output)
            assert 0.05 < output.std() < 5
        features = output.mean(dim=(2, 3, 4))
    likeness = torch.nn.functional.cosine_similarity(features[0], features[1:])
    assert (likeness < 0.95).all()
