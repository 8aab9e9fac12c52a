"""The table of delays, for a tiny run of two seeds."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.recipe
def test_a_row_for_each_stage_and_the_plot(
    load_example: Callable[[str], ModuleType],
    tiny_dataset: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = load_example("live_delay")
    words = ["live_delay.py", str(tiny_dataset), str(tiny_run), "--stages", "cbp,both"]
    words += ["--delays", "2,50", "--every", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    example.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["whole", "2", "s", "50", "s"]
    assert [re.split("  +", line)[0] for line in lines[1:3]] == ["cbp-f1", "cbp-f1 and vlp-b1"]
    for line in lines[1:3]:
        whole, _, short, late = re.findall(r"\d+\.\d|\(\d+ %\)", line)[:4]
        assert short != late or whole == "0.0"
        # With such a delay all of a video has been seen before anything is told.
        assert line.endswith("(100 %)") or whole == "0.0"
    assert (tmp_path / "delay.svg").read_text().startswith("<?xml")
