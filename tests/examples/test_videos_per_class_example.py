"""The example that measures how many videos are enough, on a made-up sensor dataset."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.recipe
def test_a_row_for_each_number_of_videos(
    sensors: Path,
    tmp_path: Path,
    tiny_settings: tuple[str, ...],
    load_example: Any,
    run_example: Any,
) -> None:
    words = [sensors, *tiny_settings, "--counts", "2", "--seeds", "0,1", "--out", "out"]
    result = run_example(load_example("videos_per_class").main, *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    few = next(row for row in rows if row[:3] == ["2", "a", "class"])
    every = next(row for row in rows if row[:1] == ["all"])
    # Two of each class at the least, and every video there is, of which each class has six.
    assert 4 <= int(few[3]) < 12
    assert int(few[4]) >= 2
    assert every[1:3] == ["12", "6"]
    assert every[-1] == "100%"
    tables = sorted((tmp_path / "out").glob("2-a-class/seed-*/dataset/weak_train.tsv"))
    drawn = [path.read_text() for path in tables]
    assert len(drawn) == 2
    assert drawn[0] != drawn[1], "each seed draws its own videos"
