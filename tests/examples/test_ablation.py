"""What each part is worth, with a tiny network and two of the parts."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TINY = ["crop=32", "cbp.embed_dim=16", "cbp.heads=2", "warmup_epochs=1", "b_epochs=1"]
TINY += ["f_epochs=1", "alternations=1", "prompts_before=1", "prompts_after=1", "levels=2"]


@pytest.mark.recipe
def test_a_row_for_each_part_and_one_without_all(
    load_example: Callable[[str], ModuleType],
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = load_example("ablation")
    monkeypatch.setattr(example, "CHANGES", {"labels count alike": ["weigh_labels=false"]})
    monkeypatch.setattr(example, "OF_TWO", {"nobody teaches": ["distillation_weight=0"]})
    words = ["ablation.py", str(tiny_dataset), *TINY, "--out", str(tmp_path), "--seeds", "0,1"]
    monkeypatch.setattr(sys, "argv", words)
    example.main()
    printed = capsys.readouterr().out.rpartition("\n\n")[2].splitlines()
    assert printed[0].split("  ")[-1].strip() == "Ensemble"
    titles = ["as it is", "labels count alike", "nobody teaches", "all of these"]
    for title, line in zip(titles, printed[1:], strict=True):
        assert line.startswith(title)
        assert len(re.findall(r"\d+\.\d ± \d+\.\d", line)) == 3  # CBP, VLP, and both
    config = (tmp_path / "03" / "seed-0" / "config.yaml").read_text()
    assert "losses.weigh_labels: false" in config
    assert "losses.distillation_weight: 0" not in config
