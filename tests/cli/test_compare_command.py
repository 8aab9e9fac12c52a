"""`duetal compare` on runs and on files of detections."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.core.files import read_json

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shifted_run(tiny_run: Path, tmp_path: Path) -> Path:
    """The tiny run, with its last stage's detections a second late."""
    run = tmp_path / "shifted"
    shutil.copytree(tiny_run, run)
    last = read_json(run / "evaluation.json")["stages"][-1]["stage"]
    path = run / "detections" / f"{last}.json"
    found = read_json(path)
    for rows in found["results"].values():
        for row in rows:
            row["segment"] = [time + 1.0 for time in row["segment"]]
    path.write_text(json.dumps(found))
    return run


def test_runs_bring_their_ground_truth_and_protocol(
    duetal: Command, tiny_run: Path, shifted_run: Path, tmp_path: Path
) -> None:
    code, out, err = duetal(
        "compare", tiny_run, shifted_run, "--draws", "100", "--json", tmp_path / "c.json"
    )
    assert code == 0, err
    assert "shifted against run" in out
    assert "too narrow" in out
    written = read_json(tmp_path / "c.json")
    stages = read_json(tiny_run / "evaluation.json")["stages"]
    assert written["scores"]["run"] == pytest.approx(stages[-1]["averages"])
    (versus,) = written["versus"]
    assert versus["averages"]["0.1:0.7"]["difference"] == pytest.approx(
        written["scores"]["shifted"]["0.1:0.7"] - written["scores"]["run"]["0.1:0.7"]
    )
    assert len(versus["videos"]) == written["videos"] == 3


def test_a_stage_is_compared_by_name(duetal: Command, tiny_run: Path, shifted_run: Path) -> None:
    code, out, err = duetal(
        "compare", tiny_run, shifted_run, "--stage", "cbp-warmup", "--draws", "100"
    )
    assert code == 0, err
    assert "+0.00 [+0.00, +0.00]" in out


def test_runs_and_files_mix(duetal: Command, tiny_run: Path, shifted_run: Path) -> None:
    last = read_json(tiny_run / "evaluation.json")["stages"][-1]["stage"]
    file = shifted_run / "detections" / f"{last}.json"
    code, _out, err = duetal("compare", tiny_run, file, "--draws", "100")
    assert code == 0, err


@pytest.mark.parametrize("form", ["csv", "fiftyone", "label-studio", "webvtt"])
def test_detections_of_any_form_are_compared(
    duetal: Command, tiny_run: Path, tmp_path: Path, form: str
) -> None:
    last = read_json(tiny_run / "evaluation.json")["stages"][-1]["stage"]
    file = tiny_run / "detections" / f"{last}.json"
    code, _out, err = duetal("convert", file, tmp_path / form, "--to", form, "--fps", "25")
    assert code == 0, err
    code, out, err = duetal("compare", tiny_run, tmp_path / form, "--draws", "100")
    assert code == 0, err
    assert f"{form} against run" in out


def test_equal_names_are_made_distinct(duetal: Command, tiny_run: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        shutil.copytree(tiny_run, tmp_path / folder / "run")
    code, out, err = duetal("compare", tmp_path / "a/run", tmp_path / "b/run", "--draws", "100")
    assert code == 0, err
    assert "b/run against a/run" in out


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["{run}"], "needs two"),
        (["{run}", "{run}"], "two contenders are called"),
        (["{run}", "{shifted}", "--stage", "cbp-warmap"], "the nearest is 'cbp-warmup'"),
        (["{detections}", "{run}/../no.json"], "no such file"),
        (["{detections}", "{other}"], "give --annotations"),
        (["{detections}", "{other}", "--annotations", "{run}/ground_truth.json"], "which protocol"),
        (["{run}", "{shifted}", "--protocol", "secnds"], "did you mean 'seconds'"),
        (["{run}", "{shifted}", "--seed", "-1"], "'--seed': -1 is not in the range"),
    ],
)
def test_wrong_calls_are_one_line(
    duetal: Command, tiny_run: Path, shifted_run: Path, words: list[str], cause: str
) -> None:
    last = read_json(tiny_run / "evaluation.json")["stages"][-1]["stage"]
    places = {
        "run": tiny_run,
        "shifted": shifted_run,
        "detections": tiny_run / "detections" / f"{last}.json",
        "other": shifted_run / "detections" / f"{last}.json",
    }
    code, _out, err = duetal("compare", *(word.format(**places) for word in words))
    assert code in (1, 2)
    assert cause in err


def test_a_folder_that_is_no_evaluated_run(duetal: Command, tiny_run: Path, tmp_path: Path) -> None:
    code, _out, err = duetal("compare", tiny_run, tmp_path)
    assert code == 1
    assert "no evaluation.json" in err


def test_runs_on_other_ground_truth_need_annotations(
    duetal: Command, tiny_run: Path, shifted_run: Path
) -> None:
    truth = shifted_run / "ground_truth.json"
    content = read_json(truth)
    next(iter(content["database"].values()))["annotations"].pop()
    truth.write_text(json.dumps(content))
    code, _out, err = duetal("compare", tiny_run, shifted_run)
    assert code == 2
    assert "--annotations names the one to compare on" in err
