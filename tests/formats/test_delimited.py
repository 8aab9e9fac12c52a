"""Text line by line: as one would split it whole, and with the place of what is no text."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError
from duetal.formats import read_annotations, read_detections
from duetal.formats.delimited import read_lines, seconds_in


@given(
    text=st.text(st.sampled_from("ab\r\n\u2028\x0bé\U00020000")), padding=st.integers(8180, 8195)
)
def test_lines_are_those_of_the_whole_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, padding: int
) -> None:
    # The file is decoded in parts of 8 KiB, whose border may fall into anything.
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    for content in (text, "x" * padding + text):
        path.write_bytes(content.encode())
        assert list(read_lines(path)) == list(io.StringIO(content, newline=""))


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert list(read_lines(path)) == ["a\r\n", "b"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("before", [0, 7, 8191, 8192, 30_000])
@pytest.mark.parametrize("damage", [b"\xff", b"\xc3("])
def test_the_byte_that_is_not_utf_8_is_named(
    tmp_path: Path, mark: bytes, before: int, damage: bytes
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(mark + b"x" * before + damage + b"x" * 9000)
    with pytest.raises(DuetalError, match=f"a.txt: byte {len(mark) + before}: not UTF-8 text"):
        list(read_lines(path))


def test_a_character_that_is_cut_off_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 8191 + b"\xc3")
    with pytest.raises(DuetalError, match="byte 8191: not UTF-8 text"):
        list(read_lines(path))


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DuetalError, match=r"nothing\.txt: no such file"):
        list(read_lines(tmp_path / "nothing.txt"))
    with pytest.raises(DuetalError, match="cannot read"):
        list(read_lines(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_spreadsheets_save_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    text = "video\tlabel\tstart\tend\r\nv\tÄpfel\t1\t2\r\n"
    mark = "\ufeff" if encoding[-3:] in ("-le", "-be") else ""
    path.write_bytes((mark + text).encode(encoding))
    assert read_annotations(path).videos["v"].segments == (Segment(1, 2, "Äpfel"),)


@pytest.mark.parametrize("suffix", ["csv", "json", "vtt", "txt"])
def test_text_of_another_encoding_is_told_what_to_do(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    beginnings = {"json": '{"database": {"', "vtt": "WEBVTT\n\n", "txt": ""}
    text = beginnings.get(suffix, "video,labels\n") + "Händchen 0 1 7 1"
    path.write_bytes(text.encode("cp1252"))
    read = read_detections if suffix == "txt" else read_annotations
    with pytest.raises(DuetalError, match=r"byte \d+: not UTF-8 .* or Latin-1: save it as UTF-8"):
        read(path)


@pytest.mark.parametrize(
    ("cell", "delimiter", "seconds"),
    [
        ("3.5", ",", 3.5),
        ("3,5", ";", 3.5),
        ("3,125", "\t", 3.125),
        ("3,5", ",", 3.5),
        ("-0,5", ";", -0.5),
        ("1e-3", ",", 0.001),
        ("01:05", ",", 65),
        ("75:30,5", ";", 4530.5),
        ("0:01:05.5", ",", 65.5),
        ("00:00:03,500", ",", 3.5),
        ("100:00:00", ",", 360_000),
    ],
)
def test_times_as_people_write_them(cell: str, delimiter: str, seconds: float) -> None:
    assert seconds_in(cell, delimiter) == seconds


@pytest.mark.parametrize("cell", ["1,234", "1,234.5", "1:60", "1:60:00", "00:00:03:12", "1:", "x"])
def test_what_is_no_time(cell: str) -> None:
    with pytest.raises(ValueError, match=r"thousands|is no number|60 minutes"):
        seconds_in(cell, ",")


SHEETS = {
    "video;label;start;end\nv.mp4;run;3,5;7,25\n": (3.5, 7.25),
    "sep=;\r\nvideo;label;start;end\r\nv;run;3,5;7,25\r\n": (3.5, 7.25),
    "Video\tLabel\tStart\tEnd\tBy\nv\trun\t00:00:03.500\t0:07,25\tme\n": (3.5, 7.25),
    "video,label,start,end\nv,run,00:01:02,00:01:05.5\n": (62.0, 65.5),
    "video-name,t-start,t-end,label,video-duration\nv,3.5,7.25,run,20\n": (3.5, 7.25),
    "video_id,split,class,start_time,end_time\nv,test,run,3.5,7.25\n": (3.5, 7.25),
    "filename;onset;offset;event_label\nv.wav;3,5;7,25;run\n": (3.5, 7.25),
    "label,start,end,video,score\nrun,3.5,0:07.25,v,1\n": (3.5, 7.25),
    "video;label;start;end;score;by\nv;run;3,5;7,25;0,5;me\n": (3.5, 7.25),
}


@pytest.mark.parametrize("text", SHEETS)
def test_sheets_as_they_come(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(text)
    if "score" in text:
        found = read_detections(path)
        assert (found.videos, found.classes) == (("v",), ("run",))
        assert (found.start[0], found.end[0]) == SHEETS[text]
    else:
        assert read_annotations(path).videos["v"].segments == (Segment(*SHEETS[text], "run"),)
