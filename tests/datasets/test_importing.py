"""Public features on stated grids: kept, put on another by seconds, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.datasets import open_dataset
from duetal.datasets.importing import Published, import_features, regridded

Duetal = Callable[..., tuple[int, str, str]]

ACTIONFORMER = TimeGrid(30.0, 4, 16)
OURS = TimeGrid()
SECONDS = 60.0


def clock(grid: TimeGrid, seconds: float = SECONDS, channels: int = 4) -> np.ndarray:
    """Features that tell the time: every channel is the second of the row's centre."""
    centres = grid.centre(np.arange(grid.length(seconds)))
    return np.repeat(centres[:, None], channels, axis=1).astype(np.float32)


def folder(path: Path, **arrays: np.ndarray) -> Path:
    path.mkdir()
    for name, values in arrays.items():
        np.save(path / f"{name}.npy", values)
    return path


def even(rows: int) -> np.ndarray:
    return np.repeat(((np.arange(rows) + 0.5) * SECONDS / rows)[:, None], 4, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("grid", "values", "exact"),
    [
        (ACTIONFORMER, clock(ACTIONFORMER), 0.1),
        (TimeGrid(30.0, 16, 16), clock(TimeGrid(30.0, 16, 16)), 0.25),
        (TimeGrid(25.0, 64, 64), clock(TimeGrid(25.0, 64, 64)), 1.7),
        (None, even(100), 0.35),
        (None, even(1000), 0.1),
    ],
)
def test_rows_are_put_where_they_are_in_time(
    tmp_path: Path, grid: TimeGrid | None, values: np.ndarray, exact: float
) -> None:
    cbp = folder(tmp_path / "cbp", a=clock(OURS), b=clock(OURS))
    vlp = folder(tmp_path / "vlp", a=values, c=values)
    sources = [Published("cbp", cbp, OURS), Published("vlp", vlp, grid)]
    done = import_features(tmp_path / "out", sources, durations={"a": SECONDS}, text_encoder="x/y")
    assert (done.grid, done.videos, done.moved, done.missing) == (OURS, 1, ("vlp",), ("b", "c"))
    opened = open_dataset(tmp_path / "out")
    assert (opened.grid, opened.text_encoder, opened.length("a")) == (OURS, "x/y", 93)
    wanted = OURS.centre(np.arange(93))[:, None]
    np.testing.assert_allclose(opened.streams["cbp"].read("a"), wanted.repeat(4, 1), atol=0.02)
    np.testing.assert_allclose(opened.streams["vlp"].read("a"), wanted.repeat(4, 1), atol=exact)


def test_the_pair_of_stale(tmp_path: Path) -> None:
    """Any number of rows evenly over a video, with a prefix that the annotations lack."""
    cbp = folder(tmp_path / "cbp", v_a=even(57), v_b=even(333))
    vlp = folder(tmp_path / "vlp", v_a=clock(TimeGrid(10.0, 1, 1)), v_b=even(600))
    for grid in (None, TimeGrid(10.0, 1, 1)):
        out = tmp_path / f"out-{grid is None}"
        sources = [Published("cbp", cbp, None), Published("vlp", vlp, grid)]
        done = import_features(out, sources, OURS, {"a": SECONDS, "b": SECONDS})
        assert (done.videos, done.missing) == (2, ())
        assert done.renamed[0] == "cbp: the prefix 'v_' taken off: 'v_a' is 'a'"
        opened = open_dataset(out)
        wanted = OURS.centre(np.arange(93))[:, None].repeat(4, 1)
        for branch, name in (("cbp", "a"), ("cbp", "b"), ("vlp", "a"), ("vlp", "b")):
            np.testing.assert_allclose(opened.streams[branch].read(name), wanted, atol=0.6)


def test_denser_rows_are_averaged() -> None:
    values = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    centres = (np.arange(400) + 0.5) * 0.1
    grid = TimeGrid(10.0, 10, 10)
    found = regridded(values, centres, grid, 40)
    np.testing.assert_allclose(found, values.reshape(40, 10, 2).mean(axis=1), atol=1e-5)


def test_video_features_are_joined_and_their_rate_is_checked(tmp_path: Path) -> None:
    rgb, flow = clock(OURS), -clock(OURS)
    arrays = {"a_rgb": rgb, "a_flow": flow, "a_fps": np.array(25.0), "a_timestamps_ms": rgb[:, 0]}
    place = folder(tmp_path / "cbp", **arrays)
    import_features(tmp_path / "out", [Published("cbp", place, OURS)])
    found = open_dataset(tmp_path / "out").streams["cbp"].read("a")
    np.testing.assert_allclose(found, np.hstack([rgb, flow]), atol=0.02)
    with pytest.raises(DuetalError, match="made at 25 frames a second, stated are 30"):
        import_features(tmp_path / "b", [Published("cbp", place, ACTIONFORMER)])


def test_crops_in_one_array_or_in_ten_files_are_averaged(tmp_path: Path) -> None:
    crops = np.random.default_rng(0).normal(size=(93, 10, 3)).astype(np.float32)
    rtfm = folder(tmp_path / "rtfm", a_i3d=crops)
    vadclip = folder(tmp_path / "vadclip", **{f"a__{k}": crops[:, k] for k in range(10)})
    sources = [Published("cbp", rtfm, OURS, "i3d")]
    import_features(tmp_path / "one", sources)
    import_features(tmp_path / "two", [Published("cbp", vadclip, OURS)])
    for out in ("one", "two"):
        found = open_dataset(tmp_path / out).streams["cbp"].read("a")
        np.testing.assert_allclose(found, crops.mean(axis=1), atol=2e-3)


@pytest.mark.parametrize(
    ("grids", "durations", "error", "reason"),
    [
        ((ACTIONFORMER, OURS), {}, DuetalError,
         r"the stated grids its features last 12\.\d s and 59\.\d s: one of the grids is another"),
        ((ACTIONFORMER, OURS), {"a": SECONDS}, DuetalError,
         "93 rows in 60.0 s, and the stated grid of 30/4/16 has 447"),
        ((None, None), {"a": SECONDS}, UsageError, "have no grid of their own; name one"),
        ((OURS, None), {}, DuetalError, "need its duration: --annotations"),
    ],
)  # fmt: skip
def test_a_wrong_grid_is_refused(
    tmp_path: Path, grids: Any, durations: dict[str, float], error: type, reason: str
) -> None:
    places = [folder(tmp_path / name, a=clock(OURS)) for name in ("cbp", "vlp")]
    sources = [Published(p.name, p, grid) for p, grid in zip(places, grids, strict=True)]
    with pytest.raises(error, match=reason):
        import_features(tmp_path / "out", sources, durations=durations)
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path, duetal: Duetal) -> None:
    place = folder(tmp_path / "af", a=clock(ACTIONFORMER))
    words = ("import-features", "--out", tmp_path / "out", "--cbp", place)
    code, out, _ = duetal(*words, "--cbp-grid", "30/4/16", "--grid", "25/16/16")
    assert code == 0
    assert "1 videos, a row every 0.64 s" in out
    assert "the cbp features were put on another grid" in out
    for more, reason in (
        ((), "--cbp-grid: must state the grid of the cbp features"),
        (("--cbp-grid", "30/4"), "not a grid: '30/4'; one is FPS/STRIDE/WINDOW"),
        (("--cbp-grid", "0/4/16"), "not a grid"),
        (("--cbp-grid", "30/4/16"), "is there already; import into another folder"),
    ):
        code, _, err = duetal(*words, *more)
        assert (code, reason in err, err.count("\n")) == (2, True, 1)
