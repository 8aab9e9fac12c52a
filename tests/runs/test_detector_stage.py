"""A run whose last stage is the detector: trained, resumed, evaluated, localized with, reported."""

import shutil
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

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


def test_its_rounds_are_stages_and_phases(tiny_detector_run: Path) -> None:
    model = open_run(tiny_detector_run).model
    assert list(model.evaluated_stages())[-3:] == ["ensemble", "detector-1", "detector-2"]
    assert model.detector is not None
    assert model.detector.teachers == ["cbp-f1", "vlp-b1"]
    log = read_run(tiny_detector_run).seeds[0].log
    assert list(log.epochs)[-2:] == ["D1", "D2"]
    assert list(log.epochs["D1"][1].terms) == ["classes", "borders", "centreness"]


def test_what_it_is_taught_is_counted(tiny_detector_run: Path) -> None:
    log = read_run(tiny_detector_run).seeds[0].log
    assert list(log.pseudo_segments) == ["D1", "D2"]
    for counts in log.pseudo_segments["D1"].classes.values():
        assert 0 < counts.taught <= counts.segments
        assert 0 < counts.borders <= 2 * counts.taught
        assert 0 < counts.confidence <= counts.segments


def test_it_is_evaluated_and_localizes(tiny_detector_run: Path) -> None:
    evaluation = read_run(tiny_detector_run).seeds[0].evaluation
    assert evaluation is not None
    last = evaluation.stages[-1]
    assert (last.stage, last.title, last.branch) == (
        "detector-2",
        "Detector after round 2",
        "detector",
    )
    run = open_run(tiny_detector_run)
    stages = run.model.stages_named("detector")
    assert stages == ["detector-2"]
    assert run.model.rule(stages) == run.model.selection
    dataset = open_for_training(run.config)
    assert len(localize(run, dataset, dataset.evaluation, stages=stages))


def test_a_run_without_one_names_what_it_has(tiny_run: Path) -> None:
    with pytest.raises(UsageError, match="stage"):
        open_run(tiny_run).model.stages_named("detector")


def test_it_is_resumed_into_the_same_weights(tiny_detector_run: Path, tmp_path: Path) -> None:
    """As if it had been killed in either round."""
    config = open_run(tiny_detector_run).config
    dataset, fabric = open_for_training(config), Fabric(accelerator="cpu", devices=1)
    for lost in (["detector-2"], ["detector-2", "detector-1"]):
        folder = tmp_path / lost[-1]
        shutil.copytree(tiny_detector_run, folder)
        for stage in lost:
            (folder / "checkpoints" / f"{stage}.safetensors").unlink()
        (folder / "model.json").unlink()
        (folder / "evaluation.json").unlink()
        assert train(fabric, config, dataset, RunFolder(folder))
        assert run_evaluation(open_run(folder), dataset, fabric, lambda *progress: None)
        path = Path("checkpoints") / "detector-2.safetensors"
        expected = checkpoints.load(tiny_detector_run / path).tensors
        got = checkpoints.load(folder / path).tensors
        assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())
        for name in ("evaluation.json", "model.json"):
            assert (folder / name).read_text() == (tiny_detector_run / name).read_text()
        log = read_run(folder).seeds[0].log
        assert [len(log.epochs[phase]) for phase in ("D1", "D2")] == [3, 3]


def test_the_report_shows_it(tiny_detector_run: Path, tmp_path: Path) -> None:
    page = write_report(tiny_detector_run, tmp_path / "report.html").path.read_text()
    for text in ("Detector after round 2", "Detector learns segments from ensemble", "centreness"):
        assert text in page, text
    assert "Pseudo-segments of D2 by class" in page
