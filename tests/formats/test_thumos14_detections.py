from pathlib import Path

import pytest

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.formats import thumos14_detections


def test_class_numbers_are_those_of_the_challenge(samples: Path) -> None:
    detections = thumos14_detections.read_detections(samples / "thumos14_detections.txt")
    assert detections.videos == ("video_test_0000004", "video_test_0000006")
    assert detections.classes == ("CricketShot", "CricketBowling", "BaseballPitch")
    assert detections.end.tolist() == [1.1, 9.0, 2.0]
    assert detections.score.tolist() == [0.97, 0.41, 0.001]


def test_a_class_list_beside_the_file_counts(tmp_path: Path) -> None:
    (tmp_path / "detclasslist.txt").write_text("1 run fast\n2 jump\n")
    (tmp_path / "d.txt").write_text("v 0 1 2 0.5\nv 0 1 1 0.5\n")
    detections = thumos14_detections.read_detections(tmp_path / "d.txt")
    assert detections.classes == ("jump", "run fast")


def test_there_and_back(tmp_path: Path) -> None:
    rows = [("b", "HighJump", 0.1, 1 / 3, -1.5), ("a", "Diving", 0.0, 1e-9, 0.7)]
    path = tmp_path / "d.txt"
    thumos14_detections.write_detections(path, Detections.from_rows(rows))
    assert path.read_text().startswith("b 0.1 0.3333333333333333 40 -1.5\n")
    again = thumos14_detections.read_detections(path)
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
        thumos14_detections.write_detections(tmp_path / "d.txt", Detections.from_rows([row]))
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
def test_malformed(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "d.txt"
    path.write_text(line)
    with pytest.raises(DuetalError, match=r"d\.txt") as caught:
        thumos14_detections.read_detections(path)
    assert message in str(caught.value)
