from fractions import Fraction

import av
import numpy as np
import pytest

from duetal.core.annotations import Segment
from duetal.core.errors import UsageError
from duetal.simulation.clips import Scene, render_clip


def decode(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for frame in frames], frames


def test_the_texture_moves_by_the_velocity():
    scene = Scene((96, 64), velocity=(3.0, -2.0), fps=25)
    first, tenth = scene.picture(0).astype(int), scene.picture(10 / 25).astype(int)
    assert np.abs(tenth[:-20, 30:] - first[20:, :-30]).max() <= 1
    assert np.abs(tenth - first).mean() > 10


def test_another_sampling_shows_the_same_view():
    scene = Scene((80, 40), seed=3)
    wide = scene.picture(0, columns=240, rows=40)
    # Of three columns where there was one, the middle one is at the same place.
    assert np.abs(wide[:, 1::3].astype(int) - scene.picture(0)).max() <= 1


def test_an_action_is_seen_in_its_time_and_differs_by_label():
    def at(time, *actions):
        return Scene((96, 64), actions=actions).picture(time).astype(int)

    jump, throw = Segment(1, 2, "jump"), Segment(1, 2, "throw")
    assert np.array_equal(at(0.5, jump), at(0.5))
    assert np.array_equal(at(2.0, jump), at(2.0))
    assert np.abs(at(1.5, jump) - at(1.5)).mean() > 5
    assert np.abs(at(1.5, jump) - at(1.5, throw)).mean() > 5


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mkv", "ffv1"),
        ("clip.webm", "libvpx-vp9"),
        ("clip.avi", "mpeg4"),
        ("clip.mov", "mjpeg"),
        ("clip.ts", "mpeg2video"),
        ("clip.gif", "gif"),
    ],
)
def test_a_clip_shows_its_scene(tmp_path, name, codec):
    path = render_clip(tmp_path / name, duration=0.4, codec=codec, velocity=(1, 0), seed=5)
    images, _ = decode(path)
    scene = Scene((160, 120), velocity=(1, 0), seed=5)
    assert len(images) == 10
    for number, image in enumerate(images):
        error = np.abs(image.astype(int) - scene.picture(number / 25))
        assert error.mean() < (20 if codec == "gif" else 8)


def test_the_same_arguments_give_the_same_pictures(tmp_path):
    paths = [render_clip(tmp_path / f"{k}.mkv", duration=0.2, codec="ffv1") for k in range(2)]
    assert np.array_equal(*(decode(path)[0] for path in paths))


def test_pictures_begin_at_the_timestamps_and_the_last_ends_with_the_clip(tmp_path):
    timestamps = [0, 0.1, 0.15, 0.9]
    path = render_clip(tmp_path / "clip.mp4", duration=2, timestamps=timestamps)
    frames = decode(path)[1]
    assert [frame.time for frame in frames] == pytest.approx(timestamps)
    assert float(frames[-1].duration * frames[-1].time_base) == pytest.approx(1.1)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_metadata_undoes_how_the_pictures_were_turned_and_squeezed(tmp_path, rotation):
    path = render_clip(
        tmp_path / "clip.mp4",
        duration=0.04,
        size=(160, 96),
        rotation=rotation,
        pixel_aspect=Fraction(4, 3),
    )
    image, frame = (found[0] for found in decode(path))
    assert (frame.rotation - rotation) % 360 == 0
    upright = np.rot90(image, rotation // 90)
    expected = Scene((160, 96)).picture(0, *upright.shape[1::-1])
    assert np.abs(upright.astype(int) - expected).mean() < 8


def test_sound_alone_and_beside_pictures(tmp_path):
    for video in (False, True):
        path = render_clip(tmp_path / "clip.mp4", duration=0.5, audio=True, video=video)
        with av.open(str(path)) as container:
            assert (len(container.streams.video), len(container.streams.audio)) == (video, 1)


@pytest.mark.parametrize("arguments", [{"codec": "nosuch"}, {"size": (3, 3), "codec": "mpeg4"}])
def test_what_the_encoder_refuses_is_one_line(tmp_path, arguments):
    if arguments["codec"] == "mpeg4":
        arguments["pixel_format"] = "rgb24"
    with pytest.raises(UsageError, match="cannot encode"):
        render_clip(tmp_path / "clip.mp4", duration=0.1, **arguments)
    assert list(tmp_path.iterdir()) == []
