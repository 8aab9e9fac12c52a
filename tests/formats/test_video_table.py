"""The table of own videos: as people write it, and what is wrong with one."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.formats.video_table import Split, read_video_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


@pytest.mark.parametrize(
    "text",
    [
        'video,labels\na.mp4,Diving\nb/c.mp4,"Diving, High jump"\nd,\n',
        "video,labels\r\na.mp4,Diving\r\nb/c.mp4,High jump;Diving\r\nd,\r\n",
        "filename\tevent_labels\na.mp4\tDiving\n\nb/c.mp4\tDiving,High jump,Diving\nd\t\n",
        "\ufeffVideo;Labels\na.mp4;Diving\nb/c.mp4;High  jump, Diving\nd;\n",
        "sep=;\nvideo;labels\na.mp4;Diving\nb/c.mp4;High jump\nb/c.mp4;Diving\nd;\n",
        " LABELS ,File\nDiving,a.mp4\nDiving; High jump,b/c.mp4\n,d\n",
    ],
    ids=["quotes", "semicolons", "desed", "spreadsheet", "a row a label", "turned"],
)
def test_a_table_is_read_as_people_write_it(table: Path, text: str) -> None:
    table.write_bytes(text.encode())
    read = [(row.video, row.labels, row.split) for row in read_video_table(table)]
    assert read == [
        ("a.mp4", ("Diving",), None),
        ("b/c.mp4", ("Diving", "High jump"), None),
        ("d", (), None),
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", Split.TRAIN),
        ("Training", Split.TRAIN),
        ("test", Split.TEST),
        ("TESTING", Split.TEST),
        ("val", Split.TEST),
        ("validation", Split.TEST),
        ("evaluation", Split.TEST),
    ],
)
def test_a_third_column_splits(table: Path, name: str, split: Split) -> None:
    table.write_text(f"video,labels,subset\na,Diving,{name}\n")
    assert read_video_table(table)[0].split is split


def test_an_empty_third_column_is_none(table: Path) -> None:
    table.write_text("video,labels,split\na,Diving,\nb,Diving,\n")
    assert [row.split for row in read_video_table(table)] == [None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a header with the columns 'video' and 'labels'"),
        ("video,labels\n", "names no video"),
        ("a.mp4,Diving\n", "line 1: expected a header .*found 'a.mp4'"),
        ("video,splitt,labels\n", "line 1: .*found 'splitt'"),
        ("video,file,labels\na,b,c\n", "line 1: .*two are video"),
        ("video,split\na,train\n", "line 1: .*'labels' is not there"),
        ("video,labels\na,Diving,Jump\n", r"line 2: expected 2 columns .*found 3 \(several labels"),
        ("video\tlabels\na\n", r"line 2: expected 2 columns \(video, labels\), found 1$"),
        ("video,labels\n,Diving\n", "line 2: no video"),
        ("video,labels,split\na,X,tset\n", "line 2: unknown split 'tset'; the nearest is 'test'"),
        ("video,labels,split\na,X,train\nb,Y,\n", "line 3: no split, and other rows have one"),
        ('video,labels\na,"X\n', "line 2: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(table: Path, text: str, message: str) -> None:
    table.write_text(text)
    with pytest.raises(DuetalError, match=message) as error:
        read_video_table(table)
    assert str(error.value).startswith(f"{table}: ")


def test_a_missing_table_is_named(table: Path) -> None:
    with pytest.raises(DuetalError, match="no such file"):
        read_video_table(table)


@given(st.text(alphabet='video,labelsplit;\t\n\r"tra ', max_size=80) | st.binary(max_size=40))
def test_anything_is_a_table_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with contextlib.suppress(DuetalError):
        rows = read_video_table(path)
        assert rows
        assert all(row.video for row in rows)
