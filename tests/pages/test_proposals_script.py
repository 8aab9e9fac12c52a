"""One table of cases for the rule that makes proposals, in the package and in the page's script."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from duetal.core.grid import TimeGrid
from duetal.localization.proposals import find_intervals, highest_inside, stretch
from duetal.pages.bundle import join_modules

CASES = json.loads((Path(__file__).parent / "proposal_cases.json").read_text())
CURVES = {case["name"]: case for case in CASES["curves"]}
VIDEOS = {case["name"]: case for case in CASES["videos"]}
NODE = shutil.which("node")

#: Runs the script on the table; results have the table's form.
ENTRY = """
import { findIntervals, proposalsOf, stretch } from './proposals.js';

const curveOf = ({ levels }) => Float32Array.from(levels, (level) => level / 255);
const curves = cases.curves.map((each) => ({
  name: each.name,
  stretched: Array.from(stretch(curveOf(each))),
  intervals: Object.fromEntries(Object.keys(each.intervals).map((threshold) =>
    [threshold, findIntervals(curveOf(each), Number(threshold))])),
}));
const videos = cases.videos.map((each) => ({
  name: each.name,
  proposals: proposalsOf(curveOf(each), curveOf(each), each.threshold,
    { pool: 1, snippets: each.levels.length, grid: each.grid, duration: each.duration })
    .map(({ start, end, score }) => [start, end, score]),
}));
const [joined] = proposalsOf(Float32Array.of(0, 1, 1), Float32Array.of(0, 1, 1), 0.5,
  { pool: 4, snippets: 10, grid: { fps: 25, stride: 16, window: 16 }, duration: null });
globalThis.results = { curves, videos, joined };
"""


def decoded(levels):
    """The curve as the page has it: single precision, as `Float32Array` makes it."""
    return (np.asarray(levels) / 255).astype(np.float32).astype(np.float64)


def python_results():
    curves, videos = {}, {}
    for case in CASES["curves"]:
        curve = decoded(case["levels"])
        intervals = {key: find_intervals(curve, [float(key)]) for key in case["intervals"]}
        curves[case["name"]] = {
            "stretched": stretch(curve).tolist() if len(curve) else [],
            "intervals": {key: np.column_stack(found) for key, found in intervals.items()},
        }
    for case in CASES["videos"]:
        curve, grid = decoded(case["levels"]), TimeGrid(**case["grid"])
        first, stop = find_intervals(curve, [case["threshold"]])
        limit = np.inf if case["duration"] is None else case["duration"]
        found = [grid.edge(first), np.minimum(grid.edge(stop), limit)]
        rows = np.column_stack([*found, highest_inside(curve, first, stop)])
        videos[case["name"]] = {"proposals": rows[rows[:, 0] < limit]}
    return {"curves": curves, "videos": videos}


@pytest.fixture(scope="module")
def script_results(request):
    """Run by Node if it is there, else by Chromium."""
    assets = files("duetal.pages") / "assets"
    sources = {name: (assets / f"{name}.js").read_text("utf-8") for name in ("grid", "proposals")}
    entry = ENTRY.replace("const curveOf", f"const cases = {json.dumps(CASES)};\nconst curveOf", 1)
    script = join_modules("entry", {"entry": entry, **sources})
    if NODE:
        show = "\nconsole.log(JSON.stringify(globalThis.results));"
        command = [NODE, "--input-type=commonjs", "-"]
        done = subprocess.run(command, input=script + show, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
    else:
        page = request.getfixturevalue("browser").new_page()
        page.evaluate(script)
        found = page.evaluate("globalThis.results")
        page.close()
    by_name = {key: {each["name"]: each for each in found[key]} for key in ("curves", "videos")}
    return by_name | {"joined": found["joined"]}


@pytest.fixture(params=["python", "script"])
def results(request):
    """Of the whole table, by the names of its cases."""
    if request.param == "python":
        return python_results()
    return request.getfixturevalue("script_results")


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_cut_and_stretched_as_the_table_has_it(results, name):
    case, found = CURVES[name], results["curves"][name]
    for threshold, intervals in case["intervals"].items():
        assert np.array_equal(
            np.reshape(found["intervals"][threshold], (-1, 2)), np.reshape(intervals, (-1, 2))
        ), threshold
    np.testing.assert_allclose(found["stretched"], case.get("stretched", []), atol=1e-6)


@pytest.mark.parametrize("name", VIDEOS)
def test_proposals_have_the_seconds_and_scores_of_the_table(results, name):
    np.testing.assert_allclose(
        np.reshape(results["videos"][name]["proposals"], (-1, 3)),
        np.reshape(VIDEOS[name]["proposals"], (-1, 3)),
        atol=1e-6,
    )


def test_joined_snippets_end_with_the_curve(script_results):
    joined = script_results["joined"]
    assert (joined["start"], joined["end"]) == pytest.approx((2.56, 6.4))
