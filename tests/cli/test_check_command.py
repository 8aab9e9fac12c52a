"""`duetal check`: what it prints, and its exit code."""

import json
from pathlib import Path

import numpy as np
import pytest

from duetal.cli.main import main

ANNOTATIONS = {
    "database": {
        "v_a": {"subset": "train", "duration": 5.12, "annotations": [{"label": "Diving"}]},
        "v_b": {
            "subset": "test",
            "duration": 5.12,
            "annotations": [{"label": "Diving", "segment": [1.0, 9.0]}],
        },
    }
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "features").mkdir()
    for name in ANNOTATIONS["database"]:
        np.save(tmp_path / "features" / f"{name}.npy", np.ones((8, 4), np.float16))
    (tmp_path / "annotations.json").write_text(json.dumps(ANNOTATIONS))
    return tmp_path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["check", *map(str, arguments)])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_warnings_do_not_fail(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(dataset) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"warning: {dataset / 'annotations.json'}: video 'v_b', segment 0: "
        "Diving from 1 to 9 s is out of range: the video lasts 5.12 s",
        "videos:   1 to train on, 1 to evaluate on, 0.0 hours",
        "classes:  1",
        "grid:     25 frames per second, stride 16, window 16",
        "cbp:      C = 4, float16, 2 videos",
        "problems: 0 fatal, 1 warning",
    ]


def test_fatal_problems_fail(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "features" / "v_a.npy").unlink()
    assert run(dataset) == 1
    output = capsys.readouterr().out
    assert f"fatal: {dataset / 'features'}: no cbp features of video 'v_a'" in output
    assert output.endswith("problems: 2 fatal, 1 warning\n")


def test_findings_as_json(dataset: Path, tmp_path: Path) -> None:
    target = tmp_path / "findings.json"
    assert run(dataset, "--json", target) == 0
    findings = json.loads(target.read_text())
    assert (findings["fatal"], findings["warnings"]) == (0, 1)
    assert findings["problems"] == [
        {
            "severity": "warning",
            "file": str(dataset / "annotations.json"),
            "place": "video 'v_b', segment 0",
            "message": "Diving from 1 to 9 s is out of range: the video lasts 5.12 s",
        }
    ]
    assert findings["parts"] == [
        {"title": "cbp", "widths": [4], "dtypes": ["float16"], "videos": 2}
    ]


def test_wrong_usage(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "dataset.yaml").write_text("cpb: features")
    assert run(dataset) == 2
    assert "unknown key 'cpb'; the nearest is 'cbp'" in capsys.readouterr().err
