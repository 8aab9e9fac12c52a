from dataclasses import replace
from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.formats import segment_table

HEADER = "video,label,start,end\n"


def test_there_and_back_with_weak_labels(tmp_path: Path, annotations: Annotations) -> None:
    weak = VideoAnnotation("weak", None, None, ("run & jump", "Äpfel"))
    everything = replace(annotations, videos={**annotations.videos, "weak": weak})
    path = tmp_path / "a.csv"
    segment_table.write_annotations(path, everything)
    again = segment_table.read_annotations(path)
    assert again.videos == everything.videos
    assert again.classes == tuple(sorted(everything.classes))


def test_a_table_of_somebody(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("End,start,Label,VIDEO,by\n2,1,A,v,me\n4,3,B,v,\n")
    annotations = segment_table.read_annotations(path)
    assert annotations.videos["v"].segments == (Segment(1, 2, "A"), Segment(3, 4, "B"))
    assert annotations.left_out == ("by: 1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,label,start\n", "line 1: expected a header"),
        ("video,label,start,end,end\n", "line 1: expected a header"),
        (f"{HEADER},A,1,2\n", "line 2: no video"),
        (f"{HEADER}v,A,1,\n", "line 2: a segment is a label, a start and an end"),
        (f"{HEADER}v,,1,2\n", "line 2: a segment is"),
        (f"{HEADER}v,A,1,x\n", "line 2: could not convert"),
        (f"{HEADER}v,A,1,nan\n", "line 2: nan is not a finite number"),
        (f"{HEADER}v,A,1,2\nv,B,,\n", "video 'v': some labels have a segment, others none"),
        ("video,label,start,end,subset\nv,A,1,2,test\nv,A,1,2,train\n", "line 3: 'v' has another"),
        (f'{HEADER}"v,A,1,2\n', "line 2"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DuetalError, match=r"a\.csv") as caught:
        segment_table.read_annotations(path)
    assert message in str(caught.value)
