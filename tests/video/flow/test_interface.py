"""The engines' names, their settings, and what is done to frames before and to flow after."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from duetal.core.errors import DuetalError, UsageError
from duetal.video.flow.interface import (
    FlowName,
    TVL1Settings,
    check_frames,
    grey,
    open_flow,
    pyramid_sizes,
    scale_flow,
)


def test_default_settings_are_opencvs() -> None:
    cv2 = pytest.importorskip("cv2")
    engine, settings = cv2.optflow.DualTVL1OpticalFlow_create(), TVL1Settings()
    assert (
        settings.tau,
        settings.lambda_,
        settings.theta,
        settings.scales,
        settings.warps,
        settings.epsilon,
        settings.inner_iterations,
        settings.outer_iterations,
        settings.scale_step,
        settings.gamma,
        settings.median_filtering,
    ) == (
        engine.getTau(),
        engine.getLambda(),
        engine.getTheta(),
        engine.getScalesNumber(),
        engine.getWarpingsNumber(),
        engine.getEpsilon(),
        engine.getInnerIterations(),
        engine.getOuterIterations(),
        engine.getScaleStep(),
        engine.getGamma(),
        engine.getMedianFiltering(),
    )


@pytest.mark.parametrize(
    ("setting", "value", "cause"),
    [
        ("tau", 0, "tau: must be a finite number above 0, not 0"),
        ("lambda_", -1.0, "lambda_: must be a finite number above 0, not -1.0"),
        ("theta", float("inf"), "theta: must be a finite number above 0, not inf"),
        ("epsilon", float("nan"), "epsilon: must be a finite number of at least 0, not nan"),
        ("epsilon", -0.01, "epsilon: must be a finite number of at least 0, not -0.01"),
        ("scales", 0, "scales: must be a finite number above 0, not 0"),
        ("scales", 2.5, "scales: must be a whole number, not 2.5"),
        ("warps", True, "warps: must be a whole number, not True"),
        ("tau", "0.25", "tau: must be a number, not '0.25'"),
        ("scale_step", 1.0, "scale_step: must be below 1, not 1.0"),
        ("median_filtering", 7, "median_filtering: 7 is none of 1, 3, 5"),
    ],
)
def test_a_setting_out_of_range_is_named(setting: str, value: object, cause: str) -> None:
    with pytest.raises(UsageError) as error:
        TVL1Settings(**{setting: value})
    assert str(error.value) == cause


@pytest.mark.parametrize("name", list(FlowName))
@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 8, 8), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 8), np.uint8),
        np.zeros((2, 0, 8), np.uint8),
    ],
    ids=lambda frames: f"{frames.dtype}-{frames.shape}",
)
def test_what_is_no_frames_is_refused(name: FlowName, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frames must be uint8"):
        open_flow(name)(frames)


def test_frames_are_accepted() -> None:
    check_frames(np.zeros((1, 1, 1), np.uint8))


@pytest.mark.parametrize(
    ("size", "settings", "sizes"),
    [
        ((256, 340), TVL1Settings(), [(256, 340), (205, 272), (164, 218), (131, 174), (105, 139)]),
        ((20, 400), TVL1Settings(), [(20, 400), (16, 320)]),
        ((19, 400), TVL1Settings(), [(19, 400)]),
        ((1, 1), TVL1Settings(scale_step=0.1), [(1, 1)]),
        # Halves go to the even neighbour.
        ((33, 35), TVL1Settings(scale_step=0.5), [(33, 35), (16, 18)]),
        ((99, 99), TVL1Settings(scales=1), [(99, 99)]),
    ],
)
def test_pyramid_ends_before_a_side_below_16(
    size: tuple[int, int], settings: TVL1Settings, sizes: list[tuple[int, int]]
) -> None:
    assert pyramid_sizes(size, settings) == sizes


@given(arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * 2, st.just(3))))
def test_grey_is_opencvs(image: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2")
    np.testing.assert_array_equal(grey(image), cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def test_grey_keeps_the_shape_before_the_colours() -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    assert grey(image).shape == (2, 4, 6)
    np.testing.assert_array_equal(grey(image)[1], grey(image[1]))


def test_flow_is_clipped_and_scaled() -> None:
    flow = np.array([-1000, -20, -5, 0, 10, 20, 20.5], np.float32)
    scaled = scale_flow(flow)
    np.testing.assert_allclose(scaled, [-1, -1, -0.25, 0, 0.5, 1, 1])
    assert scaled.dtype == np.float32


@given(
    st.dictionaries(
        st.sampled_from(["tau", "scales", "epsilon", "gamma", "median_filtering", "scale_step"]),
        st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=3), st.booleans()),
    )
)
def test_settings_are_made_or_refused(values: dict[str, object]) -> None:
    with contextlib.suppress(DuetalError):
        TVL1Settings(**values)
