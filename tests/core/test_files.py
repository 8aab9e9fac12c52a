"""The old content or the new, never half of it."""

import gzip
import json
import os
import signal

import pytest

from duetal.core import files
from duetal.core.errors import DuetalError
from duetal.core.files import read_json, remove_unfinished, replacing, write_json, write_text


def test_it_writes_where_no_folder_was(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    write_json(path, {"café": [1, None, "日本"]})
    assert read_json(path) == {"café": [1, None, "日本"]}
    assert "日本" in path.read_text(encoding="utf-8")


def test_a_result_is_as_readable_as_the_users_other_files(tmp_path):
    (tmp_path / "ordinary").touch()
    write_text(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_content_and_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "result"
    write_text(path, "old")

    def fail_half_way():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
def test_a_kill_half_way_keeps_the_old_content(tmp_path, forked):
    path = tmp_path / "result"
    write_text(path, "old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(write_half).wait() == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_nan(tmp_path, value):
    path = tmp_path / "a.json"
    with pytest.raises(DuetalError, match=r"a\.json: cannot write: JSON has no NaN"):
        write_json(path, [value])
    assert not path.exists()


def test_half_a_surrogate_pair_is_escaped_in_json_and_refused_in_text(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"\ud800": "é"})
    assert read_json(path) == {"\ud800": "é"}
    with pytest.raises(DuetalError, match="half a character"):
        write_text(path, "\ud800")


def test_a_number_of_too_many_digits_is_not_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("9" * 5000)
    with pytest.raises(DuetalError, match=r"a\.json: not JSON"):
        read_json(path)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DuetalError, match=r"file/a\.json: cannot write"):
        write_json(tmp_path / "file" / "a.json", {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not JSON"),
        (b'{"a": 1', "line 1 column 8: not JSON"),
        (b'{"a"\n: }', "line 2 column 3: not JSON"),
        (b"\xff", "byte 0: not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_json_file_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DuetalError) as caught:
        read_json(path)
    assert caught.value.file == path
    assert message in str(caught.value)


def test_a_folder_is_not_read_as_json(tmp_path):
    with pytest.raises(DuetalError, match="cannot read"):
        read_json(tmp_path)


def test_a_byte_order_mark_is_no_part_of_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([1]).encode())
    assert read_json(path) == [1]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / "below").mkdir()
    torn = tmp_path / "below" / ".x.json.k1lled.duetal.part"
    kept = [
        tmp_path / "x.part",
        tmp_path / "below" / ".download.mp4.part",
        tmp_path / "below" / "x.json",
        tmp_path / ".hidden",
    ]
    for path in (torn, *kept):
        path.write_text("half")
    remove_unfinished(tmp_path)
    assert not torn.exists()
    assert all(path.exists() for path in kept)


def test_packed_files_are_unpacked_as_far_as_they_are_small(tmp_path, monkeypatch):
    path = tmp_path / "a.json.gz"
    packed = gzip.compress(b'{"a": 1}')
    path.write_bytes(packed)
    assert read_json(path) == {"a": 1}
    path.write_bytes(packed[:-3])
    with pytest.raises(DuetalError, match=r"a\.json\.gz: damaged: "):
        read_json(path)
    path.write_bytes(packed)
    monkeypatch.setattr(files, "_MOST_UNPACKED", 7)
    with pytest.raises(DuetalError, match="too large"):
        read_json(path)
