"""Frames at a fixed rate: their number, their times, their look, from any container and codec."""

from fractions import Fraction

import av
import fsspec
import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.simulation.clips import Scene, render_clip
from duetal.video.decoding.geometry import Geometry
from duetal.video.decoding.video_reader import open_video, require_snippet

GRID = TimeGrid()
VELOCITY = (1.0, 0.5)


def read(source, **options):
    """Its frames, without their decoded pictures, and what was found."""
    with open_video(source) as video:
        frames = [(f.index, f.image, f.repeated) for f in video.frames(**options)]
        return frames, video.decoded


def source_pictures(frames):
    """Index of the source picture that each frame shows, counted by `repeated`."""
    return np.cumsum([not repeated for _, _, repeated in frames]) - 1


CONTAINERS_AND_CODECS = [
    ("clip.mp4", {"codec": "libx264"}),
    ("clip.mp4", {"codec": "libx264", "b_frames": 3}),
    ("clip.mkv", {"codec": "libx265", "options": (("x265-params", "log-level=none"),)}),
    ("clip.webm", {"codec": "libvpx-vp9"}),
    ("clip.webm", {"codec": "libvpx"}),
    ("clip.mkv", {"codec": "libsvtav1"}),
    ("clip.avi", {"codec": "mpeg4"}),
    ("clip.avi", {"codec": "mpeg4", "b_frames": 2}),
    ("clip.avi", {"codec": "libx264", "b_frames": 2}),
    ("clip.avi", {"codec": "mjpeg"}),
    ("clip.mkv", {"codec": "ffv1"}),
    ("clip.ts", {"codec": "libx264", "b_frames": 2}),
    ("clip.mpg", {"codec": "mpeg2video", "b_frames": 2}),
    ("clip.flv", {"codec": "flv"}),
    ("clip.wmv", {"codec": "wmv2"}),
    ("clip.mov", {"codec": "prores_ks"}),
    ("clip.mov", {"codec": "qtrle"}),
    ("clip.nut", {"codec": "huffyuv"}),
    ("clip.gif", {"codec": "gif"}),
    ("clip.h264", {"codec": "libx264", "b_frames": 2}),
    ("clip.mp4", {"codec": "libx264", "audio": True}),
]


@pytest.mark.parametrize(("name", "encoding"), CONTAINERS_AND_CODECS)
def test_every_frame_shows_the_scene_at_its_time(tmp_path, name, encoding):
    path = render_clip(tmp_path / name, duration=0.8, velocity=VELOCITY, **encoding)
    frames, decoded = read(path, short_side=120)
    assert decoded.duration == pytest.approx(0.8)
    assert (len(frames), decoded.frames, decoded.source_frames) == (20, 20, 20)
    assert [index for index, _, _ in frames] == list(range(20))
    scene = Scene((160, 120), velocity=VELOCITY)
    for index, image, repeated in frames:
        assert not repeated
        error = [
            np.abs(image - scene.picture((index + d) / 25).astype(int)).mean() for d in (-1, 0, 1)
        ]
        assert np.argmin(error) == 1, f"frame {index} is not the {index}th picture"


@pytest.mark.parametrize(
    ("fps", "duration"),
    [
        (0.5, 6),
        (1, 3.0),
        (10, 1.3),
        (19.62, 2),
        (24, 1.5),
        (29.97, 1),
        (30, 1.1),
        (60, 1),
        (240, 0.7),
    ],
)
def test_the_number_of_frames_is_the_grids(tmp_path, fps, duration):
    path = render_clip(tmp_path / "clip.mp4", duration=duration, fps=fps, size=(32, 32))
    frames, decoded = read(path, short_side=32)
    rate = Fraction(fps).limit_denominator(1001)
    pictures = max(1, round(duration * rate))
    assert decoded.duration == pytest.approx(float(pictures / rate), abs=0.0001)
    assert len(frames) == decoded.frames == GRID.frames(decoded.duration)
    shown = np.clip(np.floor((np.arange(len(frames)) + 0.5) / 25 * float(rate)), 0, pictures - 1)
    assert np.array_equal(np.unique(shown, return_inverse=True)[1], source_pictures(frames))


def test_a_variable_rate_is_resampled_by_timestamp(tmp_path):
    timestamps = [0, 0.1, 0.13, 0.14, 0.5, 1.21, 1.25]
    path = render_clip(tmp_path / "clip.mp4", duration=2, timestamps=timestamps, velocity=VELOCITY)
    frames, decoded = read(path, short_side=120)
    assert (decoded.duration, decoded.frames, decoded.source_frames) == (2.0, 50, 7)
    scene = Scene((160, 120), velocity=VELOCITY)
    for index, image, _ in frames:
        begin = max(time for time in timestamps if time <= (index + 0.5) / 25)
        assert np.abs(image - scene.picture(begin).astype(int)).mean() < 8


