"""Text line by line: as one would split it whole, and with the place of what is no text."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.formats.delimited import read_lines


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
