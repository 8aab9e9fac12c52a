"""The log of a run: its records, log.txt, the terminal, TensorBoard."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from duetal.core import bars
from duetal.core.errors import DuetalError
from duetal.runs import journal as module
from duetal.runs.journal import Journal


def epoch(number: int, phase: str = "B1") -> dict[str, Any]:
    terms = {"classification": 0.25, "distillation": 0.5}
    return {
        "phase": phase, "branch": "vlp", "epoch": number, "epochs": 20,
        "loss": 0.75, "terms": terms, "seconds": 0.1,
    }  # fmt: skip


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_rewind_drops_later_records(tmp_path: Path) -> None:
    first = Journal(tmp_path, 10)
    assert first.position() == 0
    first.record({"event": "a"})
    position = first.position()
    first.record({"event": "b"})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"event": "torn by a ki')

    second = Journal(tmp_path, 10)
    second.rewind(position)
    second.record({"event": "c"})
    assert [record["event"] for record in records(tmp_path)] == ["a", "c"]


def test_rewind_refuses_records_that_are_missing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 10)
    journal.rewind(0)
    with pytest.raises(DuetalError, match=r"metrics\.jsonl: missing"):
        journal.rewind(1)
    journal.record({"event": "a"})
    with pytest.raises(DuetalError, match=r"metrics\.jsonl: shorter"):
        journal.rewind(1000)
    assert len(records(tmp_path)) == 1


def test_records_are_json_to_anybody(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Journal(tmp_path, 1).record({"event": "a", "loss": float("nan")})
    assert not (tmp_path / "metrics.jsonl").exists() or not records(tmp_path)


def test_plain_lines_without_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(bars.time, "monotonic", lambda: now)
    with Journal(tmp_path, 100, after=60) as journal:
        journal.skip(40)
        for _ in range(10):
            journal.step("B1", {"classification": 0.25})
        now = 70.0  # 7 s a step, 50 to go, and a minute of evaluation
        journal.epoch(epoch(3))
    line = capsys.readouterr().out
    assert line == (
        "    B1   3/20  loss 0.7500  classification 0.2500  distillation 0.5000  left 0:06:50\n"
    )
    assert "\x1b" not in line
    # log.txt has the same with the time before it.
    assert (tmp_path / "log.txt").read_text().endswith(line)
    assert records(tmp_path) == [{"event": "epoch", **epoch(3)}]


def test_a_bar_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "PlainConsole", lambda: Console(force_terminal=True, width=120, file=sys.stdout)
    )
    with Journal(tmp_path, 4) as journal:
        journal.skip(1)
        journal.step("F1", {"classification": 0.25, "distillation": 0.5})
        journal.epoch(epoch(1, "F1"))
        journal.log("a line [in brackets]")
    shown = capsys.readouterr().out
    assert "F1" in shown
    assert "50%" in shown
    assert "classification 0.2500  distillation 0.5000" in shown
    assert "left" in shown
    assert "a line [in brackets]" in shown
    assert "loss 0.7500" not in shown  # the bar has shown it
    assert (tmp_path / "log.txt").read_text().endswith(" a line [in brackets]\n")


def test_other_processes_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(tmp_path, 4, active=False, tensorboard=True) as journal:
        journal.rewind(0)
        journal.step("B1", {})
        journal.epoch(epoch(1))
        journal.log("x")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_an_error_is_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for error in (DuetalError("a NaN", file="x.npy"), KeyboardInterrupt()):
        with pytest.raises(type(error)), Journal(tmp_path, 4):
            raise error
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines[0].endswith(" stopped: x.npy: a NaN")
    assert lines[1].endswith(" stopped: KeyboardInterrupt")
    assert capsys.readouterr().out == ""  # the caller shows it


def board(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars of TensorBoard's events, step and value."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def test_tensorboard_events(tmp_path: Path) -> None:
    with Journal(tmp_path, 4, tensorboard=True) as journal:
        journal.rewind(0)
        for number in (1, 2, 3):
            journal.epoch(epoch(number))
    assert board(tmp_path) == {
        "vlp/loss": [(1, 0.75), (2, 0.75), (3, 0.75)],
        "vlp/classification": [(1, 0.25), (2, 0.25), (3, 0.25)],
        "vlp/distillation": [(1, 0.5), (2, 0.5), (3, 0.5)],
    }


def test_tensorboard_goes_on_where_a_resumed_run_does(tmp_path: Path) -> None:
    with Journal(tmp_path, 4, tensorboard=True) as journal:
        journal.rewind(0)
        journal.epoch(epoch(1))
        journal.record({"event": "pseudo_labels"})
        position = journal.position()
        journal.epoch(epoch(2))
        journal.epoch(epoch(3))
    with Journal(tmp_path, 4, tensorboard=True) as journal:
        journal.rewind(position)
        journal.epoch({**epoch(2), "loss": 0.5})
    assert board(tmp_path)["vlp/loss"] == [(1, 0.75), (2, 0.5)]


def test_without_tensorboard_its_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(DuetalError, match=r"pip install 'duetal\[tensorboard\]'"):
        Journal(tmp_path, 4, tensorboard=True)
