"""The script that measures what a GPU is for: every step has its time, and all is kept."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "_gpu_steps.py"


def test_a_step_that_fails_or_lasts_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("gpu_steps", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    steps = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(steps)
    for _, _, words in steps.STEPS:
        assert (SCRIPT.parents[1] / words[0]).is_file()
    assert sum(seconds for _, seconds, _ in steps.STEPS) <= steps.BUDGET
    trials = {
        "good": (20.0, ("-c", "print('{device} in {out}')")),
        "bad": (20.0, ("-c", "raise SystemExit(3)")),
        "long": (0.5, ("-c", "import time; time.sleep(60)")),
    }
    monkeypatch.setattr(steps, "STEPS", tuple((name, *rest) for name, rest in trials.items()))
    monkeypatch.setattr(sys, "argv", ["gpu_steps", str(tmp_path), "cpu"])
    steps.main()
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert kept["device"] == "CPU"
    assert {name: step["code"] for name, step in kept["steps"].items()} == {
        "good": 0, "bad": 3, "long": 124,
    }  # fmt: skip
    assert kept["steps"]["good"]["printed"] == [f"cpu in {tmp_path}"]
    assert "good: " in capsys.readouterr().out