@pytest.mark.parametrize("fps", [5, 12.5, 23.976, 50])
def test_other_rates_than_25(tmp_path, fps):
    path = render_clip(tmp_path / "clip.mp4", duration=1.4, size=(32, 32))
    frames, decoded = read(path, fps=fps, short_side=32)
    assert len(frames) == decoded.frames == TimeGrid(fps=fps).frames(1.4)


def test_times_count_from_the_first_picture(tmp_path):
    early = render_clip(tmp_path / "early.mp4", duration=1, size=(32, 32))
    late = tmp_path / "late.mkv"
    for shift in (-0.2, 7.3):
        remux(early, late, lambda pts, base, shift=shift: pts + round(shift / base))
        frames, decoded = read(late, short_side=32)
        assert len(frames) == 25
        assert decoded.duration == pytest.approx(1, abs=0.001)
        assert decoded.notes == ()


def remux(source, target, new_pts, format=None):
    """Copy the packets into another container with other timestamps."""
    with av.open(str(source)) as inside, av.open(str(target), "w", format=format) as outside:
        stream = inside.streams.video[0]
        copy = outside.add_stream_from_template(stream)
        for packet in inside.demux(stream):
            if packet.dts is None:
                continue
            packet.pts = packet.dts = new_pts(packet.pts, packet.time_base)
            packet.stream = copy
            outside.mux(packet)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4, 3), Fraction(2, 3)])
def test_pictures_are_shown_as_players_show_them(tmp_path, rotation, aspect):
    path = render_clip(
        tmp_path / "clip.mp4", duration=0.2, size=(128, 96), rotation=rotation, pixel_aspect=aspect
    )
    with open_video(path) as video:
        assert video.info.geometry == Geometry(aspect, rotation)
        frame = next(video.frames(short_side=96))
    size = video.info.width, video.info.height
    if rotation % 180 == 0:
        assert size == (128, 96)
    # A coded pixel that is turned is as tall as it was wide: the size is the coded height's.
    assert size[0] / size[1] == pytest.approx(4 / 3, rel=0.03)
    assert frame.image.shape == (96, 128, 3)
    assert frame.full().shape == (size[1], size[0], 3)
    expected = Scene((128, 96)).picture(0, 128, 96).astype(int)
    assert np.abs(frame.image - expected).mean() < 6


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((320, 240), (256, 341)),
        ((240, 320), (341, 256)),
        ((100, 100), (256, 256)),
        ((33, 21), (256, 402)),
        ((1, 1), (256, 256)),
        ((2, 1), (256, 512)),
        ((16, 1), (256, 4096)),
    ],
)
def test_the_short_side_is_exact(tmp_path, size, shape):
    path = render_clip(tmp_path / "clip.mkv", duration=0.04, codec="ffv1", size=size)
    frames, _ = read(path)
    assert frames[0][1].shape == (*shape, 3)


@pytest.mark.parametrize(
    "encoding",
    [
        {"codec": "ffv1", "pixel_format": "yuv444p", "matrix": "ITU601"},
        {"codec": "ffv1", "pixel_format": "yuv444p", "matrix": "ITU709"},
        {"codec": "ffv1", "pixel_format": "yuv444p", "matrix": "ITU709", "full_range": True},
        {"codec": "ffv1", "pixel_format": "yuv444p", "matrix": "ITU601", "full_range": True},
        {"codec": "ffv1", "pixel_format": "yuv444p10le", "matrix": "ITU709"},
        {"codec": "ffv1", "pixel_format": "yuv444p16le", "matrix": "ITU601"},
        {"codec": "ffv1", "pixel_format": "yuva444p"},
        {"codec": "ffv1", "pixel_format": "bgra"},
        {"codec": "ffv1", "pixel_format": "gbrp10le"},
        {"codec": "mjpeg", "pixel_format": "yuvj444p", "options": (("qmin", "1"), ("qmax", "2"))},
    ],
)
def test_colours_follow_the_matrix_range_and_depth(tmp_path, encoding):
    path = render_clip(tmp_path / "clip.mkv", duration=0.04, **encoding)
    with open_video(path) as video:
        full = next(video.frames()).full()
    error = full - Scene((160, 120)).picture(0).astype(int)
    # A wrong range or matrix is off by 5 and more.
    assert np.abs(error).mean() < 2.5
    assert abs(error.mean()) < 1


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le"])
def test_grey_pictures_are_grey(tmp_path, pixel_format):
    path = render_clip(tmp_path / "c.mkv", duration=0.04, codec="ffv1", pixel_format=pixel_format)
    with open_video(path) as video:
        full = next(video.frames()).full().astype(int)
    assert np.ptp(full, axis=2).max() == 0
    grey = Scene((160, 120)).picture(0) @ [0.299, 0.587, 0.114]
    assert np.abs(full[:, :, 0] - grey).mean() < 2.5


