"""A tiny CLIP, branches that are tested in milliseconds, and a dataset to train them on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from duetal.backbones.text_towers import load_text_tower
from duetal.config import Config, make_config, read_values
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.known_times import KnownTimes
from duetal.core.weak_videos import WeakVideos
from duetal.datasets import open_dataset
from duetal.method.branches import build_cbp, build_vlp
from duetal.method.cbp import CBPBranch, CBPSettings
from duetal.method.label_weights import label_weights
from duetal.method.layers import BranchNetwork
from duetal.method.loop import Lesson, Method
from duetal.method.losses import LOSSES
from duetal.method.pseudo_labels import PseudoLabels
from duetal.method.schedule import Phase
from duetal.method.text import PromptedTextEncoder
from duetal.method.vlp import VLPBranch, VLPSettings
from duetal.results.checkpoints import load
from duetal.results.folder import RunFolder
from duetal.runs.training import open_journal, train_phases
from duetal.simulation.generate import simulate
from duetal.simulation.tiny_clip import make_tiny_clip
from duetal.simulation.world import Simulation

NAMES = ("HighJump", "Diving", "CleanAndJerk")
DIM = 16
MakeVLP = Callable[..., VLPBranch]


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    make_tiny_clip(folder, dimension=DIM)
    return folder


@pytest.fixture
def text(tiny_clip: Path) -> PromptedTextEncoder:
    torch.manual_seed(0)
    return PromptedTextEncoder(
        load_text_tower(str(tiny_clip), NAMES, prompts_before=3, prompts_after=2)
    )


@pytest.fixture
def make_cbp() -> Callable[..., CBPBranch]:
    """A CBP branch in eval mode, with features standardised and dropout that would show."""

    def make(radius: int | None = None, levels: int = 3) -> CBPBranch:
        torch.manual_seed(1)
        settings = CBPSettings(
            embed_dim=16, levels=levels, heads=2, attention_radius=radius, dropout=0.5
        )
        branch = CBPBranch(DIM, 3, settings).eval()
        branch.standardize(torch.randn(DIM), torch.rand(DIM) + 0.5)
        return branch

    return make


@pytest.fixture
def make_vlp(text: PromptedTextEncoder) -> MakeVLP:
    """A VLP branch in eval mode; `trained` moves every weight away from where it started."""

    def make(*, trained: bool, **settings: object) -> VLPBranch:
        torch.manual_seed(2)
        chosen = VLPSettings(**({"heads": 2, "positions": 32} | settings))  # type: ignore[arg-type]
        branch = VLPBranch(text, DIM, chosen).eval()
        if trained:
            for parameter in branch.parameters():
                if parameter.requires_grad:
                    parameter.data += 0.2 * torch.randn_like(parameter)
        return branch

    return make


# --- a dataset, and training on it --------------------------------------------------------------

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
    "cbp.embed_dim": 16,
    "cbp.levels": 2,
    "cbp.channel_dropout": 0.0,
    "cbp.heads": 2,
    "prompts_before": 2,
    "prompts_after": 2,
    "vlp.layers": 1,
    "vlp.heads": 2,
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
def pointed(videos: WeakVideos) -> WeakVideos:
    """The videos, every second of which has a point for each class, and was looked through."""
    times = {}
    for name, present in list(zip(videos.names, videos.labels, strict=True))[::2]:
        classes = [int(k) for k in np.flatnonzero(present)]
        middle = videos.grid.longest(videos.length(name)) / 2
        complete = tuple((-np.inf, np.inf, k) for k in classes)
        times[name] = KnownTimes(tuple((middle, k) for k in classes), complete=complete)
    return replace(videos, times=times)


@pytest.fixture
def one_stream(videos: WeakVideos) -> WeakVideos:
    return replace(videos, streams={"cbp": videos.streams["cbp"]})


@pytest.fixture(name="make_config")
def make_config_fixture() -> Callable[..., Config]:
    """The smallest sensible configuration, and what a test changes of it."""

    def make(changed: dict[str, Any] | None = None, **short: Any) -> Config:
        values = read_values(SETTINGS, "test")
        values |= read_values({**(changed or {}), **short}, "test")
        return make_config(values, "test")

    return make


@pytest.fixture
def train() -> Callable[..., list[str]]:
    """Train a run, or what is left of it, in this process; the names of its stages."""

    def run(
        config: Config, videos: WeakVideos, folder: Path, method: Method | None = None
    ) -> list[str]:
        folder.mkdir(exist_ok=True)
        method = method or Method()
        devices = config.machine.devices
        strategy = "ddp" if devices > 1 else "auto"
        precision = config.machine.precision
        fabric = Fabric(accelerator="cpu", strategy=strategy, devices=devices, precision=precision)
        fabric.launch()
        with open_journal(fabric, config, videos, RunFolder(folder), method) as journal:
            train_phases(fabric, config, videos, RunFolder(folder), method, journal)
        return [phase.stage for phase in method.schedule(config.schedule, videos.streams)]

    return run


@pytest.fixture
def make_branch(videos: WeakVideos) -> Callable[[Config, str], BranchNetwork]:
    """A branch as a run makes it, its VLP gates ajar so that every weight has a gradient."""

    def make(config: Config, kind: str) -> BranchNetwork:
        if kind == "cbp":
            return build_cbp(config, videos, load_text_tower)
        branch = build_vlp(config, videos, load_text_tower)
        assert isinstance(branch, VLPBranch)
        torch.nn.init.constant_(branch.gates, 0.05)
        return branch

    return make


@pytest.fixture
def pseudo(videos: WeakVideos) -> PseudoLabels:
    """Random pseudo-labels: background where a class is absent."""
    random = np.random.default_rng(5)
    return [
        np.where(present, random.integers(-1, 2, size=(videos.length(name), 3)), 0).astype(np.int8)
        for name, present in zip(videos.names, videos.labels, strict=True)
    ]


def taught_phase(kind: str, epochs: int = 2) -> Phase:
    """A phase that distils everything into a branch."""
    teacher, distils = ("vlp", ("foreground", "background")), ("cbp", ("background",))
    name, what = teacher if kind == "cbp" else distils
    return Phase("X1", "X", kind, epochs, f"{kind}-x1", "X", teacher=name, distils=what)


@pytest.fixture
def make_lesson(videos: WeakVideos, pseudo: PseudoLabels) -> Callable[..., Lesson]:
    """What a step of a taught phase reads."""

    def make(config: Config, student: BranchNetwork, kind: str, losses: Any = LOSSES) -> Lesson:
        fabric = Fabric(accelerator="cpu", devices=1, precision=config.machine.precision)
        weights = torch.from_numpy(label_weights(videos.labels))
        phase = taught_phase(kind)
        return Lesson(fabric, config, videos, phase, student, pseudo, losses, weights, 0.2)

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
