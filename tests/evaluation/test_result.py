import json
from pathlib import Path
from typing import Any

import pytest

from duetal.core.errors import DuetalError
from duetal.core.records import parse
from duetal.evaluation import Evaluation, summarize
from duetal.evaluation.result import over_seeds

RESULT = Evaluation(
    protocol="seconds",
    subset="test",
    tiou=(0.1, 0.5),
    mean_ap=(0.5, 0.25),
    averages={"0.1:0.5": 0.375},
    per_class={"Diving": (0.5, 0.25)},
    videos=3,
    segments=4,
    predictions=5,
    dropped={"class not in the ground truth": 6},
    notes=("a note",),
)


def test_json_there_and_back() -> None:
    value = json.loads(json.dumps(RESULT.to_json()))
    assert value["mAP"] == [0.5, 0.25]
    assert parse(Evaluation, value, None) == RESULT
    assert parse(Evaluation, value | {"stage": "ensemble"}, None) == RESULT


@pytest.mark.parametrize(
    ("key", "value"),
    [("mAP", None), ("mAP", ["x"]), ("averages", []), ("videos", "many"), ("dropped", [1])],
)
def test_damaged_json_names_file_and_key(key: str, value: object) -> None:
    with pytest.raises(DuetalError, match=rf"^run\.json: {key}"):
        parse(Evaluation, RESULT.to_json() | {key: value}, Path("run.json"))


@pytest.mark.parametrize("value", [None, [], 3, "text", {}, {"protocol": "seconds"}])
def test_no_evaluation_at_all(value: object) -> None:
    with pytest.raises(DuetalError):
        parse(Evaluation, value, None)


def changed(**fields: Any) -> Evaluation:
    return RESULT.model_copy(update=fields)


def test_summary_is_mean_and_sample_std() -> None:
    runs = [changed(mean_ap=(x, 0.25), averages={"0.1:0.5": x}) for x in (0.2, 0.4, 0.9)]
    summary = summarize(runs)
    assert summary.runs == 3
    assert summary.mean_ap[0] == pytest.approx(0.5)
    assert summary.std[0] == pytest.approx(((0.3**2 + 0.1**2 + 0.4**2) / 2) ** 0.5)
    assert summary.std[1] == 0
    value = summary.to_json()
    assert value["mAP_mean"] == pytest.approx([0.5, 0.25])
    assert value["averages"]["0.1:0.5"]["std"] == pytest.approx(value["mAP_std"][0])


def test_one_run_has_no_std() -> None:
    assert summarize([RESULT]).to_json()["mAP_std"] == [None, None]


def test_one_seed_is_no_spread() -> None:
    assert over_seeds([0, 2]) == "mean ± standard deviation over the seeds 0, 2"
    assert over_seeds([2]) == "seed 2"


def test_what_cannot_be_summarized() -> None:
    with pytest.raises(DuetalError, match="no evaluation"):
        summarize([])
    with pytest.raises(DuetalError, match="'other'"):
        summarize([RESULT, changed(protocol="other")])
    with pytest.raises(DuetalError, match="averages"):
        summarize([RESULT, changed(averages={})])
