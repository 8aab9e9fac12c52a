"""The page of a run whose held-out videos have labels alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.core.errors import DuetalError
from duetal.report import render_report
from duetal.report.scores import label_table
from duetal.results.reading import read_run

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write the file of labels into a run's folder, or a seed's."""

    def write(*shares: float, seed: str = "", **more: object) -> Path:
        folder = tmp_path / "run" / seed
        folder.mkdir(parents=True, exist_ok=True)
        stages = [
            {"stage": name, "mAP": share, "first_right": share / 2}
            for name, share in zip(("cbp-warmup", "ensemble"), shares, strict=True)
        ]
        value = {"selection": "last", "videos": ["v6", "v7"], "chance": 0.75, "stages": stages}
        (folder / "label_evaluation.json").write_text(json.dumps(value | more))
        (folder / "model.json").write_text('{"selection": "last"}')
        return tmp_path / "run"

    return write


def test_the_table_has_a_row_for_each_stage_and_no_best_one(make: Make) -> None:
    table = label_table(read_run(make(0.5, 0.9)))
    assert table is not None
    assert (table.videos, table.chance) == (2, 75.0)
    rows = [(row.title, row.branch, row.mean_ap, row.first_right) for row in table.rows]
    assert [(title, branch) for title, branch, *_ in rows] == [
        ("CBP after warm-up", "cbp"),
        ("Ensemble", "ensemble"),
    ]
    assert [ap.mean for _, _, ap, _ in rows if ap] == [50.0, 90.0]
    assert [first.mean for *_, first in rows if first] == [25.0, 45.0]


def test_seeds_are_averaged(make: Make) -> None:
    make(0.5, 0.9, seed="seed-0")
    table = label_table(read_run(make(0.7, 0.9, seed="seed-1")))
    assert table is not None
    score = table.rows[0].mean_ap
    assert score is not None
    assert (score.mean, score.spread) == (pytest.approx(60.0), pytest.approx(200**0.5))


def test_the_page_says_what_labels_can_tell(make: Make) -> None:
    run = make(0.5, 0.9)
    page = " ".join(render_report(run).split())
    assert "Ensemble ranks the 2 held-out videos by their labels with <strong>90.0 %" in page
    assert "a random order has 75.0 %" in page
    assert "Not evaluated yet" not in page
    assert read_run(run).notices == []


def test_segments_tell_more_than_labels(make: Make) -> None:
    run = make(0.5, 0.9)
    stage = {"stage": "cbp-warmup", "tiou": [0.5], "mAP": [0.2]}
    (run / "evaluation.json").write_text(json.dumps({"protocol": "p", "stages": [stage]}))
    assert label_table(read_run(run)) is None
    assert "held-out videos" not in render_report(run)


@pytest.mark.parametrize("wrong", [{"stages": 3}, {"chance": "high"}, {"videos": [1]}])
def test_a_damaged_file_is_one_line(make: Make, wrong: dict[str, object]) -> None:
    with pytest.raises(DuetalError, match=r"label_evaluation\.json: "):
        read_run(make(0.5, 0.9, **wrong))
