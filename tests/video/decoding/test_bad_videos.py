"""Everything that can be wrong with a video is a clear line, or a note and the right frames."""

import contextlib
import os
import random
import socket
from fractions import Fraction
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duetal.core.errors import DuetalError
from duetal.simulation.clips import Scene, render_clip
from duetal.video.decoding.video_reader import open_video


def decode(source):
    """What was found, and the grey of each frame."""
    with open_video(source) as video:
        greys = [frame.image[::8, ::8].mean(axis=2) for frame in video.frames(short_side=120)]
        return video.decoded, greys


def refusal(source):
    """The cause, after checking that the message is one line that names the video."""
    with pytest.raises(DuetalError) as caught:
        decode(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message == f"{source}: {caught.value.cause}".replace("\n", "\\n")
    return caught.value.cause


def spoiled(path, begin, length, seed=0):
    """The file with some bytes in the middle replaced by noise."""
    content = bytearray(path.read_bytes())
    begin = round(begin * len(content))
    content[begin : begin + length] = random.Random(seed).randbytes(length)
    path.write_bytes(content)
    return path


def cut(path, part):
    """The file's beginning."""
    path.write_bytes(path.read_bytes()[: round(part * path.stat().st_size)])
    return path


NOT_VIDEOS = {
    "zero bytes": (b"", "empty file: 0 bytes"),
    "text": (b"Not a video at all.\n" * 400, "not a video"),
    "one byte": (b"x", "not a video"),
    "noise": (random.Random(0).randbytes(100_000), "not a video"),
    "subtitles": (
        b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 9,
        "no video in it, only subtitles",
    ),
    "a page": (b"<!doctype html><html><body>404</body></html>" * 99, "not a video"),
}


@pytest.mark.parametrize("name", NOT_VIDEOS)
def test_what_is_no_video_is_refused(tmp_path, name):
    content, cause = NOT_VIDEOS[name]
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    assert refusal(path).startswith(cause)


def test_text_under_its_own_name_is_refused_too(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("FFmpeg would show this as a picture of a terminal.\n" * 100)
    assert "text" in refusal(path)


def test_sound_alone_is_refused(tmp_path):
    path = render_clip(tmp_path / "clip.mp4", duration=1, video=False)
    assert refusal(path) == "no video in it, only sound"


def test_a_cover_picture_is_no_video(tmp_path):
    path = with_cover(render_clip(tmp_path / "a.mp4", duration=1, video=False), tmp_path / "b.mp4")
    assert refusal(path) == "no video in it, only sound and a cover picture"


def test_the_video_beside_a_cover_picture_is_chosen(tmp_path):
    path = with_cover(render_clip(tmp_path / "a.mp4", duration=1), tmp_path / "b.mp4")
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    with open_video(path) as video:
        assert (video.info.width, video.info.height) == (160, 120)


def with_cover(source, target):
    """Copy a file's stream behind a cover picture."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        cover = outside.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        copy = outside.add_stream_from_template(inside.streams[0])
        picture = av.VideoFrame.from_ndarray(Scene((64, 64)).picture(0)).reformat(format="yuvj420p")
        for packet in [*cover.encode(picture), *cover.encode(None)]:
            outside.mux(packet)
        for packet in inside.demux():
            if packet.dts is not None:
                packet.stream = copy
                outside.mux(packet)
    return target


def test_what_is_no_file_is_refused(tmp_path):
    fifo = tmp_path / "pipe.mp4"
    os.mkfifo(fifo)
    assert refusal(fifo) == "not a regular file"
    assert refusal("/dev/zero") == "not a regular file"
    assert refusal(tmp_path) == "is a folder, not a video"
    assert refusal(tmp_path / "missing\n'name'.mp4") == "no such file"
    assert refusal("memory://missing.mp4") == "no such file"
    assert refusal("nosuch://missing.mp4").startswith("cannot open: Protocol not known")
    assert refusal("nul\0.mp4").startswith("cannot read")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = render_clip(tmp_path / "clip.mp4", duration=0.2)
    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(path) == "cannot read: Permission denied"


def test_a_storage_that_fails_midway_is_an_error_of_the_video(tmp_path, monkeypatch):
    content = render_clip(tmp_path / "clip.mkv", duration=4, codec="ffv1").read_bytes()
    with fsspec.open("memory://clip.mkv", "wb") as file:
        file.write(content)
    memory_file = fsspec.implementations.memory.MemoryFile
    read = memory_file.read

    def unreliable(self, *arguments):
        if self.tell() > len(content) / 2:
            raise TimeoutError("the storage went away")
        return read(self, *arguments)

    monkeypatch.setattr(memory_file, "read", unreliable)
    assert refusal("memory://clip.mkv") == "cannot read: the storage went away"


@pytest.mark.parametrize(
    "name", ["list.mp4", "list.m3u8", "list.txt", "list.sdp", "list.mpd", "list"]
)
def test_a_playlist_opens_neither_files_nor_connections(tmp_path, name):
    secret = render_clip(tmp_path / "secret.ts", duration=0.4)
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)
    address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
    mpd = (
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
    )
    representation = f'<Representation id="1" bandwidth="1"><BaseURL>{address}</BaseURL>'
    lists = [
        f"{head}{secret}\n#EXT-X-ENDLIST\n",
        f"{head}{address}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret}\n",
        f"ffconcat version 1.0\nfile {address}\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {server.getsockname()[1]} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        f'<?xml version="1.0"?>{mpd}<Period><AdaptationSet mimeType="video/mp4">{representation}'
        "</Representation></AdaptationSet></Period></MPD>",
    ]
    for content in lists:
        (tmp_path / name).write_text(content)
        assert refusal(tmp_path / name).startswith(("a playlist, script or text", "not a video"))
        with pytest.raises(TimeoutError):
            server.accept()
    if name == "list.m3u8":
        # What would happen unguarded: this test can fail.
        (tmp_path / name).write_text(lists[0])
        assert av.open(str(tmp_path / name)).streams.video
    server.close()


def test_a_picture_of_absurd_shape_is_refused(tmp_path):
    path = render_clip(tmp_path / "clip.mkv", duration=0.04, codec="ffv1", size=(4000, 2))
    assert refusal(path) == "pictures of 4000x2 are longer than 16 times their width"


def test_pictures_too_large_to_decode_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("duetal.video.decoding.container.MOST_PIXELS", 100 * 100)
    path = render_clip(tmp_path / "clip.mp4", duration=0.2, size=(160, 120))
    assert refusal(path) == "pictures of 160x120 pixels are too large to decode"


@pytest.mark.parametrize(
    ("name", "frames"), [("a.png", 1), ("a.jpg", 1), ("a.gif", 10), ("a.mp4", 1)]
)
def test_still_and_moving_images_are_short_videos(tmp_path, name, frames):
    path = tmp_path / name
    if name == "a.gif":
        render_clip(path, duration=0.4, codec="gif")
    else:
        from PIL import Image

        with path.open("wb") as file:
            Image.fromarray(Scene((64, 48)).picture(0)).save(
                file, "jpeg" if name == "a.jpg" else "png"
            )
    assert decode(path)[0].frames == frames


# Truncation.


@pytest.mark.parametrize("part", [0.01, 0.5, 0.95])
def test_an_mp4_without_its_index_is_named_as_such(tmp_path, part):
    path = cut(render_clip(tmp_path / "clip.mp4", duration=2), part)
    assert refusal(path).startswith("an MP4 without its index (moov)")


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.wmv"])
def test_an_end_missing_by_more_than_two_seconds_is_an_error(tmp_path, name, audio):
    codec = {"avi": "mpeg4", "wmv": "wmv2"}.get(name[-3:], "libx264")
    path = render_clip(tmp_path / name, duration=6, audio=audio, codec=codec)
    assert decode(path)[0].notes == ()
    if name == "clip.mp4":
        path = index_first(path, tmp_path / "first.mp4")
    assert refusal(cut(path, 0.5)).startswith(("ends early: 2.", "ends early: 3.")) or audio
    if audio:
        # The tone was written first, so half of the file is half of the pictures or fewer.
        assert "of the declared 6.0" in refusal(path)


def index_first(source, target):
    with av.open(str(source)) as inside:
        options = {"movflags": "faststart"}
        with av.open(str(target), "w", options=options) as outside:
            copies = {s.index: outside.add_stream_from_template(s) for s in inside.streams}
            for packet in inside.demux():
                if packet.dts is not None:
                    packet.stream = copies[packet.stream_index]
                    outside.mux(packet)
    return target


def test_an_end_missing_by_less_is_a_note(tmp_path):
    whole = render_clip(tmp_path / "clip.mkv", duration=6)
    decoded, _ = decode(cut(whole, 0.9))
    assert 100 < decoded.frames < 145
    assert decoded.notes == (f"ends {6 - decoded.duration:.2f} s before its declared end",)


def test_sound_that_goes_on_is_no_missing_end(tmp_path):
    silent = render_clip(tmp_path / "silent.mkv", duration=1)
    sound = render_clip(tmp_path / "sound.mp4", duration=9, video=False)
    path = tmp_path / "clip.mkv"
    with (
        av.open(str(silent)) as one,
        av.open(str(sound)) as other,
        av.open(str(path), "w") as outside,
    ):
        copies = [outside.add_stream_from_template(part.streams[0]) for part in (one, other)]
        for part, copy in zip((one, other), copies, strict=True):
            for packet in part.demux():
                if packet.dts is not None:
                    packet.stream = copy
                    outside.mux(packet)
    decoded, _ = decode(path)
    assert (decoded.frames, decoded.notes) == (25, ())


# Damage in the middle.


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("clip.mp4", {}),
        ("clip.mkv", {}),
        ("clip.ts", {}),
        ("clip.webm", {"codec": "libvpx-vp9"}),
        ("clip.mkv", {"codec": "ffv1"}),
    ],
)
def test_frames_after_small_damage_are_in_their_place(tmp_path, capfd, name, encoding):
    path = render_clip(tmp_path / name, duration=6, velocity=(2, 1), keyframes=10, **encoding)
    sound, expected = decode(path)
    assert sound.notes == ()
    spoiled(path, 0.5, path.stat().st_size // 10)
    decoded, greys = decode(path)
    assert decoded.frames == sound.frames
    assert decoded.duration == pytest.approx(sound.duration, abs=0.05)
    assert len(decoded.notes) == 1
    assert decoded.notes[0].endswith("the picture before is shown instead")
    lost = float(decoded.notes[0].split(" s could not be decoded, the first at ")[0])
    first = float(decoded.notes[0].split("the first at ")[1].split(" s;")[0])
    assert 0 < lost <= 2
    assert 2.4 < first < 4
    for k in [*range(60), *range(130, 150)]:
        assert np.abs(greys[k] - expected[k]).mean() < 1
    # FFmpeg's own complaints would break the progress bar.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_much_damage_is_an_error_with_what_could_be_decoded(tmp_path, name):
    path = render_clip(tmp_path / name, duration=10, velocity=(2, 1), keyframes=10)
    cause = refusal(spoiled(path, 0.3, path.stat().st_size // 2))
    assert cause.startswith("damaged: ")
    assert "s of 10.0" in cause
    assert "could not be decoded, the first at 3." in cause or "the first at 2." in cause
    assert cause.endswith(" pictures)")


def test_pictures_lost_at_the_begin_keep_the_rest_in_place(tmp_path):
    path = render_clip(tmp_path / "clip.mp4", duration=4, velocity=(2, 1), keyframes=10)
    expected = decode(path)[1]
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux() if p.pos is not None][:15]
    content = bytearray(path.read_bytes())
    for position, size in packets:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    decoded, greys = decode(path)
    assert decoded.frames == 100
    assert "could not be decoded, the first at 0.00 s" in decoded.notes[0]
    for k in range(25, 100):
        assert np.abs(greys[k] - expected[k]).mean() < 1


# Timestamps.


def with_timestamps(path, milliseconds, rate=25):
    """A Matroska video whose pictures carry the given timestamps, whatever they are."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "bgr0"
        for k, stamp in enumerate(milliseconds):
            picture = Scene((32, 32), velocity=(1, 1)).picture(k / 25)
            frame = av.VideoFrame.from_ndarray(picture).reformat(format="bgr0")
            frame.pts = k
            for packet in stream.encode(frame):
                packet.time_base = Fraction(1, 1000)
                # The container keeps the time of display alone, but orders by the other.
                packet.dts, packet.pts, packet.duration = k, stamp, 0
                container.mux(packet)
    return path


REGULAR = [40 * k for k in range(50)]


@pytest.mark.parametrize(
    ("milliseconds", "frames", "in_place"),
    [
        # One that goes back, a little or far, or leaps ahead: the others keep their place.
        ([*REGULAR[:20], REGULAR[18], *REGULAR[21:]], 50, [*range(19), *range(21, 50)]),
        ([*REGULAR[:20], 30, *REGULAR[21:]], 50, [*range(19), *range(21, 50)]),
        ([*REGULAR[:20], 7_000_000, *REGULAR[21:]], 50, range(50)),
        # A clock that stands still, or starts anew, is replaced by the usual rate.
        ([*REGULAR, *(2020 + t for t in REGULAR)][:50], 50, range(50)),
        ([100] * 50, 48, []),
        # One picture that stands for long.
        ([*REGULAR[:20], *(t + 1000 for t in REGULAR[20:])], 75, range(20)),
    ],
    ids=["back", "far back", "ahead", "sound", "standing", "held"],
)
def test_broken_timestamps(tmp_path, milliseconds, frames, in_place):
    decoded, greys = decode(with_timestamps(tmp_path / "clip.mkv", milliseconds))
    assert decoded.frames == frames
    expected = decode(with_timestamps(tmp_path / "sound.mkv", REGULAR))[1]
    for k in in_place:
        assert np.array_equal(greys[k], expected[k]), k


def test_the_last_picture_lasts_as_the_ones_before_it_after_a_pause(tmp_path):
    pause = [*REGULAR, *(t + 11_000 for t in REGULAR)]
    decoded, _ = decode(with_timestamps(tmp_path / "clip.mkv", pause))
    assert decoded.duration == pytest.approx((pause[-1] + 40) / 1000, abs=0.002)


def test_an_avi_of_a_writer_that_could_not_go_back_is_whole(tmp_path):
    path = render_clip(tmp_path / "clip.avi", duration=6, codec="mpeg4")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff\xff\xff\xff" + content[8 : len(content) // 2])
    assert 2 < decode(path)[0].duration < 4


def test_the_last_picture_lasts_as_long_as_others_do_not_as_a_header_says(tmp_path):
    pause = [*REGULAR, *(t + 11_000 for t in REGULAR)]
    path = with_timestamps(tmp_path / "clip.mkv", pause, rate=6)
    with av.open(str(path)) as container:
        assert next(container.demux()).duration == 166
    decoded, _ = decode(path)
    assert decoded.duration == pytest.approx((pause[-1] + 40) / 1000, abs=0.002)
    assert decoded.rate == 25


def test_pictures_that_an_avi_leaves_out_are_no_damage(tmp_path):
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "bgr0"
        for k in [*range(10), *range(15, 25)]:
            picture = Scene((32, 32), velocity=(1, 1)).picture(k / 25)
            frame = av.VideoFrame.from_ndarray(picture).reformat(format="bgr0")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert path.read_bytes().split(b"idx1")[0].count(b"00dc\0\0\0\0") >= 5
    decoded, greys = decode(path)
    assert (decoded.frames, decoded.source_frames, decoded.notes) == (25, 20, ())
    assert all(np.array_equal(greys[9], greys[k]) for k in range(10, 15))


def test_streams_that_appear_midway_are_left_alone(tmp_path):
    path = render_clip(tmp_path / "clip.ts", duration=3, audio=True)
    silent = render_clip(tmp_path / "silent.ts", duration=3)
    path.write_bytes(silent.read_bytes() * 2 + path.read_bytes())
    assert decode(path)[0].frames == 225


def test_joined_recordings_follow_each_other(tmp_path):
    parts = [render_clip(tmp_path / f"{k}.ts", duration=3, seed=k, size=(64, 64)) for k in range(3)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    decoded, greys = decode(joined)
    assert decoded.frames == 225
    assert decoded.duration == pytest.approx(9, abs=0.05)
    expected = [grey for part in parts for grey in decode(part)[1]]
    close = [np.abs(a - b).mean() < 1 for a, b in zip(greys, expected, strict=True)]
    assert np.mean(close) > 0.95


@given(data=st.binary(min_size=1, max_size=3000), head=st.sampled_from([
    b"", b"\x00\x00\x00\x18ftypmp42", b"\x1aE\xdf\xa3", b"RIFF\x00\x00\x01\x00AVI LIST",
    b"G" + bytes(187) + b"G", b"#EXTM3U\n", b"FLV\x01\x01\x00\x00\x00\x09", b"GIF89a", b"OggS",
    b"\x89PNG\r\n\x1a\n", b"ffconcat version 1.0\n", b"\x00\x00\x01\xba", b"\xff\xd8\xff\xe0",
]))  # fmt: skip
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_decode_or_are_refused(tmp_path, head, data):
    path = tmp_path / "clip.mp4"
    path.write_bytes(head + data)
    with contextlib.suppress(DuetalError):
        decode(path)
