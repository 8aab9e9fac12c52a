"""A run whose last stage is the detector: trained, resumed, evaluated, localized with, reported."""

import shutil
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from duetal.config import load_config
from duetal.core.errors import UsageError
from duetal.pages.page import write_report
from duetal.results import checkpoints
from duetal.results.folder import RunFolder
from duetal.results.reading import read_run
from duetal.runs.localizing import localize
from duetal.runs.run import open_run
from duetal.runs.run_evaluation import run_evaluation
from duetal.runs.training import open_for_training, train

pytestmark = pytest.mark.recipe

DETECTOR = ("detector.rounds=2", "detector.epochs=3", "detector.width=8", "detector.scales=3")


def train_there(folder: Path, dataset_folder: Path, settings: tuple[str, ...]) -> None:
    config = load_config("", "test", [*settings, *DETECTOR, f"dataset={dataset_folder}"])
    dataset = open_for_training(config)
    fabric = Fabric(accelerator="cpu", devices=1)
    assert train(fabric, config, dataset, RunFolder(folder))
    assert run_evaluation(open_run(folder), dataset, fabric.device, lambda *progress: None)


@pytest.fixture(scope="module")
def run_folder(
    tiny_dataset: Path, tiny_settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("detector") / "run"
    train_there(folder, tiny_dataset, tiny_settings)
    return folder


def test_its_rounds_are_stages_and_phases(run_folder: Path) -> None:
    model = open_run(run_folder).model
    assert list(model.evaluated_stages())[-3:] == ["ensemble", "detector-1", "detector-2"]
    assert model.detector is not None
    assert model.detector.teachers == ["cbp-f1"]
    log = read_run(run_folder).seeds[0].log
    assert list(log.epochs)[-2:] == ["D1", "D2"]
    assert list(log.epochs["D1"][1].terms) == ["classes", "borders", "centreness"]


def test_it_is_evaluated_and_localizes(run_folder: Path) -> None:
    evaluation = read_run(run_folder).seeds[0].evaluation
    assert evaluation is not None
    last = evaluation.stages[-1]
    assert (last.stage, last.title, last.branch) == (
        "detector-2",
        "Detector after round 2",
        "detector",
    )
    run = open_run(run_folder)
    stages = run.model.stages_named("detector")
    assert stages == ["detector-2"]
    assert run.model.rule(stages) == run.model.selection
    dataset = open_for_training(run.config)
    assert len(localize(run, dataset, dataset.evaluation, stages=stages))


def test_a_run_without_one_names_what_it_has(tiny_run: Path) -> None:
    with pytest.raises(UsageError, match="stage"):
        open_run(tiny_run).model.stages_named("detector")


def test_it_is_resumed_into_the_same_weights(
    run_folder: Path, tiny_dataset: Path, tiny_settings: tuple[str, ...], tmp_path: Path
) -> None:
    """As if it had been killed in either round."""
    for lost in (["detector-2"], ["detector-2", "detector-1"]):
        folder = tmp_path / lost[-1]
        shutil.copytree(run_folder, folder)
        for stage in lost:
            (folder / "checkpoints" / f"{stage}.safetensors").unlink()
        (folder / "model.json").unlink()
        (folder / "evaluation.json").unlink()
        train_there(folder, tiny_dataset, tiny_settings)
        path = Path("checkpoints") / "detector-2.safetensors"
        expected = checkpoints.load(run_folder / path).tensors
        got = checkpoints.load(folder / path).tensors
        assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())
        for name in ("evaluation.json", "model.json"):
            assert (folder / name).read_text() == (run_folder / name).read_text()
        log = read_run(folder).seeds[0].log
        assert [len(log.epochs[phase]) for phase in ("D1", "D2")] == [3, 3]


def test_the_report_shows_it(run_folder: Path, tmp_path: Path) -> None:
    page = write_report(run_folder, tmp_path / "report.html").path.read_text()
    for text in ("Detector after round 2", "Detector, round 1", "centreness"):
        assert text in page, text
