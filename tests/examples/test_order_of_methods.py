"""The table of methods, over a made-up annotation and with a tiny network."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

METHODS = (
    *("label-only chance", "linear per-snippet MIL", "CBP after warm-up", "Zero-shot VLP"),
    *("VLP after B1", "CBP after F1", "Ensemble", "untaught: VLP after B1"),
    *("untaught: CBP after F1", "untaught: Ensemble", "convolution, true segments"),
)
DIFFERENCES = (
    *("VLP after B1: taught - untaught", "CBP after F1: taught - untaught"),
    *("Ensemble: taught - untaught", "Detector after round 1: taught - untaught"),
    *("Ensemble - CBP after F1", "Detector after round 1 - Ensemble"),
)


@pytest.fixture
def example(load_example: Callable[[str], ModuleType]) -> ModuleType:
    """The script as a module."""
    return load_example("order_of_methods")


def rows(printed: str) -> dict[str, list[float]]:
    """The numbers of each method's row."""
    return {
        method: [
            float(word) for word in line.removeprefix(method).split() if word not in ("±", "to")
        ]
        for line in printed.splitlines()
        for method in (*METHODS, *DIFFERENCES, "untaught: CBP after warm-up", "CBP on labels alone")
        if re.match(rf"{re.escape(method)}  ", line)
    }


@pytest.mark.recipe
def test_it_prints_a_row_for_each_method(
    example: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    annotations, out = tmp_path / "annotations.json", tmp_path / "out"
    write_annotations(annotations, made_up_annotations(training=10, test=4))
    tiny = ["crop=32", "cbp.embed_dim=16", "cbp.heads=2", "warmup_epochs=1", "b_epochs=1"]
    tiny += ["f_epochs=1", "alternations=1", "detector.rounds=1", "detector.epochs=1"]
    tiny += ["detector.width=8", "detector.scales=3", "cbp.levels=2"]
    tiny += ["--seeds", "0,1"]
    words = [str(annotations), "--out", str(out), "--difficulties", "0.5", *tiny]
    monkeypatch.setattr(sys, "argv", ["order_of_methods.py", *words])
    example.main()
    printed = capsys.readouterr().out
    simulated = rows(printed)
    assert {*METHODS, *DIFFERENCES} <= set(simulated)
    assert "differences (95 % interval over videos and seeds)" in printed
    scores = {method: simulated[method] for method in METHODS}
    assert all(0 <= number <= 100 for row in scores.values() for number in row)
    assert len(scores["label-only chance"]) == 8
    assert len(scores["Ensemble"]) == 16
    assert simulated["untaught: CBP after warm-up"] == simulated["CBP after warm-up"]
    assert simulated["untaught: CBP after F1"] != simulated["CBP after F1"]
    for name in DIFFERENCES:
        value, low, high = simulated[name]
        assert low <= value <= high
    expected = scores["Ensemble"][-2] - scores["untaught: Ensemble"][-2]
    assert simulated["Ensemble: taught - untaught"][0] == pytest.approx(expected, abs=0.11)

    # A data set that is there goes the same way; what is trained is not trained again.
    data = out / "difficulty-0.5"
    words = [str(data / "dataset"), "--out", str(data), *tiny]
    monkeypatch.setattr(sys, "argv", ["order_of_methods.py", *words])
    example.main()
    assert rows(capsys.readouterr().out) == simulated

    # Of one stream nobody teaches; of one seed the interval is over videos.
    described = {"cbp": str(data / "dataset" / "features" / "cbp"), "annotations": str(annotations)}
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "dataset.yaml").write_text(json.dumps(described))
    words = [str(tmp_path / "one"), "--out", str(tmp_path / "alone"), *tiny[:-1], "0"]
    monkeypatch.setattr(sys, "argv", ["order_of_methods.py", *words])
    example.main()
    printed = capsys.readouterr().out
    assert "untaught" not in printed
    assert "Detector after round 1 - CBP on labels alone" in printed
    assert "95 % interval over videos; one seed" in printed
