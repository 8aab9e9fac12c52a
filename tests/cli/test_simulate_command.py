"""`duetal simulate`: a dataset from an annotation, or one line of why not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.datasets import open_dataset
from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

Duetal = Callable[..., tuple[int, str, str]]
SMALL = ("--cbp-channels", 12, "--vlp-channels", 8)


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    path = tmp_path / "annotations.json"
    write_annotations(path, made_up_annotations(training=5, test=2))
    return path


def test_a_dataset_is_made(annotations: Path, tmp_path: Path, duetal: Duetal) -> None:
    out, about = tmp_path / "dataset", tmp_path / "about.json"
    arguments = ("--difficulty", 0.25, "--seed", 3, "--json", about)
    code, printed, err = duetal("simulate", annotations, "--out", out, *SMALL, *arguments)
    assert (code, err) == (0, "")
    assert printed.splitlines()[0] == f"7 videos, 5 classes: {out}"
    assert "simulated" in printed.splitlines()[1]
    dataset = open_dataset(out)
    assert (len(dataset.training), len(dataset.evaluation)) == (5, 2)
    assert (dataset.streams["cbp"].dim, dataset.streams["vlp"].dim) == (12, 8)
    written = json.loads(about.read_text())
    assert (written["videos"], written["difficulty"], written["seed"]) == (7, 0.25, 3)
    assert duetal("check", out)[0] == 0


def test_equal_settings_give_equal_bytes(annotations: Path, tmp_path: Path, duetal: Duetal) -> None:
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        out = tmp_path / name
        assert duetal("simulate", annotations, "--out", out, *SMALL, "--seed", seed)[0] == 0
    files = sorted(p.relative_to(out) for p in out.rglob("*.npy"))
    assert len(files) == 14
    for file in files:
        first = (tmp_path / "first" / file).read_bytes()
        assert (tmp_path / "second" / file).read_bytes() == first
        assert (tmp_path / "third" / file).read_bytes() != first


def test_the_linear_world_is_another(annotations: Path, tmp_path: Path, duetal: Duetal) -> None:
    for name, arguments in (("curved", ()), ("linear", ("--linear",))):
        out = tmp_path / name
        assert duetal("simulate", annotations, "--out", out, *SMALL, *arguments)[0] == 0
        assert json.loads((out / "simulation.json").read_text())["linear"] is bool(arguments)
    for file in (tmp_path / "curved").rglob("*.npy"):
        other = tmp_path / "linear" / file.relative_to(tmp_path / "curved")
        assert other.read_bytes() != file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--difficulty", 2), 2, "2.0 is not in the range 0<=x<=1"),
        (("--difficulty", "nan"), 2, "nan is not a finite number"),
        (("--vlp-channels", 7), 2, "--vlp-channels: must be even"),
        (("--seed", -1), 2, "-1 is not in the range"),
        (("--out", "{here}"), 1, "exists already and is not empty"),
        (("--out", "{here}/annotations.json"), 2, "is a file"),
    ],
)
def test_wrong_usage(
    annotations: Path,
    tmp_path: Path,
    duetal: Duetal,
    arguments: tuple[object, ...],
    code: int,
    message: str,
) -> None:
    before = annotations.read_bytes()
    given = [str(argument).format(here=tmp_path) for argument in arguments]
    found, _, err = duetal("simulate", annotations, "--out", tmp_path / "out", *given)
    assert (found, err.count("\n")) == (code, 1)
    assert message in err
    assert annotations.read_bytes() == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "annotations.json: line 1 column 2: not JSON"),
        ('{"database": {}}', "no video with segments to simulate"),
        (
            '{"database": {"v": {"annotations": [{"label": "Diving"}]}}}',
            "no video with segments to simulate",
        ),
    ],
)
def test_annotations_without_segments(
    annotations: Path, tmp_path: Path, duetal: Duetal, content: str, message: str
) -> None:
    annotations.write_text(content)
    code, _, err = duetal("simulate", annotations, "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (1, 1)
    assert message in err
