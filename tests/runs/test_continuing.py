"""`duetal train --from RUN`: more classes, and what must not change of the run it starts from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from duetal.backbones.class_embeddings import load_text
from duetal.method.loop import Method
from duetal.results.checkpoints import load
from duetal.results.folder import RunFolder
from duetal.results.schema import ModelRecord
from duetal.runs.continuing import continued, continued_config
from duetal.runs.training import open_for_training

pytestmark = pytest.mark.recipe
Duetal = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fewer(tiny_dataset: Path, tmp_path: Path) -> Path:
    """The dataset without its second class, and without a text of its own for it."""
    folder = tmp_path / "fewer"
    shutil.copytree(tiny_dataset, folder)
    content = json.loads((folder / "annotations.json").read_text())
    content["database"] = {
        name: video
        for name, video in content["database"].items()
        if video["annotations"][0]["label"] != "GolfSwing"
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    description = yaml.safe_load((folder / "dataset.yaml").read_text())
    description["classes"].remove("GolfSwing")
    description.get("display_names", {}).pop("GolfSwing", None)
    (folder / "dataset.yaml").write_text(yaml.safe_dump(description))
    return folder


def test_with_a_class_more(
    duetal: Duetal,
    tiny_dataset: Path,
    fewer: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = [*tiny_settings, "class_ratios=[2,8]", f"dataset={fewer}"]
    assert duetal("train", "demo", *words, "--out", first)[0] == 0
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    command = ["train", "--from", first, f"dataset={tiny_dataset}", "mode=online", "--out", second]
    code, out, err = duetal(*command)
    assert code == 0, err
    assert "VLP before" in out
    assert "CBP online" in out
    assert before == {path: path.read_bytes() for path in before}
    recorded = yaml.safe_load((second / "config.yaml").read_text())
    assert recorded["data.start_from"] == str(first)
    assert recorded["losses.class_ratios"] == [2, 4, 8]
    assert duetal(*command, "--resume")[0] == 0

    # What it began with: the run's weights for its classes, new ones for the other.
    model = ModelRecord.read(first / "model.json")
    config = continued_config(first, [f"dataset={tiny_dataset}"], RunFolder(tmp_path / "third"))
    method, videos = continued(config, Method()), open_for_training(config).weak()
    assert (model.classes, videos.classes) == (
        ["Diving", "HighJump"],
        ("Diving", "GolfSwing", "HighJump"),
    )
    known, built = [0, 2], {}
    for branch in method.branches:
        state = load(RunFolder(first).checkpoint(model.branch(branch.name).final)).tensors
        network = branch.build(config, videos, load_text)
        fresh = Method().branch(branch.name).build(config, videos, load_text).inference_state()
        built[branch.name] = network.inference_state()
        for name, old in state.items():
            new = built[branch.name][name]
            if new.shape == old.shape:
                assert torch.equal(new, old), name
            else:
                torch.testing.assert_close(new[known], old)
                if name != "text.features":  # The prompts have learnt for every class.
                    assert torch.equal(new[1], fresh[name][1]), name
    assert built["cbp"]["decoder.2.conv.weight"].shape[0] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=7"], "schedule.seed: --from keeps that of the run, 0"),
        (["cbp.embed_dim=32"], "--from: checkpoint of another configuration"),
        (["demo"], "--from: takes the settings of the run, so no recipe, --seeds or --splits"),
        (["--seeds=0,1"], "--from: takes the settings of the run, so no recipe"),
    ],
)
def test_refused(
    duetal: Duetal, tiny_run: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    code, _, err = duetal("train", *words, "--from", tiny_run, "--out", tmp_path / "run")
    assert code
    assert message in err
    assert "Traceback" not in err


def test_no_run_to_start_from(duetal: Duetal, tmp_path: Path) -> None:
    code, _, err = duetal("train", "--from", tmp_path / "none", "--out", tmp_path / "run")
    assert (code, "no such run folder" in err) == (1, True)
