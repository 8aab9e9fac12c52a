from pathlib import Path

import pytest
import webvtt

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.formats import webvtt_files


def test_a_file_of_somebody(samples: Path) -> None:
    annotations = webvtt_files.read_annotations(samples / "kitchen.vtt")
    assert annotations.videos["kitchen"].segments == (
        Segment(0.5, 3.25, "break & stir"),
        Segment(7.2, 360_011.6, "pour slowly"),
    )


def test_annotations_there_and_back(tmp_path: Path, annotations: Annotations) -> None:
    webvtt_files.write_annotations(tmp_path / "out", annotations)
    again = webvtt_files.read_annotations(tmp_path / "out")
    for video in annotations:
        assert sorted(again.videos[video.name].segments or ()) == sorted(video.segments or ())


def test_detections_there_and_back(tmp_path: Path, detections: Detections) -> None:
    webvtt_files.write_detections(tmp_path / "out", detections)
    assert webvtt_files.has_scores(tmp_path / "out")
    again = webvtt_files.read_detections(tmp_path / "out")
    assert sorted(again.score.tolist()) == [0.125, 0.25, 0.5, 0.875, 1.0]
    assert sorted(again.videos) == sorted(detections.videos)
    as_annotations = webvtt_files.read_annotations(tmp_path / "out")
    assert as_annotations.classes == ("Diving", "HighJump")
    assert as_annotations.left_out == ("scores: 5",)


def test_another_library_reads_what_is_written(tmp_path: Path, annotations: Annotations) -> None:
    path = tmp_path / "v.vtt"
    webvtt_files.write_annotations(path, annotations.select(["v_1"]))
    captions = webvtt.read(str(path)).captions
    assert (captions[0].start, captions[0].end) == ("00:00:00.500", "00:00:02.250")
    assert len(captions) == 3


def test_a_label_may_end_in_a_number(tmp_path: Path) -> None:
    path = tmp_path / "v.vtt"
    path.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nLevel 2\n\n00:03.000 --> 00:04.000\nEnd\n")
    assert webvtt_files.read_annotations(path).classes == ("End", "Level 2")


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", ".hidden", 'CON: "*?', "100%41", ""])
def test_names_stay_in_their_folder_and_come_back(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    videos = {name: VideoAnnotation(name, segments=(Segment(0, 1, "x"),), labels=("x",))}
    webvtt_files.write_annotations(folder, Annotations(videos, ("x",)))
    assert [path.parent for path in folder.rglob("*.vtt")] == [folder]
    assert list(webvtt_files.read_annotations(folder).videos) == [name]


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
        webvtt_files.read_annotations(path)
    assert message in str(caught.value)
