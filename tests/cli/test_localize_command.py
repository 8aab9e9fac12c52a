"""`duetal localize`: which videos, which branch, and the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.formats.activitynet import read_detections

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.recipe


@pytest.mark.parametrize(
    ("options", "stage"),
    [
        ((), "cbp-f1"),
        (("--branch", "cbp"), "cbp-f1"),
        (("--branch", "vlp"), "vlp-b1"),
        (("--branch", "both"), "ensemble"),
        (("--stage", "cbp-warmup"), "cbp-warmup"),
    ],
)
def test_a_branch_finds_what_the_runs_evaluation_has(
    tiny_run: Path,
    tiny_dataset: Path,
    tmp_path: Path,
    duetal: Duetal,
    options: tuple[str, ...],
    stage: str,
) -> None:
    out = tmp_path / "deep" / "detections.json"
    code, printed, err = duetal("localize", tiny_run, tiny_dataset, "--out", out, *options)
    assert (code, err) == (0, "")
    found = json.loads(out.read_text())
    stored = json.loads((tiny_run / "detections" / f"{stage}.json").read_text())
    assert found["results"] == stored["results"]
    count = sum(map(len, found["results"].values()))
    assert printed.splitlines()[-2] == f"3 videos, {count:,} detections: {out}"
    assert printed.splitlines()[-1] == f"checkpoint: {found['external_data']['selection']}"
    assert "the test set chose nothing" in found["external_data"]["selection"]


@pytest.mark.parametrize(("subset", "videos"), [("train", 6), ("test", 3), ("all", 9)])
def test_a_subset(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal, subset: str, videos: int
) -> None:
    out = tmp_path / "detections.json"
    assert duetal("localize", tiny_run, tiny_dataset, "--out", out, "--subset", subset)[0] == 0
    assert len(read_detections(out).videos) == videos


def test_features_are_enough(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    shutil.copytree(tiny_dataset / "features", tmp_path / "bare" / "features")
    out = tmp_path / "detections.json"
    code, _, err = duetal("localize", tiny_run, tmp_path / "bare", "--out", out, "--branch", "both")
    assert (code, err) == (0, "")
    assert read_detections(out).videos == tuple(f"v_{n}" for n in range(9))


def test_literal_is_recorded_in_the_file(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out = tmp_path / "detections.json"
    assert duetal("localize", tiny_run, tiny_dataset, "--out", out, "--literal")[0] == 0
    assert read_detections(out).external_data["literal"] is True


def test_an_unknown_class_is_reported(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    dataset = shutil.copytree(tiny_dataset, tmp_path / "dataset")
    path = dataset / "dataset.yaml"
    path.write_text(path.read_text().replace("- HighJump", "- HighJump\n- Chess"))
    code, printed, _ = duetal("localize", tiny_run, dataset, "--out", tmp_path / "found.json")
    assert code == 0
    assert "note: the run was not trained on the class 'Chess'" in printed


def test_its_detections_can_be_evaluated(
    tiny_run: Path, tiny_dataset: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out, scores = tmp_path / "detections.json", tmp_path / "scores.json"
    duetal("localize", tiny_run, tiny_dataset, "--out", out, "--branch", "both")
    annotations = tiny_dataset / "annotations.json"
    arguments = ("--annotations", annotations, "--protocol", "seconds", "--json", scores)
    code, printed, _ = duetal("evaluate", out, *arguments)
    assert code == 0
    assert "checkpoint: last checkpoint of each branch; the test set chose nothing" in printed
    stages = json.loads((tiny_run / "evaluation.json").read_text())["stages"]
    assert json.loads(scores.read_text())["mAP"] == stages[-1]["mAP"]
