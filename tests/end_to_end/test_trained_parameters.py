"""What is trained of every family, and that it can be put into the family's model again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from _tiny_models import TINY, make_tiny_model
from duetal.backbones import RGB
from duetal.backbones.presets import PRESETS, choose
from duetal.backbones.protocol import BackboneRecord, Reads
from duetal.backbones.tuned_weights import TunedWeights
from duetal.core.errors import DuetalError, UsageError
from duetal.end_to_end.trained_parameters import blocks, choose_parameters, merged, set_training
from duetal.extraction.networks import Network
from duetal.method.backbone_settings import BackboneSettings
from duetal.simulation.tiny_clip import make_tiny_clip

#: By family, how many blocks its tiny model has.
BLOCKS = dict.fromkeys(("clip", *TINY), 2) | {
    "rgb": 12,
    "xclip": 3,
    "vjepa2": 3,
    "videoprism-lvt": 4,
}
LoadFamily = Callable[[str], Network]


@pytest.fixture(scope="module")
def load_family(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbones: dict[str, str]
) -> LoadFamily:
    """A tiny model of a family, newly loaded."""
    root = tmp_path_factory.mktemp("families")

    def load(name: str) -> Network:
        record: BackboneRecord = RGB
        source = tiny_backbones["rgb"]
        if name != "rgb":
            source = str(root / name)
            if not Path(source).is_dir():
                make = make_tiny_clip if name == "clip" else make_tiny_model
                make(*([name] if name != "clip" else []), Path(source))  # type: ignore[operator]
            record = choose(source, "vlp" if PRESETS[name].has_text else "cbp")[0]
        backbone = record.load(source, None)
        return Network(record, backbone, device=torch.device("cpu"), batch=2, threads=1)

    return load


def inputs(network: Network) -> torch.Tensor:
    """Two snippets, as extraction would give them to the network."""
    rng, read = np.random.default_rng(0), network.record.input
    if read.crop is not None:
        return torch.from_numpy(rng.integers(0, 256, (2, read.window, 32, 32, 3), np.uint8))
    frames = []
    for _ in range(2 * len(read.offsets)):
        picture: Any = rng.integers(0, 256, (40, 48, 3), np.uint8)
        if read.reads is Reads.SOUND:
            samples = int(network.backbone.longest * network.backbone.sound_rate)
            picture = rng.normal(0, 0.1, samples).astype(np.float32)
        frames.append(torch.tensor(network.backbone.prepare(picture)))
    return torch.stack(frames).unflatten(0, (2, -1))


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_trained_is_put_into_the_family_again(name: str, load_family: LoadFamily) -> None:
    features: dict[str | None, torch.Tensor] = {}
    counts = {}
    for train in ("all", "last:1", "adapters"):
        network = load_family(name)
        module, read = network.backbone.module, inputs(network)
        assert module is not None
        assert len(blocks(module)) == BLOCKS[name]
        features[None] = network.features(read).detach()
        settings = BackboneSettings(train=train, rank=2)
        if name == "rgb" and train == "adapters":
            with pytest.raises(UsageError, match="adapters: rgb has no linear layers"):
                choose_parameters(module, settings, name, 0)
            continue
        trained = choose_parameters(module, settings, name, 0)
        set_training(module, True)
        network.features(read).square().sum().backward()
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in trained.values())
        frozen = [p for p in module.parameters() if not p.requires_grad]
        assert all(p.grad is None for p in frozen)
        counts[train] = sum(p.numel() for p in trained.values())
        with torch.no_grad():
            for parameter in trained.values():
                parameter.add_(0.02 * torch.randn_like(parameter))
        set_training(module, False)
        before = network.features(read).detach()
        with merged(module):
            features[train] = network.features(read).detach()
        torch.testing.assert_close(features[train], before, atol=1e-4, rtol=1e-4)
        assert torch.equal(network.features(read), before)
        again = load_family(name)
        TunedWeights(trained).apply(again.backbone)
        torch.testing.assert_close(again.features(read), features[train], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(features[train], features[None], atol=1e-3)
    assert counts["last:1"] < counts["all"]


def test_a_network_has_no_more_blocks_than_it_has(load_family: LoadFamily) -> None:
    module = load_family("videomae").backbone.module
    assert module is not None
    with pytest.raises(UsageError, match="last:3: videomae has 2 blocks; all trains"):
        choose_parameters(module, BackboneSettings(train="last:3"), "videomae", 0)


def test_statistics_of_batch_normalisation_stay(load_family: LoadFamily) -> None:
    network = load_family("rgb")
    module = network.backbone.module
    assert module is not None
    choose_parameters(module, BackboneSettings(train="all"), "rgb", 0)
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    set_training(module, True)
    network.features(inputs(network)).sum().backward()
    assert before
    assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())


def test_what_was_trained_of_another_backbone_is_refused(load_family: LoadFamily) -> None:
    tuned = TunedWeights({"layers.0.weight": torch.zeros(2, 2)})
    with pytest.raises(DuetalError, match="not the backbone that was trained: no"):
        tuned.apply(load_family("videomae").backbone)
    assert tuned.sha256 != TunedWeights({"layers.0.weight": torch.ones(2, 2)}).sha256
