"""Our TV-L1 on the CPU beside OpenCV's and beside known motion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from duetal.video.decoding.video_reader import open_video
from duetal.video.flow.interface import TVL1Settings, grey, open_flow

Frames = NDArray[np.uint8]
Flow = NDArray[np.float32]

pytest.importorskip("cv2")

#: So many iterations and no decision when to stop, which a float's last bit could turn.
FEW = TVL1Settings(epsilon=0, inner_iterations=10, outer_iterations=1)


def textures(
    size: tuple[int, int], shifts: list[tuple[float, float]], *, shortest: float = 10, seed: int = 0
) -> Frames:
    """(N, H, W) frames of one texture of plane waves, each frame moved as a whole by its shift."""
    rng = np.random.default_rng(seed)
    length = np.exp(rng.uniform(np.log(shortest), np.log(10 * shortest), 40))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 40))
    along = 2 * np.pi / length * np.array([np.cos(angle), np.sin(angle)])
    height, width = size
    x, y = np.arange(width), np.arange(height)[:, None]
    frames = np.zeros((len(shifts), height, width))
    for frame, (right, down) in zip(frames, shifts, strict=True):
        for k in range(len(length)):
            wave = np.cos(along[0, k] * (x - right) + along[1, k] * (y - down) + phase[k])
            frame += np.sqrt(length[k]) * wave
    return np.rint(127.5 + 127 * frames / np.abs(frames).max()).astype(np.uint8)


def apart(a: Flow, b: Flow | tuple[float, float]) -> float:
    """Mean end-point difference in pixels."""
    return float(np.linalg.norm(a - np.asarray(b), axis=-1).mean())


def assert_agree(ours: Flow, reference: Flow) -> None:
    """The flows are the same but for single pixels.

    Those lie between two flows, and the last bit of a float decides: OpenCV's own flow changes as
    much there when its input changes by a ten-millionth.
    """
    distance = np.linalg.norm(ours - reference, axis=-1)
    assert np.median(distance) < 1e-3
    assert distance.mean() < 0.03


def both(frames: Frames, settings: TVL1Settings | None = None) -> tuple[Flow, Flow]:
    """Our flow and OpenCV's."""
    return open_flow("tvl1", settings)(frames), open_flow("opencv", settings)(frames)


@pytest.mark.parametrize(
    "settings",
    [
        FEW,
        replace(FEW, inner_iterations=7, outer_iterations=2),
        replace(FEW, median_filtering=1),
        replace(FEW, median_filtering=3),
        replace(FEW, scales=1),
        replace(FEW, scales=9, scale_step=0.7),
        replace(FEW, scales=3, scale_step=0.51),
        # Levels of one size, and some of which one side is the same.
        replace(FEW, scales=4, scale_step=0.9951),
        replace(FEW, scales=4, scale_step=0.993),
        replace(FEW, warps=2),
        replace(FEW, tau=0.15),
        replace(FEW, theta=0.5),
        replace(FEW, lambda_=0.05),
    ],
    ids=str,
)
def test_every_setting_does_what_it_does_in_opencv(settings: TVL1Settings) -> None:
    frames = textures((64, 91), [(0, 0), (1.5, -0.75)])
    ours, reference = both(frames, settings)
    assert_agree(ours, reference)
    if settings != FEW:  # the setting matters: without it the flow is another
        assert apart(open_flow("opencv", FEW)(frames), reference) > 0.01


@pytest.mark.parametrize("epsilon", [0.05, 0.01])
def test_iterations_end_where_opencvs_do(epsilon: float) -> None:
    frames = textures((128, 200), [(0, 0), (0.25, 0.5)])
    ours, reference = both(frames, TVL1Settings(epsilon=epsilon))
    assert_agree(ours, reference)
    assert apart(open_flow("opencv", FEW)(frames), reference) > 0.01


@pytest.mark.parametrize("shift", [(0.25, 0.5), (1.5, -0.75), (-2.3, 1.1), (0.5, -4.2)])
@pytest.mark.parametrize("size", [(60, 81), (81, 60), (16, 130), (128, 200)])
def test_flow_of_moving_textures_is_opencvs(
    size: tuple[int, int], shift: tuple[float, float]
) -> None:
    ours, reference = both(textures(size, [(0, 0), shift]), FEW)
    assert_agree(ours, reference)


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (2, 1), (-1, -3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_known_motion_is_found_where_opencv_finds_it(shift: tuple[int, int], seed: int) -> None:
    frames = textures((60, 70), [(0, 0), shift], shortest=8, seed=seed)
    ours, reference = both(frames, TVL1Settings(epsilon=0.002))
    # The border lacks what has moved out of sight.
    ours, reference = ours[:, 12:-12, 12:-12], reference[:, 12:-12, 12:-12]
    assert apart(reference, shift) < 0.01
    assert apart(ours, shift) < 0.01


@pytest.mark.parametrize("shift", [(0.3, 0.7), (-1.6, 0.4)])
def test_sub_pixel_motion_is_found_as_well_as_opencv_does(shift: tuple[float, float]) -> None:
    ours, reference = both(textures((110, 140), [(0, 0), shift], shortest=8))
    error = apart(reference, shift)
    assert error < 0.1
    assert apart(ours, shift) == pytest.approx(error, abs=2e-3)


@pytest.mark.parametrize("size", [(3, 3), (3, 40), (5, 7), (16, 16), (17, 33)])
def test_small_images(size: tuple[int, int]) -> None:
    ours, reference = both(textures(size, [(0, 0), (0.5, 0.25)]), FEW)
    assert_agree(ours, reference)


@pytest.mark.parametrize("name", ["tvl1", "opencv"])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 70), (70, 1), (2, 40)])
def test_images_below_what_opencv_is_made_for(name: str, size: tuple[int, int]) -> None:
    flow = open_flow(name)(textures(size, [(0, 0), (0.5, 0.25)]))
    assert flow.shape == (1, *size, 2)
    assert np.abs(flow).max() < 20
    # Along a line nothing can be seen to move across it.
    for component in (0, 1):
        if size[1 - component] == 1:
            np.testing.assert_array_equal(flow[..., component], 0)


