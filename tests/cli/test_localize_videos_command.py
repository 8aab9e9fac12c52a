"""`duetal localize` from raw videos to everything it writes."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import av
import pytest

from duetal.core.annotations import Segment
from duetal.core.files import read_json, write_json
from duetal.formats.activitynet import read_detections as read_results
from duetal.formats.csv_table import read_detections
from duetal.formats.webvtt import parse_cue_text
from duetal.simulation.clips import render_clip

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.recipe

CLASSES = ("GolfSwing", "HighJump")
SECONDS = {"first": 4.0, "second <b>'s": 3.0}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, of which browsers play one; not to be written to."""
    folder = tmp_path_factory.mktemp("videos")
    actions = [Segment(1.0, 2.0, "HighJump")]
    first, second = SECONDS.items()
    render_clip(folder / f"{first[0]}.mp4", duration=first[1], actions=actions, seed=7)
    render_clip(
        folder / f"{second[0]}.avi", duration=second[1], actions=actions, seed=8, codec="mpeg4"
    )
    return folder


@pytest.fixture(scope="module")
def localized(video_run: Path, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the ensemble finds in them; not to be written to."""
    from duetal.cli.main import main

    out = tmp_path_factory.mktemp("localized") / "out"
    arguments = [
        "localize",
        video_run,
        videos,
        "--out",
        out,
        "--branch",
        "both",
        "--accelerator",
        "cpu",
    ]
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 0
    return out


def page_data(out: Path) -> dict[str, Any]:
    text = (out / "index.html").read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def cues(path: Path) -> list[tuple[float, float, str, float]]:
    """Start, end, label and score of every cue."""
    found = []
    for block in path.read_text().rstrip("\n").split("\n\n")[1:]:
        timing, text = block.split("\n")
        start, end = (
            sum(float(part) * 60**power for power, part in enumerate(reversed(time.split(":"))))
            for time in timing.split(" --> ")
        )
        found.append((start, end, *parse_cue_text(text)))
    return found


def test_json_table_subtitles_and_page_agree(localized: Path) -> None:
    detections = read_results(localized / "detections.json")
    about = detections.external_data
    assert detections.videos == tuple(SECONDS)
    assert len(detections) > 4
    assert about["stages"] == ["cbp-f1", "vlp-b1"]
    table = read_detections(localized / "detections.csv")
    names = [detections.videos[index] for index in detections.video]
    labels = [detections.classes[index] for index in detections.label]
    rows = list(zip(names, labels, detections.start, detections.end, detections.score, strict=True))
    assert rows == list(
        zip(
            [table.videos[index] for index in table.video],
            [table.classes[index] for index in table.label],
            table.start,
            table.end,
            table.score,
            strict=True,
        )
    )
    data = page_data(localized)
    for video in data["videos"]:
        shown = {
            (data["classes"][label], start, end, score)
            for label, start, end, score, _ in video["detections"]
        }
        assert shown == {
            (label, round(start, 3), round(end, 3), float(f"{score:.4g}"))
            for name, label, start, end, score in rows
            if name == video["name"]
        }
        assert video["duration"] == pytest.approx(SECONDS[video["name"]], abs=0.05)
        assert set(video["scores"]) == {"cbp", "vlp"}
    (subtitles,) = (localized / "subtitles").glob("first.vtt")
    expected_message = [
        (start, end, data["classes"][label], score)
        for label, start, end, score, overlaid in data["videos"][0]["detections"]
        if overlaid and score >= data["floor"]
    ]
    assert expected_message
    assert cues(subtitles) == [pytest.approx(row) for row in expected_message]
    assert all((localized / "subtitles").joinpath(f"{name}.vtt").is_file()
               for name in ("first", "second %3Cb%3E's"))  # fmt: skip


def test_times_are_those_of_a_player_where_pictures_begin_later_than_sound(
    video_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal
) -> None:
    late = tmp_path / "first.mp4"
    with (
        av.open(str(videos / "first.mp4")) as pictures,
        av.open(str(render_clip(tmp_path / "sound.mp4", duration=6, video=False))) as sound,
        av.open(str(late), "w") as outside,
    ):
        copies = [outside.add_stream_from_template(one.streams[0]) for one in (pictures, sound)]
        for inside, copy, delay in zip((pictures, sound), copies, (2, 0), strict=True):
            for packet in inside.demux():
                if packet.dts is not None:
                    packet.pts += round(delay / packet.time_base)
                    packet.dts += round(delay / packet.time_base)
                    packet.stream = copy
                    outside.mux(packet)
    out = tmp_path / "out"
    how = ("--branch", "both", "--accelerator", "cpu")
    assert duetal("localize", video_run, late, "--out", out, *how)[0] == 0
    expected = read_results(localized / "detections.json")
    found = read_results(out / "detections.json")
    own = expected.video == expected.videos.index("first")
    for shifted, unshifted in ((found.start, expected.start), (found.end, expected.end)):
        assert shifted.tolist() == pytest.approx((unshifted[own] + 2).tolist(), abs=1e-3)
    begins = [start for start, _, _, _ in cues(out / "subtitles" / "first.vtt")]
    expected_begins = [start + 2 for start, *_ in cues(localized / "subtitles" / "first.vtt")]
    assert begins == pytest.approx(expected_begins)
    (video,), (unshifted, _) = page_data(out)["videos"], page_data(localized)["videos"]
    assert (video["begin"], video["offset"], video["fps"]) == (2, 2, 25)
    assert video["duration"] == pytest.approx(unshifted["duration"] + 2, abs=0.05)
    assert video["scores"] == unshifted["scores"]


def test_the_page_refers_to_the_video_or_to_a_copy_that_is_there(
    localized: Path, videos: Path
) -> None:
    first, second = page_data(localized)["videos"]
    assert (localized / unquote(first["url"])).resolve() == (videos / "first.mp4").resolve()
    assert first["note"] == ""
    copy = localized / unquote(second["url"])
    assert copy.parent == localized / "media"
    assert copy.is_file()
    assert second["note"] == "A copy without sound is shown: browsers do not play avi files."


def test_a_second_time_nothing_is_extracted_or_copied_again(
    video_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("the networks are not needed")

    monkeypatch.setattr("duetal.extraction.pipeline.Extractor.__init__", loaded)
    out = shutil.copytree(localized, tmp_path / "out")
    (copy,) = (out / "media").iterdir()
    before = copy.stat().st_mtime_ns
    code, printed, err = duetal(
        "localize", video_run, videos, "--out", out, "--stage", "cbp-warmup"
    )
    assert (code, err) == (0, "")
    assert f"{out / 'index.html'}" in printed
    assert copy.stat().st_mtime_ns == before
    assert set(page_data(out)["videos"][0]["scores"]) == {"cbp"}
    assert read_results(out / "detections.json").external_data["stages"] == ["cbp-warmup"]


def test_copies_within_the_folder_of_videos_are_no_videos(
    video_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal
) -> None:
    folder = shutil.copytree(videos, tmp_path / "videos")
    out = shutil.copytree(localized, folder / "found")
    assert list((out / "media").iterdir())
    code, printed, err = duetal("localize", video_run, folder, "--out", out)
    assert (code, err) == (0, "")
    assert printed.splitlines()[-2].startswith("2 videos, ")


def test_features_kept_elsewhere_and_no_copies(
    video_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out, store = tmp_path / "out", localized / "features"
    arguments = ("--out", out, "--features", store, "--no-copies", "--min-score", "0.9999")
    code, _, err = duetal("localize", video_run, videos, *arguments)
    assert (code, err) == (0, "")
    assert sorted(item.name for item in out.iterdir()) == [
        "detections.csv", "detections.json", "index.html", "subtitles",
    ]  # fmt: skip
    data = page_data(out)
    assert data["videos"][1]["url"] is None
    assert data["videos"][1]["note"] == "The video is not shown: browsers do not play avi files."
    assert data["floor"] == 0.9999
    assert (out / "subtitles" / "first.vtt").read_text() == "WEBVTT\n"


def test_a_broken_video_is_listed_and_the_rest_goes_on(
    video_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out = shutil.copytree(localized, tmp_path / "out")
    broken = tmp_path / "no <i>video</i>".replace("/", "-")
    broken.write_bytes(b"only text")
    code, printed, _ = duetal("localize", video_run, broken, videos, "--out", out)
    assert code == 1
    assert "not a video" in printed.splitlines()[-1]
    assert read_results(out / "detections.json").videos == tuple(SECONDS)
    text = (out / "index.html").read_text()
    assert "1 video could not be processed" in text
    assert "no &lt;i&gt;video" in text


def test_a_name_like_a_formula_is_told(
    video_run: Path, videos: Path, tmp_path: Path, duetal: Duetal
) -> None:
    path = shutil.copy(videos / "first.mp4", tmp_path / "=cmd|x.mp4")
    _, printed, _ = duetal("localize", video_run, path, "--out", tmp_path / "out", "--no-copies")
    assert "note: names that look like formulas to a spreadsheet: 1 ('=cmd|x')" in printed


def test_nothing_but_broken_videos(video_run: Path, tmp_path: Path, duetal: Duetal) -> None:
    code, printed, err = duetal(
        "localize", video_run, tmp_path / "a.mp4", "--out", tmp_path / "out"
    )
    assert code == 1
    assert "a.mp4: no such file" in printed
    assert "none of the videos could be processed" in err
    assert not (tmp_path / "out" / "detections.json").exists()


def test_other_weights_are_refused_by_name(
    video_run: Path, videos: Path, tmp_path: Path, duetal: Duetal
) -> None:
    from duetal.backbones.i3d import random_weights

    random_weights(tmp_path / "other.pt", "flow", seed=3)
    out = tmp_path / "out"
    arguments = ("--out", out, "--i3d-flow", tmp_path / "other.pt")
    code, _, err = duetal("localize", video_run, videos, *arguments)
    assert code == 2
    assert "--i3d-flow: other weights than those that the run was trained with" in err
    assert f"{tmp_path / 'other.pt'} has the sha256" in err
    assert not out.exists()


def test_the_same_weights_elsewhere_are_taken(
    video_run: Path, videos: Path, tmp_path: Path, duetal: Duetal, tiny_backbones: dict[str, str]
) -> None:
    run = shutil.copytree(video_run, tmp_path / "run")
    model = read_json(run / "model.json")
    model["features"]["flow"]["name"] = str(tmp_path / "gone.pt")
    write_json(run / "model.json", model)
    video, out = videos / "first.mp4", tmp_path / "out"
    code, _, err = duetal("localize", run, video, "--out", out)
    assert code == 2
    assert "--i3d-flow must name their new location" in err
    moved = shutil.copy(tiny_backbones["flow"], tmp_path / "moved.pt")
    code, _, err = duetal("localize", run, video, "--out", out, "--i3d-flow", moved)
    assert (code, err) == (0, "")


def test_features_made_otherwise_are_refused(
    video_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal
) -> None:
    store = shutil.copytree(localized / "features", tmp_path / "store")
    settings = read_json(store / "store.json")
    settings["crop"] = 48
    write_json(store / "store.json", settings)
    arguments = ("--out", tmp_path / "out", "--features", store)
    code, _, err = duetal("localize", video_run, videos, *arguments)
    assert code == 2
    assert "not the features that the run was trained on: crop was 32, is 48" in err


def test_a_run_of_foreign_features_needs_weights_and_reports_what_is_not_verified(
    tiny_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal
) -> None:
    out = tmp_path / "out"
    code, printed, err = duetal("localize", tiny_run, videos, "--out", out)
    assert code == 2
    assert "--i3d-rgb, --i3d-flow, --clip must name the weights" in err
    assert "cannot be verified" in printed
    # Features of another width are refused as those of a dataset are.
    arguments = ("--out", out, "--features", localized / "features")
    code, printed, err = duetal("localize", tiny_run, videos, *arguments)
    assert code == 1
    assert printed.count("cannot be verified") == 1
    assert "cbp features have C = 2048; the run was trained on C = 12" in err


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (("VIDEOS", "STORE"), (), "is a dataset, or nothing; give one dataset, or videos alone"),
        (("VIDEOS", "no-such-thing"), (), "no-such-thing: is a dataset, or nothing"),
        (("STORE", "STORE"), (), "give one dataset, or videos alone"),
        (("BOTH",), (), "holds features and videos"),
        (("VIDEOS",), ("--subset", "all"), "--subset: is for a dataset"),
        (("STORE",), ("--no-copies",), "--no-copies: is for videos"),
        (("STORE",), ("--clip", "x"), "--clip: is for videos"),
        (("STORE",), ("--min-score", "0.0"), "--min-score: is for videos"),
        (("VIDEOS",), ("--min-score", "nan"), "nan is not a finite number"),
        (("VIDEOS",), ("--features", "s3://bucket/store"), "--features: must be a local folder"),
        (("VIDEOS",), ("--out", "FILE"), "--out: is a file"),
        (("STORE",), ("--out", "VIDEOS"), "--out: is a folder"),
    ],
)
def test_wrong_calls(
    video_run: Path, videos: Path, localized: Path, tmp_path: Path, duetal: Duetal,
    inputs: tuple[str, ...], options: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("kept")
    both = tmp_path / "both"
    (both / "features").mkdir(parents=True)
    shutil.copy(videos / "first.mp4", both)
    meant = {
        "VIDEOS": videos,
        "STORE": localized / "features",
        "BOTH": both,
        "FILE": tmp_path / "file",
    }
    arguments = [meant.get(argument, argument) for argument in (*inputs, "--out", "OUT", *options)]
    arguments = [tmp_path / "out" if argument == "OUT" else argument for argument in arguments]
    code, _, err = duetal("localize", video_run, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "file").read_text() == "kept"
