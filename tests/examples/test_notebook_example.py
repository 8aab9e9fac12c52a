"""The notebook runs from its first cell to its last, and a second time with what is there."""

from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "notebook.py"


@pytest.mark.recipe
def test_its_cells_run(
    load_example: Any, run_example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    text = SCRIPT.read_text()
    quick = text.replace("warmup_epochs=6", "warmup_epochs=1").replace("training=20", "training=6")
    assert quick != text
    done = run_example(lambda: load_example("notebook", quick), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "notebook"
    assert (folder / "timeline.png").read_bytes().startswith(b"\x89PNG")
    printed = done.stdout
    assert "mAP 0.1:0.7" in printed
    assert "double detection" in printed
    assert "both less CBP: " in printed
    cells = text.count("\n# %%")
    assert cells == 7
    # The file that it hands on is one that the command scores alike.
    from duetal import evaluate

    result = evaluate(folder / "detections.json", folder / "annotations.json", "seconds")
    assert f"mAP 0.1:0.7 {100 * result.averages['0.1:0.7']:.1f} %" in printed
