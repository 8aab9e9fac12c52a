"""`model.json`: what is written is read, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest
from duetal.runs.model_record import (
    Channels,
    FinalStages,
    GridRecord,
    Heldout,
    ModelRecord,
    read_model,
)
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid

STAGES = ["cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1"]
MODEL = ModelRecord(
    duetal="0.1.0",
    classes=["Diving", "HighJump"],
    display_names={"HighJump": "high jump"},
    grid=GridRecord.of(TimeGrid(30.0, 4, 16)),
    channels=Channels(cbp=2048, vlp=512),
    stages=STAGES,
    final=FinalStages(cbp="cbp-f1", vlp="vlp-b1"),
    selection="the last",
    heldout=Heldout(videos=["v1"], mean_ap={"cbp-f1": 0.5}),
)
ONE_MODALITY = MODEL.model_copy(
    update={
        "channels": Channels(cbp=9),
        "stages": ["cbp-warmup"],
        "final": FinalStages(cbp="cbp-warmup"),
        "heldout": None,
    }
)


@pytest.mark.parametrize("model", [MODEL, ONE_MODALITY])
def test_what_is_written_is_read(tmp_path: Path, model: ModelRecord) -> None:
    model.write(tmp_path / "model.json")
    assert read_model(tmp_path / "model.json") == model
    assert model.grid.grid() == TimeGrid(30.0, 4, 16)


def test_the_promised_keys_are_there(tmp_path: Path) -> None:
    MODEL.write(tmp_path / "model.json")
    value = json.loads((tmp_path / "model.json").read_text())
    assert value["final"] == {"cbp": "cbp-f1", "vlp": "vlp-b1"}
    assert value["grid"] == {"fps": 30.0, "stride": 4, "window": 16}
    assert value["heldout"]["mAP"] == {"cbp-f1": 0.5}
    assert {"format", "classes", "display_names", "channels", "stages", "selection"} <= set(value)


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("format", 2, "format"),
        ("classes", [], "classes"),
        ("channels", {"cbp": 0, "vlp": 512}, "channels.cbp"),
        ("grid", {"fps": 0, "stride": 4, "window": 16}, "grid.fps"),
        ("final", {"cbp": "cbp-f9", "vlp": "vlp-b1"}, None),
        ("final", {"cbp": "vlp-b1", "vlp": "vlp-b1"}, None),
        ("final", {"cbp": "cbp-f1", "vlp": None}, None),
        ("selection", None, "selection"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, key: str, value: Any, place: str | None) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL.model_dump(mode="json", by_alias=True) | {key: value}))
    with pytest.raises(DuetalError) as caught:
        read_model(path)
    assert (caught.value.file, caught.value.place) == (path, place)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*MODEL.model_dump()]), inner),
    max_leaves=8,
)


@given(JSON)
def test_other_json_is_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "other-model.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DuetalError):
        read_model(path)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("cbp", ["cbp-f1"]),
        ("vlp", ["vlp-b1"]),
        ("both", ["cbp-f1", "vlp-b1"]),
        ("ensemble", ["cbp-f1", "vlp-b1"]),
        ("cbp-warmup", ["cbp-warmup"]),
    ],
)
def test_stages_by_a_users_word(name: str, stages: list[str]) -> None:
    assert MODEL.stages_named(name) == stages


@pytest.mark.parametrize("name", ["vlp", "both", "ensemble"])
def test_one_modality_has_no_vlp(name: str) -> None:
    with pytest.raises(UsageError, match="one modality"):
        ONE_MODALITY.stages_named(name)


def test_an_unknown_stage_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown stage 'vlp-b7'; the nearest is 'vlp-b1'"):
        MODEL.stages_named("vlp-b7")


def test_the_rule_is_told_of_the_runs_own_choice_alone() -> None:
    assert MODEL.rule(["cbp-f1"]) == MODEL.rule(["cbp-f1", "vlp-b1"]) == "the last"
    assert "asked for by name" in MODEL.rule(["cbp-warmup"])
