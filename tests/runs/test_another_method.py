"""A third branch, a third kind of phase and a loss term, in this file alone.

The package is not touched: they are entries of a `Method`. A run of it trains, is resumed,
evaluated and reported as any other.
"""

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning_fabric import Fabric
from torch import Tensor, nn

from duetal.config import load_config
from duetal.core.weak_videos import WeakVideos
from duetal.method.branches import BRANCHES, Branch, LoadText
from duetal.method.layers import BranchNetwork, apply_mask
from duetal.method.loop import Method
from duetal.method.losses import LOSSES, LossSettings, LossTerm, Predictions
from duetal.method.method_settings import MethodSettings
from duetal.method.schedule import Phase, ScheduleSettings, schedule
from duetal.pages.page import write_report
from duetal.results import checkpoints
from duetal.results.folder import RunFolder
from duetal.results.reading import read_run
from duetal.runs.localizing import localize
from duetal.runs.run import open_run
from duetal.runs.run_evaluation import run_evaluation
from duetal.runs.training import open_for_training, train

pytestmark = pytest.mark.recipe


class AudioBranch(BranchNetwork):
    """A linear classifier of sound features, snippet by snippet."""

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.linear = nn.Linear(dim, num_classes)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return apply_mask(self.linear(features), mask), features


def build_audio(settings: MethodSettings, videos: WeakVideos, load_text: LoadText) -> AudioBranch:
    with torch.random.fork_rng():
        torch.manual_seed(settings.schedule.seed)
        return AudioBranch(videos.streams["audio"].dim, len(videos.classes))


def audio_for_inference(settings: MethodSettings, dim: int, num_classes: int) -> AudioBranch:
    return AudioBranch(dim, num_classes)


AUDIO = Branch("audio", "Audio", build_audio, audio_for_inference)


def smoothness(batch: Predictions, settings: LossSettings) -> Tensor:
    """Neighbouring snippets should score alike: (B,)."""
    return (batch.logits[:, 1:] - batch.logits[:, :-1]).square().mean(dim=(1, 2))


def with_a_step(settings: ScheduleSettings, streams: Collection[str]) -> list[Phase]:
    """The paper's schedule, then the A step: VLP teaches the sound branch its foreground."""
    step = Phase(
        "A1", "A step 1", "audio", 2, "audio-a1", "Audio after A1",
        teacher="vlp", distils=("foreground",), learning_rate=0.05,
    )  # fmt: skip
    return [*schedule(settings, streams), step]


METHOD = Method(
    branches=(*BRANCHES, AUDIO),
    losses=(*LOSSES, LossTerm("smoothness", smoothness, weight=lambda settings: 0.1)),
    schedule=with_a_step,
)


@pytest.fixture(scope="module")
def dataset_folder(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny dataset with a third stream, named in its `dataset.yaml`."""
    folder = tmp_path_factory.mktemp("three") / "dataset"
    shutil.copytree(tiny_dataset, folder)
    (folder / "features" / "audio").mkdir()
    random = np.random.default_rng(0)
    for path in sorted((folder / "features" / "cbp").glob("*.npy")):
        length = len(np.load(path))
        sound = random.normal(size=(length, 5)).astype(np.float32)
        np.save(folder / "features" / "audio" / path.name, sound)
    description = yaml.safe_load((folder / "dataset.yaml").read_text())
    description["streams"] = {"audio": "features/audio"}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(description))
    return folder


@pytest.fixture(scope="module")
def run_folder(
    dataset_folder: Path, tiny_settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("three") / "run"
    train_there(folder, dataset_folder, tiny_settings)
    return folder


def train_there(folder: Path, dataset_folder: Path, settings: tuple[str, ...]) -> None:
    config = load_config("", "test", [*settings, f"dataset={dataset_folder}"])
    dataset = open_for_training(config, METHOD)
    fabric = Fabric(accelerator="cpu", devices=1)
    assert train(fabric, config, dataset, RunFolder(folder), METHOD)
    run = open_run(folder, METHOD)
    assert run_evaluation(run, dataset, fabric, lambda *progress: None) is not None


def test_it_trains_and_logs_its_loss(run_folder: Path) -> None:
    model = open_run(run_folder, METHOD).model
    assert [branch.name for branch in model.branches] == ["cbp", "vlp", "audio"]
    assert model.stages[-1].title == "Audio after A1"
    log = read_run(run_folder).seeds[0].log
    assert list(log.epochs) == ["warmup", "B1", "F1", "A1"]
    assert list(log.epochs["A1"][1].terms) == ["classification", "distillation", "smoothness"]
    assert log.pseudo_labels["A1"].teacher == "vlp"


def test_it_is_evaluated_with_an_ensemble_of_three(run_folder: Path, dataset_folder: Path) -> None:
    evaluation = read_run(run_folder).seeds[0].evaluation
    assert evaluation is not None
    assert [(stage.stage, stage.branch) for stage in evaluation.stages][-2:] == [
        ("audio-a1", "audio"),
        ("ensemble", "ensemble"),
    ]
    run = open_run(run_folder, METHOD)
    dataset = open_for_training(run.config, METHOD)
    for argument in ("audio", "both"):
        stages = run.model.stages_named(argument)
        assert stages[-1] == "audio-a1"
        assert len(localize(run, dataset, dataset.evaluation, stages=stages))


def test_it_is_resumed_into_the_same_weights(
    run_folder: Path, dataset_folder: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    """As if it had been killed in the A step, and in the F step before."""
    for lost in (["audio-a1"], ["audio-a1", "cbp-f1"]):
        folder = tmp_path / lost[-1]
        shutil.copytree(run_folder, folder)
        for stage in lost:
            (folder / "checkpoints" / f"{stage}.safetensors").unlink()
        (folder / "model.json").unlink()
        (folder / "evaluation.json").unlink()
        train_there(folder, dataset_folder, tiny_settings)
        for stage in ("cbp-f1", "audio-a1"):
            path = Path("checkpoints") / f"{stage}.safetensors"
            expected = checkpoints.load(run_folder / path).tensors
            got = checkpoints.load(folder / path).tensors
            assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())
        for run in (folder, run_folder):
            assert (run / "evaluation.json").is_file()
        scores = [json.loads((f / "evaluation.json").read_text()) for f in (folder, run_folder)]
        assert scores[0] == scores[1]


def test_the_report_shows_it(run_folder: Path, tmp_path: Path) -> None:
    page = write_report(run_folder, tmp_path / "report.html").path.read_text()
    for text in ("Audio after A1", "Audio learns foreground from VLP", "smoothness"):
        assert text in page, text
