"""The page's rule for proposals against the package's own."""

from importlib.resources import files

import numpy as np
import pytest

from duetal.core.grid import TimeGrid
from duetal.localization.proposals import find_intervals, highest_inside, stretch

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SOURCE = (files("duetal.report") / "assets" / "proposals.js").read_text("utf-8")


@pytest.fixture(scope="module")
def run(browser):
    """Call a function of the script: `run("findIntervals(curve, threshold)", curve=…)`."""
    page = browser.new_page()

    def call(expression, **values):
        names = ", ".join(values)
        body = f"({{{names}}}) => {{ {SOURCE}\n const curve = Float32Array.from(levels, "
        return page.evaluate(f"{body}(level) => level / 255); return {expression}; }}", values)

    yield call
    page.close()


def random_curves():
    random = np.random.default_rng(0)
    for length in (0, 1, 2, 3, 50, 400):
        smooth = np.convolve(random.normal(0, 1, length + 8), np.ones(9) / 9, "valid")
        yield np.rint(255 * np.clip(0.5 + smooth, 0, 1)).astype(int)
    yield np.full(20, 127)
    yield np.array([0, 255] * 10)


def decoded(levels):
    """The curve as the page has it: single precision, as `Float32Array` makes it."""
    return (np.asarray(levels) / 255).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("threshold", [0.0, 0.31, 0.5, 51 / 255, 0.99, 1.0])
def test_runs_above_a_threshold_are_the_same(run, threshold):
    for levels in random_curves():
        found = run("findIntervals(curve, threshold)", levels=levels.tolist(), threshold=threshold)
        first, stop = find_intervals(decoded(levels), [threshold])
        assert found == np.column_stack([first, stop]).tolist()


def test_stretching_is_the_same_and_leaves_flat_curves_whole(run):
    for levels in random_curves():
        if len(levels):
            drawn = run("Array.from(stretch(curve))", levels=levels.tolist())
            np.testing.assert_allclose(drawn, stretch(decoded(levels)), atol=1e-6)


def test_proposals_have_the_same_seconds_and_scores(run):
    grid = TimeGrid(fps=30.0, stride=8, window=16)
    for levels in random_curves():
        duration = max(0.1, float(grid.start(np.array(len(levels) - 3))))
        timing = {"pool": 1, "snippets": len(levels), "duration": duration}
        timing["grid"] = {"fps": 30, "stride": 8, "window": 16}
        found = run("proposalsOf(curve, curve, 0.4, timing)", levels=levels.tolist(), timing=timing)
        curve = decoded(levels)
        first, stop = find_intervals(curve, [0.4])
        begun = grid.start(first) < duration
        expected = zip(
            grid.start(first)[begun],
            np.minimum(grid.start(stop), duration)[begun],
            highest_inside(curve, first, stop)[begun],
            strict=True,
        )
        got = [(each["start"], each["end"], each["score"]) for each in found]
        np.testing.assert_allclose(got or np.empty((0, 3)), np.reshape(list(expected), (-1, 3)))


def test_joined_snippets_end_with_the_curve(run):
    timing = {"pool": 4, "snippets": 10, "duration": None}
    timing["grid"] = {"fps": 25, "stride": 16, "window": 16}
    (found,) = run("proposalsOf(curve, curve, 0.5, timing)", levels=[0, 255, 255], timing=timing)
    assert (found["start"], found["end"]) == pytest.approx((2.56, 6.4))
