"""`duetal diagnose` on a run's detections."""

from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.core.files import read_json

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def words(tiny_run: Path) -> list[str]:
    """The arguments that every call needs."""
    last = read_json(tiny_run / "evaluation.json")["stages"][-1]["stage"]
    truth = tiny_run / "ground_truth.json"
    return [str(tiny_run / "detections" / f"{last}.json"), "--annotations", str(truth)]


def test_table_json_and_plots(duetal: Command, words: list[str], tmp_path: Path) -> None:
    json_path, plots = tmp_path / "d.json", tmp_path / "plots"
    code, out, err = duetal("diagnose", *words, "--json", json_path, "--plots", plots)
    assert code == 0, err
    written = read_json(json_path)
    assert sum(written["predictions"]["all"].values()) == written["evaluation"]["predictions"]
    for kind in ("double detection", "wrong label", "localization", "confusion", "background"):
        assert kind in out
        assert kind in written["fixed_mAP"]
    names = {"false_positives.png", "fixed.png", "missed.png", "calibration.png"}
    assert {path.name for path in plots.iterdir()} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots.iterdir())


@pytest.mark.parametrize("form", ["csv", "fiftyone", "label-studio", "webvtt"])
def test_detections_of_any_form(
    duetal: Command, words: list[str], tmp_path: Path, form: str
) -> None:
    _, expected, _ = duetal("diagnose", *words)
    detections, *rest = words
    duetal("convert", detections, tmp_path / form, "--to", form, "--fps", "25")
    code, out, err = duetal("diagnose", tmp_path / form, *rest)
    assert code == 0, err
    assert out.splitlines()[-1] == expected.splitlines()[-1]
    assert "predictions" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        (["--tiou", "0.55"], "tIoU 0.55 is not of seconds"),
        (["--protocol", "second"], "did you mean 'seconds'"),
        (["--subset", "nowhere"], "no subset 'nowhere'"),
    ],
)
def test_wrong_calls_are_one_line(
    duetal: Command, words: list[str], more: list[str], cause: str
) -> None:
    code, _out, err = duetal("diagnose", *words, *more)
    assert code == 2
    assert cause in err


def test_plots_into_a_file_are_refused(duetal: Command, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    code, _out, err = duetal("diagnose", *words, "--plots", tmp_path / "file")
    assert code == 1
    assert "cannot write" in err
    assert (tmp_path / "file").read_text() == "kept"
