"""The notebook runs from its first cell to its last, and a second time with what is there."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "notebook.py"


def run_all(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPT], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.recipe
def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    text = SCRIPT.read_text()
    quick = text.replace("warmup_epochs=6", "warmup_epochs=1").replace("training=20", "training=6")
    assert quick != text
    script = tmp_path / "quick.py"
    script.write_text(quick)
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
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
