"""`model.json`: what is written is read, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.results.schema import (
    BranchRecord,
    Heldout,
    ModelRecord,
    PhaseRecord,
    StageRecord,
)

MODEL = ModelRecord(
    duetal="0.2.0",
    classes=["Diving", "HighJump"],
    display_names={"HighJump": "high jump"},
    grid=TimeGrid(30.0, 4, 16),
    branches=[
        BranchRecord(name="cbp", title="CBP", dim=2048, final="cbp-f1"),
        BranchRecord(name="vlp", title="VLP", dim=512, final="vlp-b1"),
    ],
    phases=[PhaseRecord(name="B1", title="B step 1", student="vlp", stage="vlp-b1")],
    stages=[
        StageRecord(name="cbp-warmup", title="CBP after warm-up", branch="cbp", phase="warmup"),
        StageRecord(name="vlp-zeroshot", title="Zero-shot VLP", branch="vlp"),
        StageRecord(name="vlp-b1", title="VLP after B1", branch="vlp", phase="B1"),
        StageRecord(name="cbp-f1", title="CBP after F1", branch="cbp", phase="F1"),
    ],
    selection="the last",
    heldout=Heldout(videos=["v1"], mean_ap={"cbp-f1": 0.5}),
)
ONE_STREAM = MODEL.model_copy(
    update={
        "branches": [BranchRecord(name="cbp", title="CBP", dim=9, final="cbp-warmup")],
        "stages": MODEL.stages[:1],
        "phases": [],
        "heldout": None,
    }
)
#: `model.json` as version 0.1.0 wrote it.
FORMAT_1 = {
    "format": 1,
    "duetal": "0.1.0",
    "classes": ["Diving", "HighJump"],
    "grid": {"fps": 25.0, "stride": 16, "window": 16},
    "channels": {"cbp": 2048, "vlp": 512},
    "stages": ["cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1"],
    "final": {"cbp": "cbp-f1", "vlp": "vlp-b1"},
    "selection": "the last",
}


@pytest.mark.parametrize("model", [MODEL, ONE_STREAM])
def test_what_is_written_is_read(tmp_path: Path, model: ModelRecord) -> None:
    model.write(tmp_path / "model.json")
    assert ModelRecord.read(tmp_path / "model.json") == model
    assert model.grid == TimeGrid(30.0, 4, 16)


def test_the_promised_keys_are_there(tmp_path: Path) -> None:
    MODEL.write(tmp_path / "model.json")
    value = json.loads((tmp_path / "model.json").read_text())
    assert [(b["name"], b["dim"], b["final"]) for b in value["branches"]] == [
        ("cbp", 2048, "cbp-f1"),
        ("vlp", 512, "vlp-b1"),
    ]
    assert value["grid"] == {"fps": 30.0, "stride": 4, "window": 16}
    assert value["heldout"]["mAP"] == {"cbp-f1": 0.5}
    assert {"format", "classes", "display_names", "phases", "stages", "selection"} <= set(value)


def test_a_model_of_version_0_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(FORMAT_1))
    model = ModelRecord.read(path)
    assert model.branches == MODEL.branches
    assert [(s.name, s.title, s.branch) for s in model.stages] == [
        (s.name, s.title, s.branch) for s in MODEL.stages
    ]
    assert [(p.name, p.student, p.teacher) for p in model.phases] == [
        ("warmup", "cbp", None),
        ("zeroshot", "vlp", None),
        ("B1", "vlp", "cbp"),
        ("F1", "cbp", "vlp"),
    ]
    alone = FORMAT_1 | {
        "channels": {"cbp": 9, "vlp": None},
        "stages": ["cbp-warmup"],
        "final": {"cbp": "cbp-warmup", "vlp": None},
    }
    path.write_text(json.dumps(alone))
    assert ModelRecord.read(path).finals() == ["cbp-warmup"]
    assert ModelRecord.read(path).title_of("cbp-warmup") == "CBP on labels alone"


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("format", 3, None),
        ("format", "2", "format"),
        ("classes", [], "classes"),
        ("branches", [], "branches"),
        ("branches", [{"name": "cbp", "title": "", "dim": 0, "final": "cbp-f1"}], "branches.0.dim"),
        ("branches", [{"name": "cbp", "title": "", "dim": 9, "final": "cbp-f9"}], None),
        ("branches", [{"name": "cbp", "title": "", "dim": 9, "final": "vlp-b1"}], None),
        ("grid", {"fps": 0, "stride": 4, "window": 16}, "grid.fps"),
        ("selection", None, "selection"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, key: str, value: Any, place: str | None) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL.model_dump(mode="json", by_alias=True) | {key: value}))
    with pytest.raises(DuetalError) as caught:
        ModelRecord.read(path)
    assert (caught.value.file, caught.value.place) == (path, place)


KEYS = [*MODEL.model_dump(), *FORMAT_1]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


@given(JSON)
def test_other_json_is_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "other-model.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DuetalError):
        ModelRecord.read(path)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("cbp", ["cbp-f1"]),
        ("vlp", ["vlp-b1"]),
        ("both", ["cbp-f1", "vlp-b1"]),
        ("ensemble", ["cbp-f1", "vlp-b1"]),
        ("cbp-warmup", ["cbp-warmup"]),
        (None, ["cbp-f1"]),
    ],
)
def test_stages_by_a_users_argument(name: str | None, stages: list[str]) -> None:
    assert MODEL.stages_named(name) == stages


@pytest.mark.parametrize("name", ["vlp", "both", "ensemble"])
def test_one_modality_has_no_vlp(name: str) -> None:
    with pytest.raises(UsageError, match="one modality"):
        ONE_STREAM.stages_named(name)


def test_an_unknown_stage_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown stage 'vlp-b7'; the nearest is 'vlp-b1'"):
        MODEL.stages_named("vlp-b7")


def test_the_rule_covers_the_runs_own_choice_alone() -> None:
    assert MODEL.rule(["cbp-f1"]) == MODEL.rule(["cbp-f1", "vlp-b1"]) == "the last"
    assert "chosen by name" in MODEL.rule(["cbp-warmup"])
