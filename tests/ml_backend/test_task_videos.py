from pathlib import Path

import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.ml_backend.studio_client import LabelStudio
from duetal.ml_backend.task_videos import TaskVideos

TOKEN = "0123456789abcdef"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """`clips/` with three videos, and one beside it."""
    for name in ("clips/a.mp4", "clips/x/b c.mp4", "clips/y/d.mp4", "beside.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path / "clips"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/data/local-files/?d=clips/a.mp4", "a.mp4"),
        ("/data/local-files/?d=clips%2Fx%2Fb%20c.mp4", "x/b c.mp4"),
        # Label Studio's folder may begin above or below.
        ("/data/local-files/?d=media/clips/x/b%20c.mp4", "x/b c.mp4"),
        ("/data/local-files/?d=b%20c.mp4", "x/b c.mp4"),
        ("clips/a.mp4", "a.mp4"),
        ("C:\\clips\\a.mp4", "a.mp4"),
    ],
)
def test_a_video_in_the_folders(clips, address, expected):
    found = TaskVideos([str(clips)], clips / "kept").find({"clip": address}, "clip")
    assert found.source == str(clips / expected)
    assert found.name == Path(expected).stem


@pytest.mark.parametrize(
    "address",
    [
        # Nothing beside the folders, whatever leads there.
        "/data/local-files/?d=../beside.mp4",
        "/data/local-files/?d=clips/../../beside.mp4",
        "../beside.mp4",
        "{folder}/beside.mp4",
        "/etc/passwd",
        "/data/local-files/?d=/etc/passwd",
        # Another folder's, of the same name.
        "/data/local-files/?d=clips/z/d.mp4",
        "file://{folder}/clips/a.mp4",
        "http://localhost/data/upload/1/a.mp4",
        "s3://bucket/a.mp4",
    ],
)
def test_nothing_else_is_read(clips, address):
    videos = TaskVideos([str(clips)], clips / "kept")
    with pytest.raises(DuetalError, match=r"is in none of the folders|is not fetched"):
        videos.find({"clip": address.format(folder=clips.parent)}, "clip")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "the task has no video: its data has no 'clip'"),
        ({"clip": None}, "the task has no video"),
        ({"clip": ["a.mp4"]}, "the task has no video"),
        ({"clip": ""}, "the task has no video"),
        ({"clip": "/data/"}, "the task has no video: no file name"),
        ({"clip": "/data/local-files/?d="}, "the task has no video"),
        ({"clip": ".."}, "name"),
        ({"clip": "/data/local-files/?d=x/%00.mp4"}, "name"),
        ({"clip": "/data/upload/1/0a1b2c3d-.hidden.mp4"}, "begins with a dot"),
        ({"clip": "x" * 300 + ".mp4"}, "longer than"),
        ({"clip": "/data/upload/1/0a1b2c3d-a.mp4"}, "is uploaded to Label Studio"),
    ],
)
def test_a_task_without_a_usable_video_is_told_in_a_line(clips, data, message):
    with pytest.raises(DuetalError) as caught:
        TaskVideos([str(clips)], clips / "kept").find(data, "clip")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_video_that_is_moved_or_comes_later(clips):
    videos = TaskVideos([str(clips)], clips / "kept")
    (clips / "a.mp4").rename(clips / "x" / "a.mp4")
    (clips / "new.mp4").write_bytes(b"")
    assert videos.find({"v": "/data/local-files/?d=a.mp4"}, "v").source == str(clips / "x/a.mp4")
    assert videos.find({"v": "new.mp4"}, "v").source == str(clips / "new.mp4")
    (clips / "new.mp4").unlink()
    with pytest.raises(DuetalError, match="is the video moved"):
        videos.find({"v": "new.mp4"}, "v")


def test_an_uploaded_video_is_fetched_once(clips, studio):
    studio.put("/data/upload/1/0a1b2c3d-a.mp4", b"video", kind="video/mp4")
    videos = TaskVideos([], clips / "kept", LabelStudio(studio.address, TOKEN))
    for address in ("", studio.address, ""):
        found = videos.find({"v": f"{address}/data/upload/1/0a1b2c3d-a.mp4"}, "v")
        assert found.name == "a"
        assert Path(found.source).read_bytes() == b"video"
        assert Path(found.source).parent == clips / "kept"
    assert len(studio.asked) == 1


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/../../api/users/a.mp4",
        "/data/upload/%2e%2e/a.mp4",
        "/data/upload/..%5Ca.mp4",
        "/data/local-files/?d=../x/q.mp4",
    ],
)
def test_nothing_else_of_label_studio_is_asked_for(clips, studio, address):
    videos = TaskVideos([str(clips)], clips / "kept", LabelStudio(studio.address, TOKEN))
    with pytest.raises(DuetalError, match=r"is no place of a video|not a usable video name"):
        videos.find({"v": address}, "v")
    assert studio.asked == []


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("https://example.org/clips/a.mp4", True),
        ("s3://bucket/a.mp4", True),
        ("https://example.org/clips/../a.mp4", False),
        ("https://example.org/clips/%2e%2e/a.mp4", False),
        ("https://example.org/clipsy/a.mp4", False),
        ("https://example.org.attacker.net/clips/a.mp4", False),
        ("https://user@example.org/clips/a.mp4", False),
        ("http://example.org/clips/a.mp4", False),
        ("s3://bucket2/a.mp4", False),
        ("http://169.254.169.254/a.mp4", False),
    ],
)
def test_addresses_that_are_allowed(clips, address, is_allowed):
    videos = TaskVideos([], clips / "k", None, ["https://example.org/clips/", "s3://bucket"])
    if is_allowed:
        assert videos.find({"v": address}, "v").source == address
    else:
        with pytest.raises(DuetalError, match="is not fetched: allow it"):
            videos.find({"v": address}, "v")


@pytest.mark.parametrize("allowed", ["clips", "/clips", "https://"])
def test_what_is_allowed_is_an_address(clips, allowed):
    with pytest.raises(UsageError, match=r"--allow: .* is no address"):
        TaskVideos([], clips, None, [allowed])


def test_an_address_is_no_folder(clips):
    with pytest.raises(UsageError, match="--allow"):
        TaskVideos(["s3://bucket/"], clips)
    with pytest.raises(DuetalError, match="no such file or folder"):
        TaskVideos([str(clips / "kept")], clips)
