"""The tables at the end of a training run."""

from pathlib import Path

import pytest
from made_up_runs import FakeRun, write_seeds

from duetal.cli.score_tables import print_labels, print_run, print_seeds
from duetal.results.schema import LabelEvaluation, LabelScores, SeedSummary


def row(text: str, title: str) -> list[str]:
    """The cells of a stage in all tables."""
    lines = [line for line in text.splitlines() if line.startswith(title)]
    return " ".join(line.removeprefix(title) for line in lines).split()


def test_a_run_is_a_row_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = FakeRun(videos=1).evaluation()
    print_run(evaluation)
    text = capsys.readouterr().out
    for stage in evaluation.stages:
        values = [*stage.mean_ap, *stage.averages.values()]
        assert row(text, stage.title) == [f"{100 * value:.1f}" for value in values]
    assert "1 videos, 3,311 segments" in text
    assert "checkpoint: last checkpoint; no test data was used" in text


def test_seeds_are_a_mean_and_a_standard_deviation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = SeedSummary.read(write_seeds(tmp_path, (0, 1), videos=1) / "summary.json")
    print_seeds(summary)
    text = capsys.readouterr().out
    last = summary.stages[-1]
    spreads = [*last.spreads, *last.averages.values()]
    expected = [f"{100 * s.mean:.1f} ± {100 * (s.std or 0.0):.1f}" for s in spreads]
    assert " ".join(row(text, "Ensemble")) == " ".join(expected)
    assert "over the seeds 0, 1" in text


def test_labels_are_a_row_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    stage = LabelScores(
        stage="cbp-warmup",
        title="CBP after warm-up",
        branch="cbp",
        per_class={"A": 0.5, "B": 1.0},
        first_right=0.25,
    )
    videos = ["v1", "v2"]
    print_labels(LabelEvaluation(selection="last", videos=videos, chance=0.6, stages=[stage]))
    text = capsys.readouterr().out
    assert row(text, "CBP after warm-up") == ["75.0", "25.0"]
    assert "a random order has 60.0" in text
