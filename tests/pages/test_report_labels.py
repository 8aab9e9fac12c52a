"""The page of a run whose held-out videos have labels alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.core.errors import DuetalError
from duetal.pages import render_report
from duetal.pages.scores import label_table
from duetal.results.reading import read_run
from duetal.results.schema import LabelEvaluation, LabelScores, RunEvaluation, StageScores

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write the file of labels into a run's folder, or a seed's."""

    def write(*shares: float, seed: str = "", **more: object) -> Path:
        folder = tmp_path / "run" / seed
        folder.mkdir(parents=True, exist_ok=True)
        names = (("cbp-warmup", "CBP after warm-up", "cbp"), ("ensemble", "Ensemble", "ensemble"))
        stages = [
            LabelScores(
                stage=name, title=title, branch=branch, per_class={"A": share},
                first_right=share / 2,
            )
            for (name, title, branch), share in zip(names, shares, strict=True)
        ]  # fmt: skip
        found = LabelEvaluation(
            selection="last", videos=["v6", "v7"], chance=0.75, stages=stages
        ).to_json()
        (folder / "label_evaluation.json").write_text(json.dumps(found | more))
        return tmp_path / "run"

    return write


def test_the_table_has_a_row_for_each_stage_and_no_best_one(make: Make) -> None:
    table = label_table(read_run(make(0.5, 0.9)))
    assert table is not None
    assert (table.videos, table.chance) == (2, 75.0)
    rows = [(row.title, row.branch, *row.scores.values()) for row in table.rows]
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
    score = table.rows[0].scores["mean_ap"]
    assert score is not None
    assert (score.mean, score.spread) == (pytest.approx(60.0), pytest.approx(200**0.5))


def test_the_page_shows_how_well_labels_are_ranked(make: Make) -> None:
    run = make(0.5, 0.9)
    page = " ".join(render_report(run).split())
    assert "Ensemble ranks the 2 held-out videos by their labels with <strong>90.0 %" in page
    assert "a random order has 75.0 %" in page
    assert "Not evaluated yet" not in page
    assert read_run(run).notices == []


def test_an_evaluation_with_segments_is_shown_instead(make: Make) -> None:
    run = make(0.5, 0.9)
    stage = StageScores(
        stage="cbp-warmup", title="CBP after warm-up", branch="cbp", tiou=(0.5,), mean_ap=(0.2,)
    )
    RunEvaluation(protocol="p", stages=[stage]).write(run / "evaluation.json")
    assert label_table(read_run(run)) is None
    assert "held-out videos" not in render_report(run)


@pytest.mark.parametrize("wrong", [{"stages": 3}, {"chance": "high"}, {"videos": [1]}])
def test_a_damaged_file_is_one_line(make: Make, wrong: dict[str, object]) -> None:
    with pytest.raises(DuetalError, match=r"label_evaluation\.json: "):
        read_run(make(0.5, 0.9, **wrong))
