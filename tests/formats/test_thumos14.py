import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.formats import read_detections, thumos14
from duetal.formats.options import FormatOptions


def folder_of(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_reads_classes_subsets_and_ambiguous(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        Diving_test="video_test_1  3.5 4.0\nvideo_test_1  0.5 1.0\n\n",
        CliffDiving_test="video_test_1 3.5 4.0\r\n",
        Diving_val="video_validation_1 1 2",
        Ambiguous_test="video_test_1  7 8\nvideo_test_2  1 2\n",
        readme="not an annotation",
    )
    annotations = thumos14.read_annotations(folder)
    assert annotations.classes == ("CliffDiving", "Diving")
    video = annotations.videos["video_test_1"]
    assert video.segments == (
        Segment(3.5, 4, "CliffDiving"),
        Segment(3.5, 4, "Diving"),
        Segment(0.5, 1, "Diving"),
    )
    assert (video.subset, video.duration) == ("test", None)
    assert video.labels == ("CliffDiving", "Diving")
    assert [(s.start, s.end) for s in video.ambiguous] == [(7, 8)]
    assert annotations.videos["video_test_2"].segments == ()
    assert annotations.videos["video_validation_1"].subset == "validation"


def test_class_list_gives_the_order(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, A_test="v 0 1", B_test="v 0 1", detclasslist="9 B\n7 A\n5 C")
    assert thumos14.read_annotations(folder).classes == ("B", "A", "C")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no <Class>_val.txt"),
        ({"Ambiguous_test": "v 0 1"}, "no <Class>_val.txt"),
        ({"A_test": "v 0 1\nv 0"}, "A_test.txt: line 2: expected 'video start end', found 'v 0'"),
        ({"A_test": "v 0 x"}, "A_test.txt: line 1"),
        ({"A_test": "v 0 1", "detclasslist": "A"}, "detclasslist.txt: line 1"),
        ({"A_test": "v 0 1", "detclasslist": "7 B"}, "lacks the class 'A'"),
    ],
)
def test_malformed(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(DuetalError) as caught:
        thumos14.read_annotations(folder_of(tmp_path, **files))
    assert message in str(caught.value)


@given(content=st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_value_or_a_duetal_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "A_test.txt").write_bytes(content)
    with contextlib.suppress(DuetalError):
        assert thumos14.read_annotations(folder).classes == ("A",)


@pytest.mark.real
def test_real_folder(real_data: Path) -> None:
    annotations = thumos14.read_annotations(real_data / "thumos14" / "ground_truth_txt")
    assert (len(annotations), len(annotations.classes)) == (213, 20)
    assert sum(len(v.segments or ()) for v in annotations) == 3358
    assert sum(len(v.ambiguous) for v in annotations) == 99
    assert annotations.videos["video_test_0001292"].segments == ()


def test_class_numbers_are_those_of_the_challenge(samples: Path) -> None:
    detections = thumos14.read_detections(samples / "thumos14_detections.txt")
    assert detections.videos == ("video_test_0000004", "video_test_0000006")
    assert detections.classes == ("CricketShot", "CricketBowling", "BaseballPitch")
    assert detections.end.tolist() == [1.1, 9.0, 2.0]
    assert detections.score.tolist() == [0.97, 0.41, 0.001]


def test_a_class_list_beside_the_file_counts(tmp_path: Path) -> None:
    (tmp_path / "detclasslist.txt").write_text("1 run fast\n2 jump\n")
    (tmp_path / "d.txt").write_text("v 0 1 2 0.5\nv 0 1 1 0.5\n")
    detections = thumos14.read_detections(tmp_path / "d.txt")
    assert detections.classes == ("jump", "run fast")


def test_detections_there_and_back(tmp_path: Path) -> None:
    rows = [("b", "HighJump", 0.1, 1 / 3, -1.5), ("a", "Diving", 0.0, 1e-9, 0.7)]
    path = tmp_path / "d.txt"
    thumos14.write_detections(path, Detections.from_rows(rows))
    assert path.read_text().startswith("b 0.1 0.3333333333333333 40 -1.5\n")
    again = thumos14.read_detections(path)
    assert (again.videos, again.classes) == (("b", "a"), ("HighJump", "Diving"))
    assert again.end.tolist() == [1 / 3, 1e-9]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("v", "Knitting", 0, 1, 1), "'Knitting' is none of THUMOS'14's twenty classes"),
        (("v 1", "Diving", 0, 1, 1), "no room for the video name 'v 1'"),
        (("", "Diving", 0, 1, 1), "no room for the video name ''"),
        (("\ud800", "Diving", 0, 1, 1), "no room for the video name"),
    ],
)
def test_what_it_cannot_hold(tmp_path: Path, row: tuple, message: str) -> None:
    with pytest.raises(DuetalError) as caught:
        thumos14.write_detections(tmp_path / "d.txt", Detections.from_rows([row]))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v 0 1 7", "line 1: expected 'video start end class score', found 'v 0 1 7'"),
        ("v 0 1 7.0 1", "line 1: expected"),
        ("v 0 1 1 1", "line 1: 1 is the number of no class"),
        ("v 0 nan 7 1", "video 'v': a detection's segment or score is not a finite number"),
    ],
)
def test_malformed_detections(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "d.txt"
    path.write_text(line)
    with pytest.raises(DuetalError, match=r"d\.txt") as caught:
        thumos14.read_detections(path)
    assert message in str(caught.value)


def test_the_numbers_of_classes_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text("v.mp4 0 1 1 0.5\n")
    found = read_detections(path, options=FormatOptions(classes={1: "Jump"}))
    assert (found.videos, found.classes) == (("v",), ("Jump",))
