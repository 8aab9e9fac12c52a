"""A run that version 0.1.0 trained and evaluated: everything goes on with it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from duetal.core.files import read_json
from duetal.datasets import Dataset, open_dataset
from duetal.pages import render_report
from duetal.results import checkpoints
from duetal.results.folder import RunFolder
from duetal.results.reading import read_run
from duetal.results.version_0_1 import branch_of, order_phases, phase, title_of
from duetal.runs.run import Run, open_run
from duetal.runs.run_evaluation import run_evaluation
from duetal.runs.training import open_for_training, train

FILES = Path(__file__).parent / "run_of_0_1_0"
STAGES = ["cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1"]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A copy of the run, with its dataset's path in its settings."""
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    folder = RunFolder(tmp_path / "run")
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace("DATASET", str(tmp_path / "dataset")))
    return folder


@pytest.fixture
def run(folder: RunFolder) -> Run:
    return open_run(folder.path)


@pytest.fixture
def dataset(folder: RunFolder) -> Dataset:
    return open_dataset(folder.path.parent / "dataset")


def test_its_model_and_settings_are_read(run: Run) -> None:
    assert [(b.name, b.title, b.dim, b.final) for b in run.model.branches] == [
        ("cbp", "CBP", 12, "cbp-f1"),
        ("vlp", "VLP", 8, "vlp-b1"),
    ]
    assert [(s.name, s.phase) for s in run.model.stages] == list(
        zip(STAGES, ("warmup", "zeroshot", "B1", "F1"), strict=True)
    )
    assert (run.config.cbp.embed_dim, run.config.schedule.b_learning_rate) == (8, 0.003)
    assert (run.config.schedule.gradient_clip, run.config.machine.threads) == (None, None)


def test_its_folder_is_read_and_reported(folder: RunFolder) -> None:
    results = read_run(folder.path)
    assert results.notices == []
    assert results.branches() == {"cbp": "CBP", "vlp": "VLP"}
    assert list(results.phases()) == ["warmup", "zeroshot", "B1", "F1"]
    (seed,) = results.seeds
    assert seed.evaluation is not None
    assert [(s.stage, s.title) for s in seed.evaluation.stages][-2:] == [
        ("cbp-f1", "CBP after F1"),
        ("ensemble", "Ensemble"),
    ]
    assert [list(epochs) for epochs in seed.log.epochs.values()] == [[1, 2]] * 3
    page = render_report(folder.path)
    assert "VLP learns background from CBP" in page
    assert "Ensemble reaches" in page


def test_it_localizes_and_scores_as_it_did(run: Run, dataset: Dataset) -> None:
    before = read_json(run.folder.evaluation_file)
    found = {path.name: read_json(path) for path in run.folder.path.glob("detections/*.json")}
    run.folder.evaluation_file.unlink()
    evaluation = run_evaluation(run, dataset, Fabric(accelerator="cpu", devices=1), lambda *_: None)
    assert evaluation is not None
    for stage, old in zip(evaluation.stages, before["stages"], strict=True):
        assert (stage.stage, stage.title) == (old["stage"], old["title"])
        assert list(stage.mean_ap) == pytest.approx(old["mAP"])
    assert len(found) == 5
    for name, old in found.items():
        new = read_json(run.folder.path / "detections" / name)
        assert new["results"].keys() == old["results"].keys()
        for video, rows in old["results"].items():
            assert [row["label"] for row in new["results"][video]] == [r["label"] for r in rows]
            for row, known in zip(new["results"][video], rows, strict=True):
                assert row["segment"] == pytest.approx(known["segment"])
                assert row["score"] == pytest.approx(known["score"], rel=1e-4)
    diagnostics = json.loads(run.folder.evaluation_file.read_text())["diagnostics"]
    assert diagnostics["pseudo_labels"].keys() == {"B1", "F1"}


@pytest.mark.parametrize(
    "left", [["cbp-warmup", "vlp-zeroshot"], ["cbp-warmup", "vlp-zeroshot", "vlp-b1", "resume"]]
)
def test_its_training_is_resumed_into_the_same_weights(
    folder: RunFolder, run: Run, left: list[str]
) -> None:
    before = {stage: checkpoints.load(folder.checkpoint(stage)).tensors for stage in STAGES}
    folder.model_file.unlink()
    for path in (folder.path / "checkpoints").iterdir():
        if path.stem not in left:
            path.unlink()
    fabric = Fabric(accelerator="cpu", devices=1)
    assert train(fabric, run.config, open_for_training(run.config), folder)
    for stage, tensors in before.items():
        for name, tensor in checkpoints.load(folder.checkpoint(stage)).tensors.items():
            # Other values are dropped than then, and another processor gives other last bits.
            torch.testing.assert_close(tensor, tensors[name], rtol=0.05, atol=0.02)
    assert [s.name for s in open_run(folder.path).model.stages] == STAGES
    assert len(read_run(folder.path).seeds[0].log.phases) == 3


@pytest.mark.parametrize(
    ("stage", "branch", "title"),
    [
        ("cbp-warmup", "cbp", "CBP after warm-up"),
        ("vlp-b1", "vlp", "VLP after B1"),
        ("ensemble", "ensemble", "Ensemble"),
        ("", "ensemble", ""),
    ],
)
def test_branch_and_title_follow_from_the_name_of_a_stage(
    stage: str, branch: str, title: str
) -> None:
    assert (branch_of(stage), title_of(stage)) == (branch, title)


def test_phases_follow_from_their_names() -> None:
    names = ["F1", "B10", "other", "B2", "B1", "warmup"]
    assert order_phases(names) == ["warmup", "B1", "F1", "B2", "B10", "other"]
    assert (phase("F2")["student"], phase("F2")["teacher"]) == ("cbp", "vlp")
    assert phase("polish", "xyz")["student"] == "xyz"
