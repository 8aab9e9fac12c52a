"""Which videos a browser gets as they are, and what the copies of the others show."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError
from duetal.simulation.clips import render_clip
from duetal.video.browser import copy_suffix, is_copy_of, playback, write_browser_copy
from duetal.video.decoding.video_reader import open_video

SIZE = (64, 48)


@pytest.mark.parametrize(
    ("name", "encoding", "hindrance"),
    [
        ("a.mp4", {}, ""),
        ("a.mov", {}, ""),
        ("a.m4v", {"b_frames": 2}, ""),
        ("A.MP4", {"rotation": 90, "audio": True}, ""),
        ("a.webm", {"codec": "libvpx-vp9"}, ""),
        ("a.mkv", {}, "browsers do not play matroska files"),
        ("a.avi", {"codec": "mpeg4"}, "browsers do not play avi files"),
        ("a.mp4", {"codec": "mpeg4"}, "browsers do not play mpeg4 video"),
        ("a.mp4", {"pixel_format": "yuv444p"}, "browsers do not play h264 video of yuv444p pixels"),
        ("a.mp4", {"timestamps": [2.0, 2.5]}, "its clock begins at 2.00 s"),
    ],
)
def test_what_browsers_play(tmp_path: Path, name: str, encoding: dict, hindrance: str) -> None:
    muxed = {"A.MP4": "a.mp4", "a.m4v": "m.mp4"}.get(name, name)
    path = render_clip(tmp_path / muxed, duration=3, fps=5, size=SIZE, **encoding)
    found = playback(path.rename(tmp_path / name))
    assert found.hindrance.startswith(hindrance)
    assert bool(found.hindrance) == bool(hindrance)


def test_a_wrong_suffix_is_detected(tmp_path: Path) -> None:
    path = render_clip(tmp_path / "a.avi", duration=1, size=SIZE, codec="mpeg4")
    assert "avi" in playback(path.rename(tmp_path / "a.mp4")).hindrance


def test_pictures_that_begin_after_the_sound_keep_their_distance(tmp_path: Path) -> None:
    times = [k / 5 + 1.5 for k in range(5)]
    path = render_clip(
        tmp_path / "a.mp4", duration=3, fps=5, size=SIZE, timestamps=times, audio=True
    )
    found = playback(path)
    assert found.hindrance == ""
    assert found.offset == pytest.approx(1.5, abs=0.001)


def test_a_video_on_another_machine_is_not_played_from_there() -> None:
    assert playback("s3://bucket/a.mp4").hindrance == "it is not on this machine"


def test_sound_alone_is_played_as_it_is(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))
    assert playback(tmp_path / "a.wav").hindrance == ""


@pytest.mark.parametrize("content", [b"", b"no video at all, but long enough to look into"])
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(DuetalError, match=r"a\.mp4"):
        playback(path)


@pytest.mark.parametrize(
    ("name", "size", "encoding", "shape"),
    [
        ("a.avi", (64, 48), {"codec": "mpeg4"}, (48, 64)),
        # Upright, square pixels, even numbers of both.
        ("a.mp4", (48, 64), {"rotation": 90, "timestamps": [2 + k / 25 for k in range(25)]},
         (64, 48)),
        ("a.mkv", (64, 48), {"pixel_aspect": Fraction(4, 3)}, (48, 64)),
        ("a.mkv", (33, 21), {"codec": "ffv1"}, (22, 34)),
    ],
)  # fmt: skip
def test_a_copy_shows_the_frames_when_they_were_seen(
    tmp_path: Path, name: str, size: tuple, encoding: dict, shape: tuple
) -> None:
    encoding = {"duration": 3 if "timestamps" in encoding else 1} | encoding
    actions = [Segment(0.4, 0.8, "HighJump"), Segment(2.4, 2.8, "HighJump")]
    source = render_clip(tmp_path / name, size=size, velocity=(1, 0), actions=actions, **encoding)
    copy = tmp_path / "copies" / f"a{copy_suffix()}"
    write_browser_copy(source, copy)
    assert playback(copy).hindrance == ""
    assert playback(copy).offset == 0
    with open_video(source) as one, open_video(copy) as two:
        assert (two.info.height, two.info.width) == shape
        frames = list(one.frames(25, min(size)))
        copied = list(two.frames(25, min(shape)))
        assert one.decoded.duration == pytest.approx(two.decoded.duration)
    assert len(frames) == len(copied)
    for frame, seen in zip(frames, copied, strict=True):
        height, width = frame.image.shape[:2]
        difference = seen.image[:height, :width].astype(int) - frame.image
        assert np.abs(difference).mean() < 12
    # A frame is nearer to itself than to the next ones, so none is late.
    far = np.abs(copied[5].image[:height, :width].astype(int) - frames[12].image).mean()
    near = np.abs(copied[5].image[:height, :width].astype(int) - frames[5].image).mean()
    assert near < far / 2


def test_a_copy_records_its_source(tmp_path: Path) -> None:
    source = render_clip(tmp_path / "a.mkv", duration=0.4, size=SIZE)
    copy = tmp_path / f"a{copy_suffix()}"
    assert not is_copy_of(copy, "1234")
    write_browser_copy(source, copy, fingerprint="1234")
    assert is_copy_of(copy, "1234")
    assert not is_copy_of(copy, "5678")
    copy.write_bytes(copy.read_bytes()[:40])
    assert not is_copy_of(copy, "1234")


def test_half_a_copy_is_none(tmp_path: Path) -> None:
    broken = tmp_path / "a.mkv"
    broken.write_bytes(render_clip(tmp_path / "b.mkv", duration=9, size=SIZE).read_bytes()[:9000])
    with pytest.raises(DuetalError, match=r"a\.mkv"):
        write_browser_copy(broken, tmp_path / "copies" / "a.mp4")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_large_video_becomes_a_smaller_copy(tmp_path: Path) -> None:
    source = render_clip(tmp_path / "a.mkv", duration=0.08, size=(1600, 1200))
    copy = tmp_path / f"a{copy_suffix()}"
    write_browser_copy(source, copy)
    with av.open(str(copy)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (960, 720)
