"""Whole runs with trained backbones: killed, of two processes, on raw videos, handed on."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from duetal.config import Config
from duetal.core.errors import UsageError
from duetal.core.files import read_json
from duetal.datasets import open_dataset
from duetal.end_to_end.branch_backbone import BranchBackbone
from duetal.results.checkpoints import load
from duetal.results.folder import RunFolder
from duetal.runs.continuing import continued_config
from duetal.runs.journal import Journal
from duetal.runs.processes import processes
from duetal.runs.resolving import resolve_config
from duetal.runs.run import open_run
from duetal.runs.stage_scoring import features_of
from duetal.runs.training import open_for_training
from duetal.runs.training import train as train_run
from duetal.simulation.clips import render_clip

Duetal = Callable[..., tuple[int, str, str]]
STAGES = {"cbp": ("cbp-warmup", "cbp-f1"), "vlp": ("vlp-zeroshot", "vlp-b1")}
SHORT = ("warmup_epochs=2", "b_epochs=2", "f_epochs=2", "crop=8", "batch_size=3", "threads=1")


@pytest.fixture(scope="session")
def settings(tiny_settings: tuple[str, ...]) -> tuple[str, ...]:
    return (*tiny_settings, *SHORT, "backbone.train=all", "backbone.micro_batch=3")


def config_for(rendered: Any, words: tuple[str, ...]) -> Config:
    return resolve_config("demo", [*words, f"dataset={rendered.dataset}"])


def train(config: Config, folder: Path) -> None:
    dataset = open_for_training(config)
    with processes(config.machine) as fabric:
        train_run(fabric, config, dataset, RunFolder(folder))


@pytest.fixture(scope="module")
def run(rendered: Any, settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "run"
    words = (*settings, "detector.rounds=1", "detector.epochs=2", "averaging=0.9")
    train(config_for(rendered, words), folder)
    return folder


def tensors_of(folder: Path) -> dict[str, Any]:
    return {
        f"{path.stem} {name}": tensor
        for path in sorted(folder.glob("checkpoints/*"))
        for name, tensor in load(path).tensors.items()
    }


def features_in(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.glob("tuned/*/features/*/*.npy"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.recipe
def test_every_stage_reads_the_features_of_its_own_backbone(rendered: Any, run: Path) -> None:
    opened, dataset = open_run(run), open_dataset(rendered.dataset)
    read: dict[str, Any] = {}
    for branch, stages in STAGES.items():
        frozen = dataset.streams[branch]
        for stage in stages:
            stream = features_of(opened, stage, dataset)
            assert set(stream.names()) == set(frozen.names())
            read[stage] = stream.read("v4")
            tensors = load(opened.folder.checkpoint(stage)).tensors
            assert any(name.startswith("backbone.") for name in tensors)
        # VLP's first stage is not trained.
        same = np.array_equal(read[stages[0]], frozen.read("v4"))
        assert same == (branch == "vlp")
        assert not np.array_equal(read[stages[0]], read[stages[1]])
    assert opened.model.features is not None
    for branch, name in (("cbp", "videomae"), ("vlp", "clip")):
        store = read_json(run / "tuned" / STAGES[branch][1] / "store.json")
        assert len(opened.model.features[name]["tuned"]) == 64
        assert store[name]["tuned"] == opened.model.features[name]["tuned"]


def train_until(config: Config, folder: Path, kind: type, method: str, count: int) -> None:
    """Train, and kill -9 this process when a method has been called so often."""
    original, calls = getattr(kind, method), [0]

    def counting(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *arguments)

    setattr(kind, method, counting)
    train(config, folder)


@pytest.mark.recipe
def test_a_run_killed_in_every_phase_ends_in_the_same_weights(
    rendered: Any, settings: tuple[str, ...], forked: Any, tmp_path: Path
) -> None:
    words = (*settings, "averaging=0.9", "detector.rounds=0")
    config = config_for(rendered, words)
    assert forked(train, config, tmp_path / "whole").wait() == 0
    killed = tmp_path / "killed"
    #: Updates of the phase under way; videos extracted after it.
    moments = [
        (Journal, "step", 4),
        (BranchBackbone, "_extract_video", 3),
        (BranchBackbone, "_extract_video", 8),
        (Journal, "step", 4),
        (Journal, "step", 3),
    ]
    for moment in moments:
        process = forked(train_until, config, killed, *moment)
        assert process.wait() == -signal.SIGKILL, (moment, process.err)
    assert forked(train, config, killed).wait() == 0
    expected, found = tensors_of(tmp_path / "whole"), tensors_of(killed)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    assert features_in(killed) == features_in(tmp_path / "whole") != {}


@pytest.mark.recipe
def test_two_processes_train_as_one(
    rendered: Any, settings: tuple[str, ...], forked: Any, tmp_path: Path
) -> None:
    same = ("cbp.dropout=0.2", "vlp.dropout=0.2", "detector.rounds=0")
    words = (*settings, *same, "selection=heldout", "heldout_fraction=0.4")
    assert forked(train, config_for(rendered, words), tmp_path / "one").wait() == 0
    two = forked.ranks(train, config_for(rendered, (*words, "devices=2")), tmp_path / "two")
    assert two.wait(300) == 0, two.err
    expected, found = tensors_of(tmp_path / "one"), tensors_of(tmp_path / "two")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-3, rtol=0, msg=name)
    assert features_in(tmp_path / "two").keys() == features_in(tmp_path / "one").keys()


@pytest.mark.recipe
def test_raw_videos_are_localized_by_the_trained_backbone(
    rendered: Any, run: Path, tmp_path: Path, duetal: Duetal
) -> None:
    """The features are those that training kept; a store of the frozen backbone is told apart."""
    store, found = tmp_path / "store", tmp_path / "found"
    words = ("--branch", "both", "--features", store, "--out", found)
    code, _, err = duetal("localize", run, rendered.videos / "v4.mp4", *words)
    assert (code, err) == (0, "")
    for branch, name in (("cbp", "videomae"), ("vlp", "clip")):
        kept = run / "tuned" / STAGES[branch][1] / "features" / name / "v4.npy"
        made = store / "features" / name / "v4.npy"
        # As many threads as cores, so the last place of a half may differ.
        np.testing.assert_allclose(np.load(made), np.load(kept), rtol=2e-3, atol=2e-3)
    code, _, err = duetal(
        "localize", run, rendered.videos / "v4.mp4", "--features", rendered.dataset, "--out", found
    )
    assert code == 2
    assert "videomae.tuned was" in err
    # The features that training kept of a stage are of these videos alone.
    render_clip(tmp_path / "v4.mp4", duration=3, size=(48, 36), seed=99)
    other = ("localize", run, tmp_path / "v4.mp4", "--features", tmp_path / "other")
    assert duetal(*other, "--out", tmp_path / "kept")[0] == 0
    words = ("--subset", "all", "--branch", "cbp-warmup", "--out")
    assert duetal("localize", run, store, *words, tmp_path / "one.json")[0] == 0
    code, _, err = duetal("localize", run, tmp_path / "other", *words, tmp_path / "two.json")
    assert code == 1, err
    assert "not by the backbone that cbp-warmup was trained with" in err


@pytest.mark.recipe
def test_a_run_with_trained_backbones_is_not_gone_on_from(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its backbones were trained too"):
        continued_config(run, [], RunFolder(tmp_path))


@pytest.mark.recipe
def test_what_is_handed_on_localizes_without_the_features_that_were_kept(
    rendered: Any, run: Path, tmp_path: Path, duetal: Duetal
) -> None:
    from duetal.publishing.public_run import open_public_run
    from duetal.publishing.upload import write_files

    write_files(open_public_run(run), tmp_path / "public")
    assert not (tmp_path / "public" / "tuned").exists()
    assert str(rendered.dataset) not in json.dumps(read_json(tmp_path / "public" / "model.json"))
    card = (tmp_path / "public" / "README.md").read_text()
    assert "backbone" in card
    options = [f"--{branch}={rendered.models / name}" for branch, name in
               (("cbp", "videomae"), ("vlp", "clip"))]  # fmt: skip
    results = []
    for number, folder in enumerate((run, tmp_path / "public")):
        out = tmp_path / f"found-{number}"
        video = rendered.videos / "v5.mp4"
        code, _, err = duetal("localize", folder, video, *options, "--out", out)
        assert (code, err) == (0, "")
        results.append(read_json(out / "detections.json")["results"])
    assert results[0] == results[1]
    shutil.rmtree(tmp_path / "public")
