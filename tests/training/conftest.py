"""A tiny simulated dataset of two modalities, and what trains on it in a second."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from duetal.config import Config
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.datasets import open_dataset
from duetal.datasets.dataset import WeakVideos
from duetal.simulation.generate import simulate
from duetal.simulation.world import Simulation
from duetal.training.alternation import Alternation
from duetal.training.branches import cbp_branch, text_encoder, vlp_branch
from duetal.training.checkpoints import load
from duetal.training.journal import Journal
from duetal.training.phase import Branch, Trainer

CLASSES = ("Diving", "HighJump", "LongJump")
SETTINGS: dict[str, Any] = {
    "crop": 16,
    "batch_size": 4,
    "micro_batch_snippets": 32,
    "warmup_epochs": 2,
    "b_epochs": 2,
    "f_epochs": 2,
    "alternations": 1,
    "learning_rate": 1e-3,
    "cbp_width": 16,
    "cbp_levels": 2,
    "cbp_heads": 2,
    "prompts_before": 2,
    "prompts_after": 2,
    "vlp_layers": 1,
    "vlp_heads": 2,
    "accelerator": "cpu",
}


def made_up_annotations() -> Annotations:
    """Ten training videos of 6 to 27 snippets and two test videos, of one or two classes."""
    random = np.random.default_rng(0)
    videos = {}
    for number in range(12):
        duration = 4.0 + 1.3 * number
        labels = sorted({CLASSES[number % 3], CLASSES[number * number % 3]})
        starts = random.uniform(0, duration - 2, size=len(labels)).tolist()
        segments = tuple(
            Segment(start, start + 2.0, label) for start, label in zip(starts, labels, strict=True)
        )
        name = f"v{number:02}"
        subset = "train" if number < 10 else "test"
        videos[name] = VideoAnnotation(name, subset, duration, tuple(labels), segments)
    return Annotations(videos, CLASSES)


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    simulate(made_up_annotations(), folder, Simulation(cbp_channels=12, vlp_channels=8, topics=4))
    return folder


@pytest.fixture
def videos(dataset_folder: Path) -> WeakVideos:
    return open_dataset(dataset_folder).weak()


@pytest.fixture
def one_modality(videos: WeakVideos) -> WeakVideos:
    return replace(videos, vlp=None)


@pytest.fixture
def make_config() -> Callable[..., Config]:
    """The smallest sensible configuration, and what a test wants otherwise."""
    return lambda **settings: Config(**{**SETTINGS, **settings})


@pytest.fixture
def train() -> Callable[..., list[str]]:
    """Train a run, or what is left of it, in this process."""

    def run(config: Config, videos: WeakVideos, folder: Path) -> list[str]:
        folder.mkdir(exist_ok=True)
        fabric = Fabric(accelerator="cpu", devices=1, precision=config.precision)
        encoder = videos.text_encoder or ""
        return Alternation(fabric, config, videos, folder, text_encoder=encoder).run()

    return run


@pytest.fixture
def make_branch(videos: WeakVideos) -> Callable[[Config, str], Branch]:
    """A branch as a run makes it, its VLP gates ajar so that every weight has a gradient."""

    def make(config: Config, kind: str) -> Branch:
        if kind == "cbp":
            return cbp_branch(config, videos.cbp.dim, len(videos.classes))
        assert videos.vlp is not None
        assert videos.text_encoder is not None
        text = text_encoder(config, videos.text_encoder, videos.classes, {})
        branch = vlp_branch(config, text, videos.vlp.dim)
        torch.nn.init.constant_(branch.gates, 0.05)
        return branch

    return make


@pytest.fixture
def make_trainer(videos: WeakVideos, tmp_path: Path) -> Callable[[Config], Trainer]:
    """A trainer in a folder of its own, without the alternation around it."""

    def make(config: Config) -> Trainer:
        fabric = Fabric(accelerator="cpu", devices=1, precision=config.precision)
        return Trainer(fabric, config, videos, tmp_path, Journal(tmp_path, 1))

    return make


@pytest.fixture(scope="session")
def settings() -> dict[str, Any]:
    """What `make_config` starts from."""
    return dict(SETTINGS)


@pytest.fixture
def assert_same_run() -> Callable[[Path, Path], None]:
    """Two runs ended alike: weights bit for bit, and records but for what a clock measured."""

    def check(folder: Path, expected: Path) -> None:
        names = {path.name for path in (expected / "checkpoints").glob("*.safetensors")}
        assert {p.name for p in (folder / "checkpoints").glob("*.safetensors")} == names
        for kind in ("checkpoints", "pseudo_labels"):
            for path in (expected / kind).glob("*.safetensors"):
                wanted = load(path).tensors
                got = load(folder / kind / path.name).tensors
                assert got.keys() == wanted.keys()
                for name, tensor in wanted.items():
                    same = got[name].numpy().tobytes() == tensor.numpy().tobytes()
                    assert same, f"{kind}/{path.name}: {name}"
        assert records(folder) == records(expected)
        assert not list(folder.rglob("*.part"))  # what was being written is gone

    return check


def records(folder: Path) -> list[dict[str, Any]]:
    """A run's metrics.jsonl without its wall-clock fields."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