@pytest.mark.parametrize("size", [(40, 4096), (2000, 18)])
def test_long_images(size: tuple[int, int]) -> None:
    settings = replace(FEW, warps=1, inner_iterations=3)
    ours, reference = both(textures(size, [(0, 0), (1, 0.5)], shortest=20), settings)
    assert_agree(ours, reference)


@pytest.mark.parametrize("name", ["tvl1", "opencv"])
def test_frames_that_do_not_change_have_no_flow(name: str) -> None:
    still = textures((40, 50), [(0, 0), (0, 0)])
    np.testing.assert_array_equal(open_flow(name)(still), 0)
    black_to_white = np.stack([np.zeros((40, 50), np.uint8), np.full((40, 50), 255, np.uint8)])
    np.testing.assert_array_equal(open_flow(name)(black_to_white), 0)


def test_a_still_picture_costs_nothing_and_its_neighbours_are_as_ever() -> None:
    frames = textures((40, 50), [(0, 0), (1, 0), (1, 0), (2, 1)])
    flow = open_flow("tvl1")(frames)
    np.testing.assert_array_equal(flow[1], 0)
    for k in (0, 2):
        np.testing.assert_array_equal(flow[k], open_flow("tvl1")(frames[k : k + 2])[0])


@pytest.mark.parametrize("name", ["tvl1", "opencv"])
def test_neither_threads_nor_the_batch_change_a_flow(name: str) -> None:
    frames = textures((45, 64), [(0.4 * k, -0.2 * k) for k in range(6)])
    together = open_flow(name)(frames)
    assert together.shape == (5, 45, 64, 2)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(open_flow(name, threads=3)(frames), together)
    for k in range(5):
        np.testing.assert_array_equal(open_flow(name)(frames[k : k + 2])[0], together[k])


@pytest.mark.parametrize("name", ["tvl1", "opencv"])
def test_one_frame_has_no_flow(name: str) -> None:
    assert open_flow(name)(textures((9, 8), [(0, 0)])).shape == (0, 9, 8, 2)


def test_frames_that_lie_otherwise_in_memory_or_are_read_only() -> None:
    frames = textures((40, 50), [(0, 0), (1, 0)])
    flow = open_flow("tvl1")(frames)
    turned = np.asfortranarray(frames)
    turned.flags.writeable = False
    np.testing.assert_array_equal(open_flow("tvl1")(turned), flow)
    padded = np.zeros((2, 40, 99), np.uint8)
    padded[:, :, ::2][:, :, :50] = frames
    np.testing.assert_array_equal(open_flow("tvl1")(padded[:, :, ::2][:, :, :50]), flow)


@pytest.mark.parametrize(
    "settings",
    [
        TVL1Settings(outer_iterations=2),
        TVL1Settings(lambda_=1e30, outer_iterations=2),
        TVL1Settings(tau=1e30, outer_iterations=2),
        TVL1Settings(theta=1e30, outer_iterations=2),
        TVL1Settings(theta=1e-30, outer_iterations=2),
    ],
    ids=str,
)
def test_noise_with_any_settings_gives_numbers(settings: TVL1Settings) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 50, 61), dtype=np.uint8)
    assert np.isfinite(open_flow("tvl1", settings)(noise)).all()


def test_flow_outside_the_image_is_zeros_warped_in() -> None:
    """A few moving pixels in the corner: what is read there is beside the image."""
    frames = np.zeros((2, 24, 24), np.uint8)
    frames[0, :8, :8] = textures((8, 8), [(0, 0)])[0]
    frames[1, :8, :8] = textures((8, 8), [(-3, -3)])[0]
    ours, reference = both(frames)
    assert np.abs(reference).max() > 1
    assert_agree(ours, reference)


@pytest.mark.real
@pytest.mark.parametrize("clip", ["v_GGSY1Qvo990", "v_ZNVhz7ctTq0"])
def test_real_clips(real_data: Path, clip: str) -> None:
    with open_video(real_data / "video" / f"{clip}.mp4") as video:
        images = [grey(frame.image) for frame in video.frames() if not frame.repeated]
    distances, lengths = [], []
    for first in np.linspace(0, len(images) - 2, 3).astype(int):
        ours, reference = both(np.stack(images[first : first + 2]))
        distances.append(apart(ours, reference))
        lengths.append(apart(reference, (0, 0)))
    assert np.mean(lengths) > 0.5
    assert np.mean(distances) < 0.05
