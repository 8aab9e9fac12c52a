"""Runs of several seeds: which folders, and the mean over them."""

import json
import statistics
from pathlib import Path

import pytest

from duetal.config import load_config
from duetal.core.errors import DuetalError, UsageError
from duetal.results.folder import RunFolder
from duetal.results.schema import RunEvaluation, StageScores
from duetal.runs.run import begin
from duetal.runs.seeds import parse_seeds, plan_seeds, summarize_seeds

CONFIG = load_config("", "test", ["dataset=data", "cbp.embed_dim=16", "seed=4"])


@pytest.mark.parametrize(
    ("text", "seeds"), [("0", [0]), ("0,1,2", [0, 1, 2]), ("3, 1", [3, 1]), ("007", [7])]
)
def test_seeds_are_numbers(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", ",", "1,", "-1", "1.5", "a", "1,1", "0,00", "²"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds: "):
        parse_seeds(text)


def test_one_seed_is_the_settings_own(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert plan_seeds(folder, CONFIG, None, resume=False) == {4: (folder, CONFIG)}


def test_each_seed_has_a_folder(tmp_path: Path) -> None:
    plan = plan_seeds(RunFolder(tmp_path), CONFIG, [2, 0], resume=False)
    assert list(plan) == [2, 0]
    folder, config = plan[2]
    assert folder.path == tmp_path / "seed-2"
    assert config == CONFIG.replace(seed=2)


def test_seeds_can_be_added_by_resuming_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for seed in (0, 1):
        begin(folder.of_seed(seed), CONFIG.replace(seed=seed))
    assert list(plan_seeds(folder, CONFIG, [0, 1, 2], resume=True)) == [0, 1, 2]
    assert list(plan_seeds(folder, CONFIG, [5], resume=True)) == [5]
    with pytest.raises(DuetalError, match="seed-0: holds a run already"):
        plan_seeds(folder, CONFIG, [5], resume=False)
    other = CONFIG.replace(crop=64)
    with pytest.raises(UsageError, match="crop: 64, not 1000"):
        plan_seeds(folder, other, [5], resume=True)


def test_a_run_of_one_seed_is_not_one_of_several(tmp_path: Path) -> None:
    begin(RunFolder(tmp_path), CONFIG)
    with pytest.raises(DuetalError, match="holds a run of one seed"):
        plan_seeds(RunFolder(tmp_path), CONFIG, [0], resume=True)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DuetalError, match="holds no run"):
        plan_seeds(RunFolder(tmp_path), CONFIG, [0], resume=True)


def evaluation(value: float) -> RunEvaluation:
    first = StageScores(
        stage="cbp-warmup",
        title="CBP after warm-up",
        branch="cbp",
        protocol="seconds",
        tiou=(0.1, 0.2),
        mean_ap=(value, value / 2),
        averages={"0.1:0.2": value * 0.75},
    )
    names = {"stage": "ensemble", "title": "Ensemble", "branch": "ensemble"}
    last = first.model_copy(update={**names, "mean_ap": (0.5, 0.5)})
    return RunEvaluation(protocol="seconds", selection="the last", stages=[first, last])


def test_the_summary_is_mean_and_sample_std(tmp_path: Path) -> None:
    values = {0: 0.2, 2: 0.5, 1: 0.8}
    found = {seed: evaluation(value) for seed, value in values.items()}
    summary = summarize_seeds(RunFolder(tmp_path), found)
    stored = json.loads((tmp_path / "summary.json").read_text())
    assert stored == summary.to_json()
    assert (stored["seeds"], stored["selection"], stored["protocol"]) == (
        [0, 2, 1],
        "the last",
        "seconds",
    )
    first, last = stored["stages"]
    assert (first["stage"], first["title"]) == ("cbp-warmup", "CBP after warm-up")
    assert first["mAP_mean"] == pytest.approx([0.5, 0.25])
    assert first["mAP_std"] == pytest.approx([0.3, 0.15])
    deviation = statistics.stdev(0.75 * value for value in values.values())
    assert first["averages"]["0.1:0.2"] == pytest.approx({"mean": 0.375, "std": deviation})
    assert last["mAP_std"] == [0.0, 0.0]


def test_a_single_seed_has_no_deviation(tmp_path: Path) -> None:
    summarize_seeds(RunFolder(tmp_path), {3: evaluation(0.5)})
    stored = json.loads((tmp_path / "summary.json").read_text())
    assert stored["stages"][0]["mAP_std"] == [None, None]
