"""Which videos a user means, and what they are called."""

import hashlib
import os
import uuid
from pathlib import Path

import fsspec
import pytest

from duetal.core.errors import DuetalError
from duetal.extraction.sources import Video, fetched, find_videos, source_size, video_name


@pytest.fixture
def videos(tmp_path):
    """A folder of files that need only be there."""
    for name in (
        "a.mp4",
        "deep/er/b.MKV",
        "deep/c.webm",
        "notes.md",
        ".hidden.mp4",
        ".cache/d.mp4",
        "e f.avi",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def names(*inputs):
    return [video.name for video in find_videos(map(str, inputs)).videos]


def test_a_folder_is_searched_through_without_what_is_hidden(videos):
    assert names(videos) == ["a", "e f", "c", "b"]


def test_a_file_may_have_any_suffix_and_be_named_twice(videos, monkeypatch):
    monkeypatch.chdir(videos)
    assert names("notes.md", "./notes.md", videos / "notes.md") == ["notes"]


def test_a_list_is_relative_to_its_folder(videos, monkeypatch):
    listing = videos / "deep" / "list.txt"
    listing.write_text(f"c.webm\n\n../a.mp4\r\n{videos}/e f.avi\ner\n")
    monkeypatch.chdir("/")
    found = find_videos([str(listing)])
    assert [video.name for video in found.videos] == ["c", "a", "e f", "b"]
    assert all(Path(video.source).is_file() for video in found.videos)


def test_a_list_that_names_itself_ends(videos):
    listing = videos / "list.txt"
    listing.write_text("list.txt\n")
    assert names(listing) == ["list"]


def test_a_pattern_is_expanded(videos):
    assert names(videos / "*.mp4") == ["a"]
    assert names(videos / "**" / "*.webm") == ["c"]


def test_folders_that_link_to_each_other_are_searched_once(videos):
    (videos / "deep" / "up").symlink_to(videos)
    elsewhere = videos / ".cache" / "linked"
    elsewhere.mkdir()
    (elsewhere / "g.mp4").touch()
    (videos / "link").symlink_to(elsewhere)
    assert sorted(names(videos)) == ["a", "b", "c", "e f", "g"]


def test_urls_of_files_folders_patterns_and_lists():
    root = f"memory://{uuid.uuid4()}"
    contents = {"a.mp4": b"1", "in/b.mp4": b"2", "in/.x/c.mp4": b"3", "l.txt": b"in/b.mp4\n\n"}
    for name, content in contents.items():
        with fsspec.open(f"{root}/{name}", "wb") as file:
            file.write(content)
    assert names(root) == ["a", "b"]
    assert names(f"{root}/*.mp4") == ["a"]
    assert names(f"{root}/l.txt") == ["b"]
    (video,) = find_videos([f"{root}/in/b.mp4"]).videos
    assert source_size(video.source) == 1
    with fetched(video.source) as file:
        assert file.path.read_bytes() == b"2"
        assert file.sha256 == hashlib.sha256(b"2").hexdigest()
    assert not file.path.exists()


def test_a_file_url_is_a_file(videos):
    assert find_videos([f"file://{videos}/a.mp4"]).videos == (Video("a", f"{videos}/a.mp4"),)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/x/a.b.mp4", "a.b"),
        ("s3://bucket/x/a.mp4", "a"),
        ("https://host/x/a.mp4?token=b.c/d", "a"),
        ("https://host/x/high%20jump.MTS", "high jump"),
        ("/x/a#b?c.mp4", "a#b?c"),
        ("/x/a.mp4.raw", "a"),
        ("/x/.mp4", ".mp4"),
    ],
)
def test_a_video_is_called_like_its_file(source, name):
    assert video_name(source) == name


def test_two_files_of_one_name_are_a_failure_that_names_both(videos):
    (videos / "deep" / "a.mkv").touch()
    found = find_videos([str(videos)])
    assert [video.name for video in found.videos] == ["e f", "c", "b"]
    (failure,) = found.failures
    assert failure.name == "a"
    assert f"{videos}/a.mp4" in failure.reason
    assert f"{videos}/deep/a.mkv" in failure.reason


def test_a_file_that_is_reached_in_two_ways_is_one_video(videos):
    (videos / "link").symlink_to(videos / "deep")
    ways = [videos / "a.mp4", videos / "deep" / ".." / "a.mp4", *(videos.glob("*/c.webm"))]
    found = find_videos([*map(str, ways), str(videos / "link" / "c.webm")])
    assert ([video.name for video in found.videos], found.failures) == (["a", "c"], ())


@pytest.mark.parametrize(
    "name", [b"new\nline.mp4", b"\xff\xfe.mp4", b"tab\t.mp4", b"\x1b[31m.mp4", b"x" * 230 + b".mp4"]
)
def test_unusable_names_are_failures_that_can_be_written(tmp_path, name):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    (tmp_path / "good '\"<script>.mp4").touch()
    found = find_videos([str(tmp_path)])
    assert [video.name for video in found.videos] == ["good '\"<script>"]
    (failure,) = found.failures
    assert "not a usable video name" in failure.reason
    failure.model_dump_json()


@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_inputs_without_a_video_are_refused(tmp_path, content):
    place = tmp_path / "list.txt"
    if content is not None:
        place.write_text(content)
    with pytest.raises(DuetalError, match=r"list\.txt: no"):
        find_videos([str(place)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DuetalError, match="empty: no video there"):
        find_videos([str(tmp_path / "empty")])


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(DuetalError, match="not a regular file"), fetched(f"{tmp_path}/pipe.mp4"):
        pass


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    for read in (source_size, lambda source: fetched(source).__enter__()):
        for source in (f"{tmp_path}/no.mp4", f"memory://{uuid.uuid4()}/no.mp4"):
            with pytest.raises(DuetalError, match=r"no\.mp4: no such file"):
                read(source)
