from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.formats.webvtt import cue_text, parse_cue_text, timestamp, write_detections

ROWS = [
    ("v", "HighJump", 3661.0004, 3661.5, 0.87349),
    ("v", "GolfSwing", 1.5, 2.0, 0.25),
    ("w", "GolfSwing", 0.0, 9.0, 1.0),
    ("v", "HighJump", 1.5, 1.5, 0.5),
    ("v", "HighJump", -0.2, 0.5, 1e-5),
]


def test_the_cues_of_one_video_stand_in_the_order_of_their_starts(tmp_path: Path) -> None:
    path = tmp_path / "v.vtt"
    write_detections(path, Detections.from_rows(ROWS), "v")
    assert path.read_text() == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:00.500\nHighJump 1e-05\n\n"
        "00:00:01.500 --> 00:00:01.501\nHighJump 0.5\n\n"
        "00:00:01.500 --> 00:00:02.000\nGolfSwing 0.25\n\n"
        "01:01:01.000 --> 01:01:01.500\nHighJump 0.8735\n"
    )


def test_a_video_without_detections_is_a_file_without_cues(tmp_path: Path) -> None:
    write_detections(tmp_path / "x.vtt", Detections.from_rows(ROWS), "x")
    assert (tmp_path / "x.vtt").read_text() == "WEBVTT\n"


def test_a_label_can_neither_end_its_cue_nor_begin_a_tag(tmp_path: Path) -> None:
    label = "a\n\n00:00.000 --> 00:09.000\r<script>&amp;"
    path = tmp_path / "v.vtt"
    write_detections(path, Detections.from_rows([("v", label, 0.0, 1.0, 0.5)]), "v")
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
def test_what_a_cue_says_is_read_back(label: str, score: float) -> None:
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
        write_detections(tmp_path / "v.vtt", Detections.from_rows(rows), "v")
    assert list(tmp_path.iterdir()) == []
