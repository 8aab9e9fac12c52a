"""The example that trains a backbone, with few videos and epochs."""

from pathlib import Path
from typing import Any

import pytest

from duetal.datasets import open_dataset
from duetal.results.folder import RunFolder
from duetal.runs.run import read_config

QUICK = ("warmup_epochs=1", "alternations=1", "cbp.embed_dim=16")


@pytest.mark.recipe
def test_it_prints_a_row_for_each_way_and_goes_on_where_it_was_stopped(
    tmp_path: Path, load_example: Any, run_example: Any
) -> None:
    example = load_example("end_to_end")
    assert list(example.ROWS) == ["frozen", "last block", "adapters", "all"]
    # tests/end_to_end trains the others.
    for title in ("last block", "all"):
        del example.ROWS[title]
    words = ("--out", tmp_path / "out", "--per-class", "3", "--seeds", "0,1", *QUICK)
    process = run_example(example.main, *words, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    table = process.stdout.partition("backbone  ")[2]
    rows = {line[:20].strip(): line[20:].split() for line in table.splitlines() if "±" in line}
    assert "label-only chance" in table
    # mean ± std, and those of the gain on the frozen backbone.
    assert len(rows["frozen"]) == 3
    assert len(rows["adapters"]) == 6
    assert "8 training and 4 test videos" in table
    dataset = open_dataset(tmp_path / "out" / "store")
    assert {name.split("-")[0].capitalize() for name in dataset.training} == set(example.CLASSES)
    for title, row in example.ROWS.items():
        folder = RunFolder(tmp_path / "out" / title.replace(" ", "-") / "seed-1")
        assert (read_config(folder).backbone.train is None) == (row == ())
    again = run_example(example.main, *words, cwd=tmp_path)
    assert "was trained already" in again.stdout
    assert again.stdout.partition("backbone  ")[2].startswith(table[:200])


def test_its_actions_follow_each_other(load_example: Any) -> None:
    example = load_example("end_to_end")
    rng = example.np.random.default_rng(1)
    for _ in range(20):
        actions = list(example.place_actions("Diving", rng))
        assert sum(action.label == "Diving" for action in actions) in (1, 2, 3)
        ends = [0.0, *(action.end for action in actions)]
        assert all(end <= action.start for end, action in zip(ends, actions, strict=False))
        assert ends[-1] <= example.SECONDS
