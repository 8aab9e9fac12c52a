"""The example that measures what points and segments are worth, on a made-up data set."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.recipe
def test_a_row_for_each_share_of_points_and_segments(
    sensors: Path,
    tmp_path: Path,
    tiny_settings: tuple[str, ...],
    load_example: Any,
    run_example: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    words = [sensors, "--recipe", "hapt", *tiny_settings, "--shares", "50", "--seeds", "0,1"]
    example = load_example("label_strength")
    result = run_example(example.main, *words, "--out", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "trained on 12 video labels, 6 points" in result.stdout
    assert "trained on 12 video labels, 6 segments" in result.stdout
    lines = [line for line in result.stdout.splitlines() if " % of the videos" in line]
    # Six labels of 3 s, and six points of 6 s or segments of 20 s.
    assert [line.split()[7] for line in lines] == ["0.01", "0.04"]
    tables = [path.read_text() for path in sorted((tmp_path / "out").glob("points-50/*/*/*.csv"))]
    assert len(tables) == 2
    assert tables[0] != tables[1], "each seed draws its own videos and moments"
