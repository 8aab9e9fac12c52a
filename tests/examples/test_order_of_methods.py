"""The table of methods, over a made-up annotation and with a tiny network."""

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


@pytest.fixture
def example(load_example: Callable[[str], ModuleType]) -> ModuleType:
    """The script as a module."""
    return load_example("order_of_methods")


def rows(printed: str) -> dict[str, list[float]]:
    """The numbers of each method's row."""
    return {
        method: list(map(float, line.removeprefix(method).replace("±", " ").split()))
        for line in printed.splitlines()
        for method in (*METHODS, "untaught: CBP after warm-up")
        if line.startswith(f"{method} ")
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
    tiny += ["f_epochs=1", "alternations=1", "--seeds", "0"]
    words = [str(annotations), "--out", str(out), "--difficulties", "0.5", *tiny]
    monkeypatch.setattr(sys, "argv", ["order_of_methods.py", *words])
    example.main()
    simulated = rows(capsys.readouterr().out)
    assert set(METHODS) <= set(simulated)
    assert all(0 <= number <= 100 for row in simulated.values() for number in row)
    assert simulated["untaught: CBP after warm-up"] == simulated["CBP after warm-up"]
    assert simulated["untaught: CBP after F1"] != simulated["CBP after F1"]

    # A data set that is there goes the same way; what is trained is not trained again.
    data = out / "difficulty-0.5"
    words = [str(data / "dataset"), "--out", str(data), *tiny]
    monkeypatch.setattr(sys, "argv", ["order_of_methods.py", *words])
    example.main()
    assert rows(capsys.readouterr().out) == simulated
