import json
from dataclasses import replace
from pathlib import Path

import pytest

from duetal.core.errors import DuetalError
from duetal.evaluation import Evaluation, summarize

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
    assert Evaluation.from_json(value) == RESULT
    assert Evaluation.from_json(value | {"stage": "ensemble"}) == RESULT


@pytest.mark.parametrize(
    "damage",
    [{"mAP": None}, {"mAP": ["x"]}, {"averages": []}, {"videos": "many"}, {"dropped": [1]}],
)
def test_damaged_json(damage: dict[str, object]) -> None:
    with pytest.raises(DuetalError, match=r"run.json: not an evaluation"):
        Evaluation.from_json(RESULT.to_json() | damage, file=Path("run.json"))


@pytest.mark.parametrize("value", [None, [], 3, "text", {}, {"protocol": "seconds"}])
def test_no_evaluation_at_all(value: object) -> None:
    with pytest.raises(DuetalError, match="not an evaluation"):
        Evaluation.from_json(value)


def test_summary_is_mean_and_sample_std() -> None:
    runs = [replace(RESULT, mean_ap=(x, 0.25), averages={"0.1:0.5": x}) for x in (0.2, 0.4, 0.9)]
    summary = summarize(runs)
    assert summary.runs == 3
    assert summary.mean_ap[0].mean == pytest.approx(0.5)
    assert summary.mean_ap[0].std == pytest.approx(((0.3**2 + 0.1**2 + 0.4**2) / 2) ** 0.5)
    assert summary.mean_ap[1].std == 0
    value = summary.to_json()
    assert value["mAP_mean"] == pytest.approx([0.5, 0.25])
    assert value["averages"]["0.1:0.5"]["std"] == pytest.approx(value["mAP_std"][0])


def test_one_run_has_no_std() -> None:
    assert summarize([RESULT]).to_json()["mAP_std"] == [None, None]


def test_what_cannot_be_summarized() -> None:
    with pytest.raises(DuetalError, match="no evaluation"):
        summarize([])
    with pytest.raises(DuetalError, match="'other'"):
        summarize([RESULT, replace(RESULT, protocol="other")])
    with pytest.raises(DuetalError, match="averages"):
        summarize([RESULT, replace(RESULT, averages={})])
