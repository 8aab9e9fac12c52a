import json

import pytest

from duetal.pages.scores import (
    class_rows,
    pseudo_label_diagnostics,
    score_table,
    stage_diagnostics,
)
from duetal.results.folder import RunFolder
from duetal.results.reading import read_run
from duetal.results.schema import (
    Diagnostics,
    PseudoLabelScores,
    RunEvaluation,
    SeedSummary,
    SnippetScores,
    StageScores,
)


def write_evaluation(path, stages, diagnostics=None):
    path.mkdir(exist_ok=True)
    evaluation = RunEvaluation(protocol="p", selection="s", stages=stages, diagnostics=diagnostics)
    evaluation.write(RunFolder(path).evaluation_file)
    return path


def stage(name, mean_ap, tiou=(0.1, 0.5), **more):
    branch = name.partition("-")[0]
    return StageScores(stage=name, title=name, branch=branch, tiou=tiou, mean_ap=mean_ap, **more)


def test_the_best_of_each_column_is_marked_ties_included(tmp_path):
    stages = [stage("cbp-warmup", [0.5, 0.25]), stage("vlp-zeroshot", [0.5, 0.1])]
    table = score_table(read_run(write_evaluation(tmp_path / "run", stages)))
    marks = {row.stage: [score.best for score in row.scores.values()] for row in table.rows}
    assert marks == {"cbp-warmup": [True, True], "vlp-zeroshot": [True, False]}
    assert [row.scores["0.1"].mean for row in table.rows] == [50.0, 50.0]


def test_a_single_stage_is_not_called_best(tmp_path):
    run = read_run(write_evaluation(tmp_path / "run", [stage("cbp-warmup", [0.5, 0.2])]))
    assert not score_table(run).rows[0].scores["0.1"].best


@pytest.mark.parametrize(
    ("averages", "headline"),
    [
        ({"0.1:0.5": 0.4, "0.1:0.7": 0.3, "0.3:0.7": 0.2}, "0.1:0.7"),
        ({"all": 0.3}, "all"),
        ({}, "0.1"),
    ],
)
def test_the_headline_is_the_widest_average(tmp_path, averages, headline):
    stages = [stage("cbp-warmup", [0.5, 0.25], averages=averages)]
    table = score_table(read_run(write_evaluation(tmp_path / "run", stages)))
    assert table.headline == headline


def test_stages_measured_at_different_thresholds_leave_holes(tmp_path):
    stages = [stage("a", [0.5, 0.25]), stage("b", [0.75], tiou=[0.5])]
    rows = score_table(read_run(write_evaluation(tmp_path / "run", stages))).rows
    assert rows[1].scores["0.1"] is None
    assert rows[1].scores["0.5"].mean == 75.0


def test_a_run_of_several_seeds_shows_the_summary(fake_seeds):
    folder = fake_seeds(videos=2)
    summary = json.loads((folder / "summary.json").read_text())["stages"][-1]
    score = score_table(read_run(folder)).rows[-1].scores["0.1:0.7"]
    assert score.mean == pytest.approx(100 * summary["averages"]["0.1:0.7"]["mean"])
    assert score.spread == pytest.approx(100 * summary["averages"]["0.1:0.7"]["std"])


def test_a_summary_of_a_single_seed_has_no_standard_deviation(fake_seeds):
    folder = fake_seeds(videos=1, seeds=(0,))
    summary = SeedSummary.read(folder / "summary.json").stages[-1]
    scores = score_table(read_run(folder)).rows[-1].scores
    assert scores["0.1:0.7"].mean == pytest.approx(100 * summary.averages["0.1:0.7"].mean)
    assert [score.spread for score in scores.values()] == [None] * 10


def test_no_evaluation_gives_no_table(fake_run):
    folder = fake_run(videos=1)
    (folder / "evaluation.json").write_text('{"protocol": "p", "stages": []}')
    assert score_table(read_run(folder)) is None


def test_counts_name_what_was_dropped_and_why(fake_run):
    counts = score_table(read_run(fake_run(videos=3))).counts
    assert counts == (
        "3 videos, 3,311 segments, 12,345 predictions (Ensemble); dropped: 3 in unlisted videos"
    )


def test_class_rows_show_first_and_last_of_each_branch_best_class_first(fake_run):
    run = read_run(fake_run(videos=1))
    rows = class_rows(run, score_table(run))
    stages = [row.stage for row, _ in rows[0].points]
    assert stages == ["cbp-warmup", "vlp-zeroshot", "vlp-b2", "cbp-f2", "ensemble"]
    final = [row.points[-1][1] for row in rows]
    assert final == sorted(final, reverse=True)
    evaluation = run.seeds[0].evaluation.stages[-1]
    expected = 100 * sum(evaluation.per_class[rows[0].name]) / 7
    assert final[0] == pytest.approx(expected)


def test_diagnostics_follow_the_order_of_training_and_average_over_seeds(fake_seeds):
    folder = fake_seeds(videos=1)
    for seed, precision in enumerate((0.1, 0.2, 0.3)):
        diagnostics = Diagnostics(
            stages={
                "ensemble": SnippetScores(precision=0.5, recall=0.5),
                "cbp-warmup": SnippetScores(precision=precision, recall=0.5, f1=0.5),
            },
            pseudo_labels={"B1": PseudoLabelScores(background_precision=0.9)},
        )
        stages = [stage("cbp-warmup", [0.5, 0.2]), stage("ensemble", [0.5, 0.2])]
        write_evaluation(folder / f"seed-{seed}", stages, diagnostics)
    run = read_run(folder)
    first, second = stage_diagnostics(run)
    assert (first.stage, second.stage) == ("cbp-warmup", "ensemble")
    assert first.scores["precision"].mean == pytest.approx(20)
    assert first.scores["precision"].spread == pytest.approx(10)
    assert second.scores["f1"] is None
    (labels,) = pseudo_label_diagnostics(run)
    assert labels.branch == "cbp"
    assert labels.scores["background_precision"].mean == pytest.approx(90)
    assert labels.scores["foreground_recall"] is None


def test_diagnostics_may_be_absent(fake_run):
    folder = fake_run(videos=1)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    del evaluation["diagnostics"]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    run = read_run(folder)
    assert stage_diagnostics(run) == pseudo_label_diagnostics(run) == []
