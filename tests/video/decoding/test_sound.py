"""Sound in windows: at its place, resampled, silent where there is none."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.simulation.clips import render_clip
from duetal.video.decoding.sound import SoundAlone, has_pictures, open_sound
from duetal.video.decoding.video_reader import open_video

RATE = 16_000


def write(
    path: Path, *pieces: tuple[float, np.ndarray], rate: int = RATE, layout: str = "mono"
) -> Path:
    """Write pieces of sound (channels, n), each at its second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        for second, samples in pieces:
            packed = (np.atleast_2d(samples).T.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "s16", layout)
            frame.rate, frame.pts, frame.time_base = rate, round(second * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_windows_go_forward_and_are_silent_outside(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE)
    path = write(tmp_path / "a.mkv", (0.0, noise))
    whole = np.pad((noise * 32767).astype(np.int16) / 32768, 4 * RATE).astype(np.float32)
    with open_sound(path, RATE) as sound:
        for centre in (-1.0, 0.0, 0.3, 0.3, 1.5, 2.9, 3.4, 5.0):
            begin = round((4 + centre) * RATE) - RATE // 2
            found = sound.window(centre, 1.0)
            np.testing.assert_allclose(found, whole[begin : begin + RATE], atol=1e-4)


@pytest.mark.parametrize(
    ("rate", "layout"), [(44_100, "stereo"), (8_000, "mono"), (48_000, "mono")]
)
def test_any_rate_and_channels_become_one(tmp_path: Path, rate: int, layout: str) -> None:
    left = tone(440, 3, rate)
    both = np.stack([left, left]) if layout == "stereo" else left
    with open_sound(
        write(tmp_path / "a.wav", (0.0, both), rate=rate, layout=layout), RATE
    ) as sound:
        found = sound.window(1.5, 2.0)
    expected = tone(440, 3)[RATE // 2 : RATE // 2 + 2 * RATE]
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_gap_is_silent_and_what_follows_stands_at_its_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", (0.0, tone(440, 1)), (3.0, tone(440, 1)))
    with open_sound(path, RATE) as sound:
        loud = [float(np.abs(sound.window(t, 0.1)).max()) for t in (0.5, 1.5, 2.5, 3.5, 4.5)]
    assert [x > 0.4 for x in loud] == [True, False, False, True, False]


def test_memory_does_not_grow_with_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", (0.0, tone(440, 1)), (3000.0, tone(440, 1)))
    with open_sound(path, RATE) as sound:
        for second in range(0, 3001, 20):
            sound.window(second + 0.5, 1.0)
            assert len(sound._kept) < 60 * RATE
        assert np.abs(sound.window(3000.6, 0.5)).max() > 0.4


def test_sound_is_counted_from_the_first_picture(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", (0.0, tone(440, 1)))
    with open_sound(path, RATE, zero=0.5) as sound:
        # It begins before the pictures.
        assert np.abs(sound.window(-0.25, 0.1)).max() > 0.4
        assert np.abs(sound.window(-0.1, 0.1)).max() > 0.4
        assert np.abs(sound.window(0.25, 0.1)).max() > 0.4
        assert np.abs(sound.window(0.75, 0.1)).max() == 0


def test_compressed_sound_of_a_video_is_in_time(tmp_path: Path) -> None:
    render_clip(tmp_path / "v.mp4", duration=4, size=(64, 48), audio=True)
    with (
        open_video(tmp_path / "v.mp4") as video,
        open_sound(tmp_path / "v.mp4", RATE, video.zero) as sound,
    ):
        assert video.zero == 0
        assert np.abs(sound.window(2.0, 1.0)).max() > 0.05
        assert sound.window(40.0, 1.0).shape == (RATE,)


def test_a_damaged_end_is_silent(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mkv", (0.0, tone(440, 1)), (1.0, tone(440, 3))).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    with open_sound(tmp_path / "cut.mkv", RATE) as sound:
        assert np.abs(sound.window(0.5, 0.5)).max() > 0.4
        assert np.abs(sound.window(3.8, 0.2)).max() == 0


def test_sound_alone_has_frames_of_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", (0.0, tone(440, 2.5)))
    assert not has_pictures(path)
    with SoundAlone(path) as alone:
        frames = list(alone.frames(25.0))
    assert [frame.index for frame in frames] == list(range(62))
    assert frames[0].full().shape == (1, 1, 3)
    assert (alone.decoded.frames, alone.decoded.duration) == (62, 2.5)


def no_sound(path: Path) -> None:
    render_clip(path, duration=1, size=(64, 48))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (no_sound, "no sound in it"),
        (lambda path: path.write_bytes(b"x" * 100), "not a video"),
        (lambda path: path.write_bytes(b""), "empty file"),
        (lambda path: None, "no such file"),
    ],
)
def test_no_sound_is_one_line(tmp_path: Path, make: Any, reason: str) -> None:
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(DuetalError, match=reason) as caught:
        open_sound(path, RATE)
    assert caught.value.file == path
