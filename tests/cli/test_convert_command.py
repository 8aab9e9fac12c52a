"""`duetal convert`: its options, what it prints, and the way from detections to corrections."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duetal.cli.convert import FORMATS
from duetal.core.detections import Detections
from duetal.formats import read_annotations
from duetal.formats.activitynet import write_detections
from duetal.formats.forms import Format

CASES = Path(__file__).parents[1] / "cases"
Duetal = Callable[..., tuple[int, str, str]]


@pytest.fixture
def found(tmp_path: Path) -> Path:
    path = tmp_path / "found.json"
    rows = [("v_1", "Diving", 0.5, 2.0, 0.9), ("v_2", "HighJump", 1.03, 2.0, 0.2)]
    write_detections(path, Detections.from_rows(rows))
    return path


def test_the_options_name_every_form() -> None:
    assert sorted(FORMATS) == sorted(Format)


def test_it_reports_what_it_did_and_what_is_lost(
    found: Path, tmp_path: Path, duetal: Duetal
) -> None:
    tasks = tmp_path / "tasks.json"
    arguments = ("convert", found, tasks, "--to", "label-studio")
    assert duetal(*arguments) == (
        2,
        "",
        f"duetal: error: {tasks}: video 'v_1': times are in frames: "
        "give the videos (duetal convert --videos), or --fps\n",
    )
    code, printed, err = duetal(
        *arguments, "--fps", "25", "--media-root", "/data/local-files/?d=clips"
    )
    assert (code, err) == (0, "")
    assert printed.splitlines() == [
        f"activitynet → label-studio: 2 videos, 2 detections: {tasks}",
        f"also written: {tmp_path / 'tasks.interface.xml'}",
        "times: 2 rounded, by at most 0.02 s",
    ]
    assert json.loads(tasks.read_text())[0]["data"] == {
        "video": "/data/local-files/?d=clips/v_1.mp4",
        "fps": 25,
    }
    assert duetal(*arguments, "--fps", "25")[0] == 2
    assert duetal(*arguments, "--fps", "25", "--force")[0] == 0
    code, printed, _ = duetal("convert", tasks, tmp_path / "again.csv")
    assert (code, printed.splitlines()[-1]) == (0, "nothing is lost")


def test_what_is_wrong_with_the_input(tmp_path: Path, duetal: Duetal) -> None:
    bomb = tmp_path / "a.eaf"
    bomb.write_text('<!DOCTYPE x [<!ENTITY e "e">]><ANNOTATION_DOCUMENT>&e;</ANNOTATION_DOCUMENT>')
    code, _, err = duetal("convert", bomb, tmp_path / "a.json")
    assert code == 1
    assert re.fullmatch(r"duetal: error: .*a\.eaf: line 1 column \d+: a document type.*\n", err)
    assert duetal("convert", tmp_path / "none", tmp_path / "a.json")[0] == 1
    code, _, err = duetal("convert", bomb, tmp_path / "a.json", "--from", "elam")
    assert (code, "elan" in err) == (2, True)
    for option, number in (("--fps", "inf"), ("--min-score", "nan")):
        code, _, err = duetal("convert", bomb, tmp_path / "a.json", option, number)
        assert (code, f"{number} is not a finite number" in err) == (2, True)
    assert not (tmp_path / "a.json").exists()


def test_the_videos_tell_their_frame_rates(tmp_path: Path, duetal: Duetal) -> None:
    videos = tmp_path / "clips"
    videos.mkdir()
    shutil.copy(CASES / "video" / "video_begins_2s_late.mp4", videos / "kitchen.mp4")
    (videos / "x.mp4").write_bytes(b"no video")
    words = ("convert", CASES / "formats" / "cvat_video.xml", tmp_path / "out.csv")
    code, _, err = duetal(*words)
    assert (code, "video 'kitchen': times are in frames: give the videos" in err) == (2, True)
    code, printed, err = duetal(*words, "--videos", videos)
    assert (code, err) == (0, "")
    assert f"note: {videos / 'x.mp4'}: " in printed
    # Its first picture is shown at 2 s.
    segments = read_annotations(tmp_path / "out.csv").videos["kitchen"].segments or ()
    assert [(s.label, s.start, s.end) for s in segments] == [("stir", 5.0, 9.52), ("pour", 11, 12)]
    code, _, err = duetal(*words, "--videos", tmp_path / "none", "--force")
    assert (code, err.count("\n")) == (2, 1)


def as_corrected(task: dict[str, Any], number: int) -> dict[str, Any]:
    """The task as the tool exports it once a person has accepted, and corrected, its prediction."""
    name = task["data"]["video"].rpartition("/")[2]
    data = {**task["data"], "video": f"/data/upload/1/{number:08x}-{name}"}
    best = sorted(task["predictions"][0]["result"], key=lambda result: -result["score"])[:3]
    results = [{**result, "origin": "prediction-changed"} for result in best]
    label = ("Diving", "GolfSwing", "HighJump")[int(name.partition(".")[0][-1]) % 3]
    results[0] = {**results[0], "value": {**results[0]["value"], "timelinelabels": [label]}}
    annotation = {"id": number, "was_cancelled": False, "result": results}
    return {"id": number, "data": data, "annotations": [annotation], "predictions": []}


@pytest.mark.recipe
def test_corrected_detections_are_ground_truth_and_labels(
    tiny_run: Path,
    tiny_dataset: Path,
    tiny_settings: tuple[str, ...],
    tmp_path: Path,
    duetal: Duetal,
) -> None:
    """Detections → Label Studio → a person → annotations.json → evaluate, and train."""
    found, tasks = tmp_path / "found.json", tmp_path / "tasks.json"
    arguments = ("localize", tiny_run, tiny_dataset, "--out", found, "--subset", "all")
    assert duetal(*arguments)[0] == 0
    arguments = ("convert", found, tasks, "--to", "label-studio", "--fps", "25")
    assert duetal(*arguments)[0] == 0
    export = tmp_path / "export.json"
    listed = json.loads(tasks.read_text())
    export.write_text(json.dumps([as_corrected(task, i) for i, task in enumerate(listed)]))

    truth = tmp_path / "truth.json"
    assert duetal("convert", export, truth, "--subset", "test")[0] == 0
    annotations = read_annotations(truth)
    assert sorted(annotations.videos) == sorted(f"v_{number}" for number in range(9))
    assert sum(len(video.segments or ()) for video in annotations) > 9
    arguments = ("evaluate", found, "--annotations", truth, "--protocol", "seconds", "--json")
    code, _, err = duetal(*arguments, tmp_path / "score.json")
    assert (code, err) == (0, "")
    score = json.loads((tmp_path / "score.json").read_text())
    assert (score["videos"], score["segments"]) == (9, 27)
    assert score["mAP"][0] > 0.3

    dataset = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, dataset)
    assert duetal("convert", export, dataset / "annotations.json", "--force")[0] == 0
    arguments = ("train", "demo", f"dataset={dataset}", *tiny_settings, "--out", tmp_path / "run")
    code, printed, err = duetal(*arguments)
    assert (code, err) == (0, ""), printed
    assert (tmp_path / "run").is_dir()
