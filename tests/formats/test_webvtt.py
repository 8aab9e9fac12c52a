from pathlib import Path

import pytest
import webvtt as webvtt_py
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.formats import webvtt
from duetal.formats.webvtt import cue_text, parse_cue_text, timestamp, write_video

ROWS = [
    ("v", "HighJump", 3661.0004, 3661.5, 0.87349),
    ("v", "GolfSwing", 1.5, 2.0, 0.25),
    ("w", "GolfSwing", 0.0, 9.0, 1.0),
    ("v", "HighJump", 1.5, 1.5, 0.5),
    ("v", "HighJump", -0.2, 0.5, 1e-5),
]


def test_the_cues_of_one_video_stand_in_the_order_of_their_starts(tmp_path: Path) -> None:
    path = tmp_path / "v.vtt"
    write_video(path, Detections.from_rows(ROWS), "v")
    assert path.read_text() == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:00.500\nHighJump 1e-05\n\n"
        "00:00:01.500 --> 00:00:01.501\nHighJump 0.5\n\n"
        "00:00:01.500 --> 00:00:02.000\nGolfSwing 0.25\n\n"
        "01:01:01.000 --> 01:01:01.500\nHighJump 0.8735\n"
    )


def test_a_video_without_detections_is_a_file_without_cues(tmp_path: Path) -> None:
    write_video(tmp_path / "x.vtt", Detections.from_rows(ROWS), "x")
    assert (tmp_path / "x.vtt").read_text() == "WEBVTT\n"


def test_a_label_can_neither_end_its_cue_nor_begin_a_tag(tmp_path: Path) -> None:
    label = "a\n\n00:00.000 --> 00:09.000\r<script>&amp;"
    path = tmp_path / "v.vtt"
    write_video(path, Detections.from_rows([("v", label, 0.0, 1.0, 0.5)]), "v")
    blocks = path.read_bytes().decode().rstrip("\n").split("\n\n")
    assert len(blocks) == 2
    timing, text = blocks[1].split("\n")
    assert timing == "00:00:00.000 --> 00:00:01.000"
    assert not set("<>\r") & set(text)
    assert parse_cue_text(text) == (label, 0.5)


@given(
    # A lone surrogate has no bytes, and WebVTT takes NUL for damage.
    label=st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t")),
    score=st.floats(-1e300, 1e300),
)
def test_the_text_of_a_cue_is_read_back(label: str, score: float) -> None:
    text = cue_text(label, score)
    assert not set("<>\r\n") & set(text)
    read = parse_cue_text(text)
    assert read is not None
    assert read[0] == label
    assert read[1] == pytest.approx(score, rel=5.1e-4)


@pytest.mark.parametrize("text", ["", "0.5", "He said hello", "score nan", "score inf"])
def test_other_subtitles_are_no_detections(text: str) -> None:
    assert parse_cue_text(text) is None


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "00:00:00.000"), (59_999, "00:00:59.999"), (3_600_000, "01:00:00.000"),
     (360_000_001, "100:00:00.001")],
)  # fmt: skip
def test_timestamps(milliseconds: int, text: str) -> None:
    assert timestamp(milliseconds) == text


def test_what_is_not_finite_is_not_written(tmp_path: Path) -> None:
    rows = [("v", "A", 0.0, float("nan"), 0.5)]
    with pytest.raises(DuetalError, match="video 'v'"):
        write_video(tmp_path / "v.vtt", Detections.from_rows(rows), "v")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_program(samples: Path) -> None:
    annotations = webvtt.read_annotations(samples / "kitchen.vtt")
    assert annotations.videos["kitchen"].segments == (
        Segment(0.5, 3.25, "break & stir"),
        Segment(7.2, 360_011.6, "pour slowly"),
    )


def test_annotations_there_and_back(tmp_path: Path, annotations: Annotations) -> None:
    webvtt.write(tmp_path / "out", annotations)
    again = webvtt.read_annotations(tmp_path / "out")
    for video in annotations:
        assert sorted(again.videos[video.name].segments or ()) == sorted(video.segments or ())


def test_detections_there_and_back(tmp_path: Path, detections: Detections) -> None:
    webvtt.write(tmp_path / "out", detections)
    assert webvtt.has_scores(tmp_path / "out")
    again = webvtt.read_detections(tmp_path / "out")
    assert sorted(again.score.tolist()) == [0.125, 0.25, 0.5, 0.875, 1.0]
    assert sorted(again.videos) == sorted(detections.videos)
    as_annotations = webvtt.read_annotations(tmp_path / "out")
    assert as_annotations.classes == ("Diving", "HighJump")
    assert as_annotations.left_out == ("scores: 5",)


def test_another_library_reads_what_is_written(tmp_path: Path, annotations: Annotations) -> None:
    path = tmp_path / "v.vtt"
    webvtt.write(path, annotations.select(["v_1"]))
    captions = webvtt_py.read(str(path)).captions
    assert (captions[0].start, captions[0].end) == ("00:00:00.500", "00:00:02.250")
    assert len(captions) == 3


def test_a_label_may_end_in_a_number(tmp_path: Path) -> None:
    path = tmp_path / "v.vtt"
    path.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nLevel 2\n\n00:03.000 --> 00:04.000\nEnd\n")
    assert webvtt.read_annotations(path).classes == ("End", "Level 2")


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", ".hidden", 'CON: "*?', "100%41", ""])
def test_names_stay_in_their_folder_and_come_back(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    videos = {name: VideoAnnotation(name, segments=(Segment(0, 1, "x"),), labels=("x",))}
    webvtt.write(folder, Annotations(videos, ("x",)))
    assert [path.parent for path in folder.rglob("*.vtt")] == [folder]
    assert list(webvtt.read_annotations(folder).videos) == [name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not WebVTT: the file is empty"),
        ("WEBVTTX\n", "line 1: not WebVTT"),
        ("1\n00:00:01,000 --> 00:00:02,000\nsrt\n", "line 1: not WebVTT"),
        ("WEBVTT\n\n00:00:01,000 --> 00:00:02,000\nx\n", "line 3: expected 'hh:mm:ss.mmm"),
        ("WEBVTT\n\n00:61.000 --> 00:62.000\nx\n", "line 3: expected 'hh:mm:ss.mmm"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n", "line 3: a cue without text"),
        ("WEBVTT\n\nid\n00:01.000 --> 00:02.000\n<b></b>\n", "line 4: a cue without text"),
        ("WEBVTT\n\nsomething\n", "line 3: expected a cue's times"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "v.vtt"
    path.write_text(text)
    with pytest.raises(DuetalError, match=r"v\.vtt") as caught:
        webvtt.read_annotations(path)
    assert message in str(caught.value)
