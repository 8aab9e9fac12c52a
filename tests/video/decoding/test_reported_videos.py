"""Videos that were refused, or whose pictures came at wrong times, each with its right value.

Picture n carries n as 12 bits in the lower half of the frame, the lowest on the left.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from duetal.core.errors import DuetalError
from duetal.video.browser import copy_suffix, playback, write_browser_copy
from duetal.video.decoding.matroska import leads_on
from duetal.video.decoding.video_reader import open_video

VIDEOS = Path(__file__).parents[2] / "cases" / "video"


class Right(NamedTuple):
    pictures: int
    duration: float
    #: By index of a frame at 25 a second, the picture that it shows.
    shown: dict[int, int]
    #: A player's time of the first picture.
    offset: float = 0.0
    rate: float = 25
    size: tuple[int, int] = (96, 64)
    note: str | None = None


RIGHT = {
    "length_in_wrong_unit_and_6s_hold.mp4": Right(200, 14.0, {0: 0, 99: 99, 249: 99, 250: 100}),
    "init_and_segment3.mp4": Right(100, 4.0, {0: 200, 99: 299}),
    "clock_begins_at_1000.flv": Right(200, 8.0, {0: 0, 199: 199}),
    "slides_every_2s_with_longer_sound.mkv": Right(
        20, 38.04, {0: 0, 49: 0, 50: 1, 950: 19}, rate=0.5
    ),
    "unused_bytes_between_clusters.mkv": Right(200, 21.5, {0: 0, 537: 199}),
    "two_video_tracks.mp4": Right(
        200, 8.0, {0: 0, 199: 199}, note="video streams: 0 of 64x48, 1 of 96x64; stream 1 is read"
    ),
    "video_begins_2s_late.mp4": Right(200, 8.0, {0: 0, 199: 199}, offset=2.0),
    # Its sound goes on, so no clock was reset.
    "picture_lost_15s_sound_goes_on.ts": Right(
        200, 23.0, {99: 99, 474: 99, 475: 100}, note="one picture is shown for 15.04 s at 3.96 s"
    ),
}


def number(image):
    """The number of a picture."""
    height, width, _ = image.shape
    bits = [image[height * 3 // 4, (2 * k + 1) * width // 24].mean() > 127 for k in range(12)]
    return sum(bit << k for k, bit in enumerate(bits))


@pytest.mark.parametrize("name", RIGHT)
def test_pictures_are_shown_at_their_times(name):
    right = RIGHT[name]
    with open_video(VIDEOS / name) as video:
        shown = [number(frame.image) for frame in video.frames(short_side=64)]
        found = video.decoded
    assert (video.info.width, video.info.height) == right.size
    assert (found.source_frames, found.duration) == (right.pictures, right.duration)
    assert (found.offset, found.rate) == (pytest.approx(right.offset, abs=0.03), right.rate)
    assert found.notes == (() if right.note is None else (right.note,))
    assert {index: shown[index] for index in right.shown} == right.shown


def test_a_stream_can_be_chosen(tmp_path):
    path = VIDEOS / "two_video_tracks.mp4"
    with open_video(path, stream=0) as video:
        assert (video.info.width, video.info.height) == (64, 48)
    # A browser would show the other.
    assert "several video streams" in playback(path).hindrance
    write_browser_copy(path, tmp_path / f"copy{copy_suffix()}", stream=0)
    with open_video(tmp_path / f"copy{copy_suffix()}") as video:
        assert (video.info.width, video.info.height) == (64, 48)
    with pytest.raises(DuetalError, match="stream 7 is no video; those are: 0, 1"):
        open_video(path, stream=7)


def test_what_can_be_decoded_of_a_damaged_video_is_taken_on_request(tmp_path):
    path = tmp_path / "cut.mkv"
    with open_video(VIDEOS / "slides_every_2s_with_longer_sound.mkv") as video:
        frames = len(list(video.frames()))
    content = (VIDEOS / "slides_every_2s_with_longer_sound.mkv").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with open_video(path) as video, pytest.raises(DuetalError, match="ends early"):
        list(video.frames())
    with open_video(path, damaged=True) as video:
        assert 0 < len(list(video.frames())) < frames
        assert "before its declared end" in video.decoded.notes[0]


def element(identifier, content):
    """An element of a Matroska file, with its size in 8 bytes."""
    return bytes.fromhex(identifier) + b"\x01" + len(content).to_bytes(7, "big") + content


BLOCK = element("a3", b"\x81\0\0\x80picture")
CLUSTER = bytes.fromhex("1f43b675" + "01" + "ff" * 7)
GROUP = element("a0", element("a1", b"\x81\0\0\0picture") + element("9b", b"\x28"))


@pytest.mark.parametrize(
    ("between", "healthy"),
    [
        (b"", True),
        (element("ec", bytes(5000)), True),
        (element("ec", bytes(5000)) + CLUSTER + element("e7", b"\x07"), True),
        # Another track's blocks, and what stands between clusters.
        (BLOCK * 300 + GROUP * 300, True),
        (element("1c53bb6b", bytes(3000)) + element("1254c367", bytes(9)) + CLUSTER, True),
        (bytes(5000), False),
        (b"\x42" * 5000, False),
        (element("ec", bytes(5000))[:-1], False),
        (element("c1", bytes(5000)), False),
    ],
)
def test_elements_between_two_blocks_are_told_from_damage(between, healthy):
    file = BLOCK + between + BLOCK
    head = BLOCK.index(b"\x81\0\0\x80")
    after = len(BLOCK + between) + head
    assert leads_on(lambda place, size: file[place : place + size], head, after) is healthy
    grouped = GROUP + between + GROUP
    head = GROUP.index(b"\x81\0\0\0")
    after = len(GROUP + between) + head
    assert leads_on(lambda place, size: grouped[place : place + size], head, after) is healthy
