"""`duetal train --videos`: from a folder and a table to a run, with its messages."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.files import read_json
from duetal.formats.activitynet import write_annotations
from duetal.runs.run import open_run
from duetal.simulation.clips import render_clip

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.recipe
CLASSES = ("Diving", "Rowing")
TABLE = "video,labels,split\n" + "".join(
    f"v{number}.mp4,{CLASSES[number % 2]},{'test' if number > 5 else 'train'}\n"
    for number in range(8)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos, their table, and when the actions are; not to be written to."""
    place = tmp_path_factory.mktemp("own")
    marked = {}
    for number in range(8):
        action = Segment(0.2, 1.0, CLASSES[number % 2])
        path = place / "videos" / f"v{number}.mp4"
        render_clip(path, duration=1.4, size=(48, 32), actions=[action], seed=number)
        marked[path.stem] = VideoAnnotation(path.stem, None, 1.4, (action.label,), (action,))
    (place / "labels.csv").write_text(TABLE)
    write_annotations(place / "marked.json", Annotations(marked, CLASSES))
    return place


@pytest.fixture(scope="module")
def settings(tiny_settings: tuple[str, ...]) -> tuple[str, ...]:
    return ("demo", *tiny_settings)


@pytest.fixture(scope="module")
def trained(
    folder: Path,
    settings: tuple[str, ...],
    tiny_extraction: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run trained on them; not to be written to."""
    from duetal.cli.main import main

    run = tmp_path_factory.mktemp("own") / "run"
    with pytest.raises(SystemExit) as stop:
        main([*arguments(folder, settings), "--out", str(run), *tiny_extraction])
    assert stop.value.code == 0
    return run


def arguments(folder: Path, settings: tuple[str, ...]) -> list[str]:
    videos = ["--videos", str(folder / "videos"), "--labels", str(folder / "labels.csv")]
    return ["train", *settings, *videos]


def test_labels_of_held_out_videos_are_judged_and_their_detections_shown(trained: Path) -> None:
    found = read_json(trained / "label_evaluation.json")
    assert found["videos"] == ["v6", "v7"]
    assert found["chance"] == pytest.approx(0.75)
    assert [stage["stage"] for stage in found["stages"]] == [
        *("cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1", "ensemble")
    ]
    assert all(set(stage["per_class"]) == set(CLASSES) for stage in found["stages"])
    assert not (trained / "evaluation.json").exists()
    page = (trained / "report.html").read_text()
    assert "ranks the 2 held-out videos by their labels" in page
    assert "Highest-scoring label right" in page
    assert "still training" not in page
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert data["explorer"]["videos"][:2] == ["v6", "v7"]
    assert [lane["title"] for lane in data["explorer"]["lanes"]][-1] == "Ensemble"
    assert all(lane["total"] > 0 for lane in data["explorer"]["lanes"])


def test_what_was_made_is_an_ordinary_dataset_that_can_be_trained_on_again(
    duetal: Duetal, trained: Path, settings: tuple[str, ...], tmp_path: Path
) -> None:
    dataset = trained / "video-dataset"
    code, printed, _ = duetal("check", dataset)
    assert code == 0
    assert "videos:   6 to train on, 2 to evaluate on" in printed
    out = tmp_path / "again"
    code, printed, _ = duetal("train", *settings, f"dataset={dataset}", "--out", out)
    assert code == 0
    assert "labels of held-out videos" in printed
    assert open_run(out).model.features == open_run(trained).model.features


def test_it_reports_what_is_odd_and_goes_on_with_the_rest(
    duetal: Duetal,
    folder: Path,
    settings: tuple[str, ...],
    tiny_extraction: tuple[str, ...],
    tmp_path: Path,
) -> None:
    shutil.copytree(folder / "videos", tmp_path / "videos")
    (tmp_path / "videos" / "v1.mp4").write_text("To be or not to be")
    shutil.copy(tmp_path / "videos" / "v0.mp4", tmp_path / "videos" / "no label.mp4")
    for suffix in ("mp4", "mkv"):
        (tmp_path / "videos" / f"twin.{suffix}").touch()
    table = TABLE.replace("v5.mp4,Rowing", "v5.mp4,Rowin").replace(",split", ",subset")
    (tmp_path / "labels.csv").write_text(table + "v99.mp4,Diving,train\ntwin,Diving,train\n")
    out = tmp_path / "run"
    code, printed, err = duetal(*arguments(tmp_path, settings), "--out", out, *tiny_extraction)
    assert (code, err) == (1, "")
    lines = printed.splitlines()
    assert lines[0] == "in the table and not there: v99"
    assert lines[1].startswith("left out: several videos would be called 'twin': ")
    assert lines[2] == "not in the table, so left out: no label"
    assert lines[3].endswith(
        "label 'Rowin' occurs once, in line 7, and 'Rowing' 3 times; "
        "if they are one class, spell them alike"
    )
    assert "5 training videos of 3 classes; the rarest, 'Rowin', is in 1 of them." in lines
    assert "it is measured whether the run finds what is in them, not whether it finds when" in (
        printed
    )
    *_, head, missing, twins, broken = lines
    assert head == "not used:"
    assert "several videos would be called 'twin'" in twins
    assert "line 10: unknown video 'v99.mp4'; the nearest is" in missing
    assert "v1.mp4: not a video" in broken
    assert open_run(out).model.classes == ["Diving", "Rowin", "Rowing"]


def test_a_store_serves_several_runs_and_seeds_and_needs_no_network_then(
    duetal: Duetal, folder: Path, trained: Path, settings: tuple[str, ...], tmp_path: Path
) -> None:
    store = trained / "video-dataset"
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    out = tmp_path / "run"
    more = ["--store", store, "--out", out]
    code, printed, err = duetal(*arguments(folder, settings), *more, "--seeds", "0,1")
    assert (code, err) == (0, "")
    assert printed.count("labels of held-out videos") == 2
    assert "mean ± standard deviation over seeds" in (out / "report.html").read_text()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not (out / "video-dataset" / "features").exists()
    code, printed, _ = duetal("check", out / "video-dataset")
    assert code == 0
    code, printed, _ = duetal(*arguments(folder, settings), *more, "--seeds", "0,1,2", "--resume")
    assert code == 0
    assert f"{out / 'seed-1'}: was trained already" in printed


def test_marked_segments_give_map_and_may_come_after_training(
    duetal: Duetal, folder: Path, trained: Path, settings: tuple[str, ...], tmp_path: Path
) -> None:
    out = shutil.copytree(trained, tmp_path / "run")
    (out / "config.yaml").write_text(
        (out / "config.yaml").read_text().replace(str(trained), str(out))
    )
    annotations = ["--annotations", folder / "marked.json"]
    resumed = ["--out", out, "--store", trained / "video-dataset", "--resume"]
    code, printed, err = duetal(*arguments(folder, settings), *annotations, *resumed)
    assert (code, err) == (0, "")
    assert f"{out}: was trained already" in printed
    assert "2 videos are held out, and evaluated on their marked segments." in printed
    assert "protocol:   seconds" in printed
    assert "mAP (%) at tIoU" in printed
    assert read_json(out / "evaluation.json")["stages"][0]["videos"] == 2
    assert "ranks the" not in (out / "report.html").read_text()


def test_a_run_is_not_gone_on_with_on_other_labels(
    duetal: Duetal, folder: Path, trained: Path, settings: tuple[str, ...], tmp_path: Path
) -> None:
    table = tmp_path / "other.csv"
    table.write_text(TABLE.replace("v0.mp4,Diving", "v0.mp4,Rowing"))
    before = (trained / "video-dataset" / "annotations.json").read_bytes()
    line = [*arguments(folder, settings), "--labels", table, "--out", trained, "--resume"]
    code, _, err = duetal(*line)
    assert code == 2
    assert "the run began with other training videos or labels (1 differ, 'v0' for one)" in err
    assert (trained / "video-dataset" / "annotations.json").read_bytes() == before


def test_an_extraction_that_was_interrupted_is_gone_on_with(
    duetal: Duetal,
    folder: Path,
    settings: tuple[str, ...],
    tiny_extraction: tuple[str, ...],
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    some = ["extract", folder / "videos" / "v0.mp4", "--out", out / "video-dataset"]
    assert duetal(*some, *tiny_extraction)[0] == 0
    record = out / "video-dataset" / "records" / "v0.json"
    before = record.stat().st_mtime_ns
    code, printed, _ = duetal(*arguments(folder, settings), "--out", out, *tiny_extraction)
    assert code == 0
    assert "v0: T" not in printed
    assert "v1: T = 2, 1.4 s" in printed
    assert record.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["dataset=elsewhere"], 2, "--videos makes a dataset, and dataset= names one"),
        (["--store", "s3://bucket/store"], 2, "--store: must be a local folder to train from"),
        (["--labels", "nosuch.csv"], 1, "nosuch.csv: no such file"),
        (["--videos", "nosuch*.mp4"], 1, "no video there"),
        (["--annotations", "nosuch.json"], 1, "nosuch.json: no such file"),
        (["--crop=9"], 2, "9 is not in the range"),
        (["--i3d-rgb=nosuch"], 2, "no such file, and no weights of that name"),
    ],
)
def test_wrong_words_are_one_line_and_leave_nothing(
    duetal: Duetal,
    folder: Path,
    settings: tuple[str, ...],
    tiny_extraction: tuple[str, ...],
    tmp_path: Path,
    more: list[str],
    code: int,
    message: str,
) -> None:
    out = tmp_path / "run"
    line = [*arguments(folder, settings), "--out", out, *tiny_extraction]
    found, _, err = duetal(*line, *more)
    assert (found, err.count("\n")) == (code, 1)
    assert message in err
    assert not out.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--labels", "labels.csv"], "--labels: is for training from --videos"),
        (["--flow", "tvl1"], "--flow: is for training from --videos"),
        (["--device", "cpu"], "--device: is for training from --videos"),
        (["--videos", "videos"], "--videos: needs --labels, a table of what is in each video"),
    ],
)
def test_options_of_videos_go_together(
    duetal: Duetal, tmp_path: Path, line: list[str], message: str
) -> None:
    code, _, err = duetal("train", "demo", *line, "--out", tmp_path / "run")
    assert (code, err) == (2, f"duetal: error: {message}\n")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,labels\nv0,\nv1,\n", "no video has a label"),
        ("video,labels\nv0,Diving\nv0.mp4,Rowing\n", "line 3: 'v0.mp4' is listed twice, first in"),
        ("video,labels,split\nv0,A,train\nv1,B,test\n", "class 'B' has no training video"),
        ("video,labels\nx,Diving\n", "none of its videos is there"),
    ],
)
def test_a_table_that_nothing_can_be_learned_from_is_refused_before_anything_is_done(
    duetal: Duetal,
    folder: Path,
    settings: tuple[str, ...],
    tiny_extraction: tuple[str, ...],
    tmp_path: Path,
    table: str,
    message: str,
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(table)
    line = [*arguments(folder, settings), "--labels", path, "--out", tmp_path / "run"]
    code, printed, err = duetal(*line, *tiny_extraction)
    assert (code, printed, err.count("\n")) == (1, "", 1)
    assert message in err
    assert not (tmp_path / "run").exists()


def test_a_class_whose_videos_all_failed_is_reported(
    duetal: Duetal,
    folder: Path,
    settings: tuple[str, ...],
    tiny_extraction: tuple[str, ...],
    tmp_path: Path,
) -> None:
    shutil.copytree(folder / "videos", tmp_path / "videos")
    (tmp_path / "videos" / "v1.mp4").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("video,labels\nv0,\nv1,B\n")
    out = tmp_path / "run"
    code, printed, err = duetal(*arguments(tmp_path, settings), "--out", out, *tiny_extraction)
    assert (code, err.count("\n")) == (1, 1)
    assert "v1.mp4: empty file: 0 bytes" in printed
    assert "no video has a label" in err
    assert not (out / "config.yaml").exists()


@pytest.mark.parametrize(
    ("table", "warning"),
    [
        ("v0,Diving\nv1,\nv2,Diving\nv3,\n", False),
        ("v0,Diving\nv1,Diving\n", True),
        ("v0,Diving\n", True),
    ],
)
def test_few_videos_of_one_class_end_with_what_was_found_in_them(
    duetal: Duetal,
    folder: Path,
    trained: Path,
    settings: tuple[str, ...],
    tmp_path: Path,
    table: str,
    warning: bool,
) -> None:
    (tmp_path / "labels.csv").write_text(f"video,labels\n{table}")
    videos = ["--videos", folder / "videos", "--labels", tmp_path / "labels.csv"]
    out = tmp_path / "run"
    store = ["--store", trained / "video-dataset"]
    code, printed, err = duetal("train", *settings, *videos, *store, "--out", out)
    assert (code, err) == (0, "")
    assert ("every training video has the same labels (Diving)" in printed) is warning
    assert open_run(out).model.classes == ["Diving"]
    page = (out / "report.html").read_text()
    assert "finished. How good it is was not measured" in page
    assert "still training" not in page
    assert "duetal localize" in page
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["explorer"]
    assert data["videos"][:1] == ["v0"]
    assert all(lane["total"] > 0 for lane in data["lanes"])
    assert [lane["title"] for lane in data["lanes"]][-1] == "Ensemble"
    assert f"duetal localize {out} " in printed
