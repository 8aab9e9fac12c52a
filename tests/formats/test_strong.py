from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment
from duetal.core.errors import DuetalError
from duetal.formats import strong

HEADER = "filename\tonset\toffset\tevent_label\n"


def test_a_table_of_desed(samples: Path) -> None:
    annotations = strong.read_annotations(samples / "strong.tsv")
    assert {video.name: video.segments for video in annotations} == {
        "kitchen": (Segment(0.163, 0.665, "Speech"), Segment(0.5, 10.0, "Frying")),
        "quiet": (),
        "garden": (Segment(1.0, 2.0, "Dog"),),
    }
    assert annotations.classes == ("Dog", "Frying", "Speech")


@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_there_and_back(tmp_path: Path, annotations: Annotations, suffix: str) -> None:
    path = tmp_path / f"strong.{suffix}"
    strong.write_annotations(path, annotations)
    again = strong.read_annotations(path)
    assert {v.name: v.segments for v in again} == {v.name: v.segments for v in annotations}


def test_other_columns_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "strong.tsv"
    path.write_text(
        "remark\tfilename\tonset\toffset\tevent_label\nloud\tv\t0\t1\tA\n\tv\t1\t2\tA\n"
    )
    annotations = strong.read_annotations(path)
    assert annotations.videos["v"].segments == (Segment(0, 1, "A"), Segment(1, 2, "A"))
    assert annotations.left_out == ("remark: 1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a header with the columns 'filename', 'onset', 'offset'"),
        ("filename\tonset\toffset\n", "line 1: expected a header"),
        (f"{HEADER}v\t1\t2\n", "line 2: expected 4 columns"),
        (f"{HEADER}\t1\t2\tA\n", "line 2: no file name"),
        (f"{HEADER}v\t1\t2\t\n", "line 2: no event label"),
        (f"{HEADER}v\t\t\tA\n", "line 2: could not convert"),
        (f"{HEADER}v\t1\tinf\tA\n", "line 2: inf is not a finite number"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "strong.tsv"
    path.write_text(text)
    with pytest.raises(DuetalError, match=r"strong\.tsv") as caught:
        strong.read_annotations(path)
    assert message in str(caught.value)
