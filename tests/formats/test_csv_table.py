import contextlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duetal import formats
from duetal.core.annotations import Annotations, KnownStretches, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.core.video_names import composed, known_name
from duetal.formats import csv_table
from duetal.formats.csv_table import read_detections, write_detections

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def rows_of(detections: Detections) -> list[tuple[str, str, float, float, float]]:
    return [
        (
            detections.videos[detections.video[row]],
            detections.classes[detections.label[row]],
            float(detections.start[row]),
            float(detections.end[row]),
            float(detections.score[row]),
        )
        for row in range(len(detections))
    ]


def test_the_table_is_what_a_spreadsheet_expects(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = [("v, 1", 'the "best"', 0.1, 2.5, 1 / 3), ("w", "Jump", 3.0, 4.0, 1.0)]
    write_detections(path, Detections.from_rows(rows))
    assert path.read_bytes() == (
        b"video,label,start,end,score\r\n"
        b'"v, 1","the ""best""",0.1,2.5,0.3333333333333333\r\n'
        b"w,Jump,3.0,4.0,1.0\r\n"
    )


@given(
    rows=st.lists(st.tuples(NAMES.map(known_name), NAMES, NUMBERS, NUMBERS, NUMBERS), max_size=4)
)
@example(rows=[("v", "\ufa2a", 0.0, 1.0, 0.5)])  # a compatibility character: one of 飯's two forms
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, float, float, float]],
) -> None:
    path = tmp_path_factory.mktemp("table") / "d.csv"
    write_detections(path, Detections.from_rows(rows))
    # Names of classes meet in their composed form, as those of videos do.
    composed_rows = [(video, composed(label), *numbers) for video, label, *numbers in rows]
    assert rows_of(read_detections(path)) == composed_rows


def test_a_table_of_another_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("\ufeffVideo, Label,start,end,score\n\nv,A,0,1.5,2e-1\n", encoding="utf-8")
    assert rows_of(read_detections(path)) == [("v", "A", 0.0, 1.5, 0.2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: expected the header video,label,start,end,score"),
        (b"video,label\nv,A\n", "line 1: expected the header"),
        (b"video,label,start,end,score\nv,A,0,1\n", "line 2: expected 5 columns"),
        (b"video,label,start,end,score\n\nv,A,0,one,1\n", "line 3: 'one' is no number"),
        (b"video,label,start,end,score\nv,A,0,nan,1\n", "video 'v': a detection's segment"),
        (b'video,label,start,end,score\n"v,A,0,1,1\n', "line 2: "),
        (b"video,label,start,end,score\n\xff", "byte 28: not UTF-8 text"),
    ],
)
def test_malformed_detections(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    with pytest.raises(DuetalError, match=r"d\.csv") as caught:
        read_detections(path)
    assert message in str(caught.value)


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(DuetalError, match="no such file"):
        read_detections(tmp_path / "d.csv")


@given(content=st.binary(max_size=40))
def test_any_bytes_are_detections_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "d.csv"
    for text in (content, b"video,label,start,end,score\n" + content):
        path.write_bytes(text)
        with contextlib.suppress(DuetalError):
            assert isinstance(read_detections(path), Detections)


HEADER = "video,label,start,end\n"


def test_there_and_back_with_weak_labels(tmp_path: Path, annotations: Annotations) -> None:
    weak = VideoAnnotation("weak", None, None, ("run & jump", "Äpfel"))
    everything = replace(annotations, videos={**annotations.videos, "weak": weak})
    path = tmp_path / "a.csv"
    csv_table.write_annotations(path, everything)
    again = csv_table.read_annotations(path)
    assert again.videos == everything.videos
    assert again.classes == tuple(sorted(everything.classes))


KNOWN = "video,label,start,end,known\n"


def test_a_table_of_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        f"{KNOWN}d,Dive,3.2,6.4,present\nd,Dive,9,9,present\nd,Dive,11,12.5,absent\n"
        "d,,0,15,complete\nd,Run,,,present\nj,Run,,,present\nj,Dive,,,absent\ne,,,,complete\n"
        "n,Dive,,,absent\n"
    )
    found = csv_table.read_annotations(path)
    dive, jump, empty, none = found
    assert dive.segments == (Segment(3.2, 6.4, "Dive"), Segment(9, 9, "Dive"))
    assert dive.labels == ("Dive", "Run")
    assert dive.known == KnownStretches((Segment(11, 12.5, "Dive"),), ((0, 15),))
    assert (jump.labels, jump.segments) == (("Run",), None)
    assert jump.known == KnownStretches((Segment(-math.inf, math.inf, "Dive"),))
    assert (empty.labels, empty.segments) == ((), ())
    assert (none.labels, none.segments) == ((), None), "not known to be empty"
    assert found.left_out == ("rows of what is absent: 3", "rows of what is complete: 2")


def test_a_table_of_segments_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("End,start,Label,VIDEO,by\n2,1,A,v,me\n4,3,B,v,\n")
    annotations = csv_table.read_annotations(path)
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
        (f"{HEADER}v,A,1,x\n", "line 2: 'x' is no number"),
        (f"{HEADER}v,A,1,nan\n", "line 2: nan is not a finite number"),
        (f"{HEADER}v,A,1,2\nv,B,,\n", "video 'v': some labels have a segment, others none"),
        ("video,label,start,end,subset\nv,A,1,2,test\nv,A,1,2,train\n", "line 3: 'v' has another"),
        (f'{HEADER}"v,A,1,2\n', "line 2"),
        (f"{KNOWN}v,A,1,2,presnt\n", "line 2: unknown value of 'known' 'presnt'"),
        (f"{KNOWN}v,A,1,2,complete\n", "line 2: what is complete has no label"),
        (f"{KNOWN}v,,,,absent\n", "line 2: what is absent has a label"),
    ],
)
def test_malformed_segments(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DuetalError, match=r"a\.csv") as caught:
        csv_table.read_annotations(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "\n;;;\nvideo;label;start;end\nv.mkv;A;1,5;2,5\n",
        "Video\tClass\tBegin\tEnd\nv.webm\tA\t00:01.5\t0:00:02,5\n",
        "file name,activity,start seconds,stop\nv,A,1.5,2.5\n",
        "\n\nsep=;\nvideo-id;Action;Begin_Time;End Time\nv;A;1.5;2.5\n",
    ],
)
def test_other_headers_and_empty_lines_before(tmp_path: Path, text: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text)
    (video,) = formats.read_annotations(table)
    assert (video.name, video.segments) == ("v", (Segment(1.5, 2.5, "A"),))


def test_what_is_missing_of_a_table_of_times_is_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("video,label,start,duration\nv,A,1,2\n")
    with pytest.raises(DuetalError, match=r"columns 'video', 'label', 'start', 'end'"):
        formats.read_annotations(table)


def test_the_table_of_a_review_is_read_for_what_is_present(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = ("v,Jump,1,2,present", "v,Dive,3,4,absent", "v,,0,5,complete", "w,Dive,,,absent")
    path.write_text("\n".join(("video,label,start,end,known", *rows)))
    found = csv_table.read_annotations(path)
    assert {video.name: video.segments for video in found} == {
        "v": (Segment(1, 2, "Jump"),),
        "w": None,
    }
    assert found.left_out == ("rows of what is absent: 2", "rows of what is complete: 1")
