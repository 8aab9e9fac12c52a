"""The example that measures what the order of what to look at next is worth, on made-up data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.mark.recipe
def test_a_row_for_each_round_of_each_order(
    sensors: Path,
    tmp_path: Path,
    tiny_settings: tuple[str, ...],
    load_example: Any,
    run_example: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    example = load_example("simulated_annotator")
    words = [sensors, "--recipe", "hapt", *tiny_settings, "--minutes", "1"]
    result = run_example(example.main, *words, "--seeds", "0,1", "--out", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    table = result.stdout.partition("\norder ")[2].splitlines()
    rows = [line.split() for line in table if line.startswith(example.ORDERS)]
    # The work ends with the look that passes a minute: a window takes 13 s, and its segment 20.
    assert [(row[0], float(row[1]) > 0.9) for row in rows] == [
        (order, has_worked) for order in example.ORDERS for has_worked in (False, True)
    ]
    tables = {p.parts[-3]: p.read_text() for p in (tmp_path / "out/seed-0").glob("*/*/labels.csv")}
    assert {*tables} == {"labels", "next-1", "random-1", "videos-1"}
    assert tables["labels"].count("\n") == 1 + 24, "each class is there or not"
    # A window is looked through for its class, or for all.
    assert "complete" not in tables["next-1"]
    assert tables["videos-1"].count("complete") == 2
    for name in ("next-1", "random-1", "videos-1"):
        assert ",6.4,19.2,present" in tables[name]
        assert tables[name] != (tmp_path / f"out/seed-1/{name}/dataset/labels.csv").read_text()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(0.4, 0.0), (0.5, 0.0), (0.55, 30.0), (0.6, 60.0), (0.62, 80.0), (0.65, np.inf)],
)
def test_when_a_score_is_reached(
    load_example: Any, monkeypatch: pytest.MonkeyPatch, wanted: float, expected: float
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    reached = load_example("simulated_annotator").reached
    found = reached(np.array([0, 60, 70, 90]), np.array([0.5, 0.6, 0.6, 0.64]), wanted)
    assert found == pytest.approx(expected)
