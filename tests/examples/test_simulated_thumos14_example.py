"""The example of simulated features, over a made-up annotation and with tiny networks."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from duetal.config import load_config
from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

TINY = [
    *("crop=32", "batch_size=4", "cbp.embed_dim=16", "cbp.heads=2"),
    *("prompts_before=1", "prompts_after=1"),
    *("warmup_epochs=1", "b_epochs=1", "f_epochs=2", "alternations=1"),
]


@pytest.fixture
def example(load_example: Callable[[str], ModuleType]) -> ModuleType:
    """The script as a module."""
    return load_example("simulated_thumos14")


def test_the_control_has_as_many_updates_as_cbp_has_in_the_alternation(
    example: ModuleType,
) -> None:
    control = load_config("", "settings", example.alone([*TINY, "alternations=3"]))
    assert (control.schedule.alternations, control.schedule.warmup_epochs) == (0, 1 + 3 * 2)
    assert control.cbp.embed_dim == 16


@pytest.mark.recipe
def test_it_prints_each_stage_beside_the_controls(
    example: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    annotations, out = tmp_path / "annotations.json", tmp_path / "out"
    write_annotations(annotations, made_up_annotations(training=6, test=3))
    words = [str(annotations), "--out", str(out), "--difficulties", "0.5", "--seeds", "0", *TINY]
    monkeypatch.setattr(sys, "argv", ["simulated_thumos14.py", *words])
    example.main()
    first = capsys.readouterr().out
    table = first[first.index("SIMULATED, difficulty 0.5") :]
    for title in (
        "CBP alone, as many updates",
        "ensemble without distillation",
        "CBP after warm-up",
        "Zero-shot VLP",
        "VLP after B1",
        "CBP after F1",
        "Ensemble",
        "for B1",
        "for F1",
    ):
        assert sum(line.startswith(f"{title} ") for line in table.splitlines()) == 1, title
    metrics = out / "difficulty-0.5" / "cbp-alone" / "seed-0" / "metrics.jsonl"
    records = map(json.loads, metrics.read_text().splitlines())
    assert {record["epochs"] for record in records if record["event"] == "epoch"} == {3}

    example.main()  # again: nothing is left to simulate or train, and the table is the same
    again = capsys.readouterr().out
    assert again[again.index("SIMULATED, difficulty 0.5") :] == table