def test_what_is_transparent_is_black(tmp_path):
    path = tmp_path / "clip.mkv"
    half = np.full((32, 32, 4), 200, dtype=np.uint8)
    half[:, :, 3] = np.where(np.arange(32) < 16, 0, 255)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "bgra"
        frame = av.VideoFrame.from_ndarray(half, format="rgba").reformat(format="bgra")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_video(path) as video:
        full = next(video.frames(short_side=32)).full()
    assert (full[:, :16] == 0).all()
    assert (full[:, 16:] == 200).all()


def test_interlaced_pictures_lose_their_combs(tmp_path):
    scene, path = Scene((160, 120), velocity=(6.0, 0)), tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "mpeg2video", rate=25, options={"flags": "+ildct+ilme", "top": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.bit_rate = 8_000_000
        for k in range(20):
            image = scene.picture(k / 25)
            image[1::2] = scene.picture((k + 0.5) / 25)[1::2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        combed = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with open_video(path) as video:
        frames = [(f.image, f.full()) for f in video.frames(short_side=120)]
        assert video.decoded.frames == video.decoded.source_frames == 20

    def combs(image):
        rows = image.astype(int).mean(axis=2)
        return np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean()

    for k in range(2, 18):
        assert combs(frames[k][1]) < combs(combed[k]) / 2
        error = [
            np.abs(frames[k][0] - scene.picture((k + d) / 25).astype(int)).mean()
            for d in (-1, 0, 1)
        ]
        assert np.argmin(error) == 1


@pytest.mark.parametrize(("pictures", "length"), [(1, 0), (7, 0), (15, 0), (16, 1), (32, 2)])
def test_short_videos_decode_and_give_the_snippets_they_hold(tmp_path, pictures, length):
    path = render_clip(tmp_path / "clip.mp4", duration=pictures / 25, size=(32, 32))
    frames, decoded = read(path, short_side=32)
    assert len(frames) == decoded.frames == decoded.source_frames == pictures
    if length:
        assert require_snippet(path, decoded.frames, GRID) == length
    else:
        with pytest.raises(DuetalError) as caught:
            require_snippet(path, decoded.frames, GRID)
        cause = f"too short: {pictures} frames at 25 a second, one snippet needs 16"
        assert str(caught.value) == f"{path}: {cause}"


def test_8k(tmp_path):
    path = render_clip(tmp_path / "clip.mov", duration=0.04, size=(7680, 4320), codec="mjpeg")
    with open_video(path) as video:
        frames = list(video.frames())
        assert frames[0].image.shape == (256, 455, 3)
        assert frames[0].full().shape == (4320, 7680, 3)


def test_urls_are_read_as_files_are(tmp_path):
    path = render_clip(tmp_path / "clip.mp4", duration=0.4, size=(32, 32))
    with fsspec.open("memory://videos/clip.mp4", "wb") as file:
        file.write(path.read_bytes())
    here, there = read(path), read("memory://videos/clip.mp4")
    assert here[1] == there[1]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(here[0], there[0], strict=True))


@pytest.mark.parametrize(
    "name", ["a\nb.mp4", "'\"`$(x).mp4", "<script>.mp4", "http:--x?y#z.mp4", "ü.mp4"]
)
def test_any_name(tmp_path, name):
    path = render_clip(tmp_path / name, duration=0.2, size=(32, 32))
    assert read(path)[1].frames == 5


def test_the_number_of_threads_changes_nothing(tmp_path):
    path = render_clip(tmp_path / "clip.mp4", duration=1, b_frames=2)
    found = []
    for threads in (1, 3):
        with open_video(path, threads=threads) as video:
            found.append([frame.image for frame in video.frames()])
    assert np.array_equal(*found)


def test_frames_are_read_once_and_counted_at_the_end(tmp_path):
    path = render_clip(tmp_path / "clip.mp4", duration=0.2, size=(32, 32))
    with open_video(path) as video:
        with pytest.raises(ValueError, match="not been read"):
            _ = video.decoded
        list(video.frames())
        with pytest.raises(ValueError, match="once"):
            list(video.frames())


@pytest.mark.real
@pytest.mark.parametrize("name", ["v_GGSY1Qvo990", "v_ZNVhz7ctTq0"])
def test_real_clips_agree_with_their_timestamps(real_data, name):
    path = real_data / "video" / f"{name}.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = [
            (f.pts * stream.time_base, f.duration * stream.time_base)
            for f in container.decode(stream)
        ]
    begins = np.array([float(pts - pictures[0][0]) for pts, _ in pictures])
    duration = float(sum(pictures[-1]) - pictures[0][0])
    frames, decoded = read(path)
    assert decoded.notes == ()
    assert decoded.duration == pytest.approx(duration, abs=1e-9)
    assert decoded.source_frames == len(pictures)
    assert len(frames) == decoded.frames == GRID.frames(duration)
    assert require_snippet(path, decoded.frames, GRID) == GRID.length(duration)
    shown = np.searchsorted(begins, (np.arange(len(frames)) + 0.5) / 25, side="right") - 1
    assert np.array_equal(np.unique(shown, return_inverse=True)[1], source_pictures(frames))
    assert frames[0][1].shape == (256, 341, 3)
