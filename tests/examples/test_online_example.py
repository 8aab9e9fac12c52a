"""The table of modes, over a made-up annotation and with a tiny network."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.recipe
def test_it_prints_every_stage_of_every_mode(
    load_example: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    example = load_example("online")
    write_annotations(tmp_path / "annotations.json", made_up_annotations(training=10, test=4))
    words = [str(tmp_path / "annotations.json"), "--out", str(tmp_path / "out")]
    words += ["crop=32", "cbp.embed_dim=16", "cbp.heads=2", "cbp.levels=2", "warmup_epochs=2"]
    words += ["b_epochs=1", "f_epochs=1", "alternations=1", "--seeds", "0,1"]
    # Asynchronous training has tests of its own; Ray takes long to start.
    words += ["--modes", "alternate,online"]
    monkeypatch.setattr(sys, "argv", ["online.py", *words])
    example.main()
    table = capsys.readouterr().out.partition("mAP (%)  ")[2].splitlines()[1:]
    rows = {line[:32].strip(): line[32:].replace("±", "").split() for line in table}
    assert list(rows) == [
        *("label-only chance", "linear per-snippet MIL"),
        *("alternate: CBP after warm-up", "alternate: Zero-shot VLP", "alternate: VLP after B1"),
        *("alternate: CBP after F1", "alternate: Ensemble", "online: Zero-shot VLP"),
        *("online: CBP online", "online: VLP online", "online: Ensemble"),
    ]
    assert rows["online: Zero-shot VLP"][:6] == rows["alternate: Zero-shot VLP"][:6]
    assert rows["online: VLP online"][:6] != rows["online: Zero-shot VLP"][:6]
    for name, cells in rows.items():
        assert len(cells) == {"label-only chance": 3, "linear per-snippet MIL": 6}.get(name, 8)
        assert all(0 <= float(cell) <= 100 for cell in cells[:3])
