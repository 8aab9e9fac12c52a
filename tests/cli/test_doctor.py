"""`duetal doctor`."""

import json

from click.testing import CliRunner

from duetal.cli import doctor
from duetal.runs import environment

REPORT = {
    "duetal": "1.2.3",
    "changed_since_commit": True,
    "memory_gib": None,
    "torch": {"version": "9.9", "devices": ["A, 8 GiB", "B, 8 GiB"], "mps": False},
    "extras": {"tensorboard": None},
}


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(environment, "collect", lambda: REPORT)
    result = CliRunner().invoke(doctor.command, arguments)
    assert result.exit_code == 0
    return result.output


def test_it_prints_a_line_a_value(monkeypatch):
    lines = [line.split(maxsplit=1) for line in _run(monkeypatch).splitlines()]
    assert lines == [
        ["duetal", "1.2.3"],
        ["changed_since_commit", "yes"],
        ["memory_gib", "-"],
        ["torch.version", "9.9"],
        ["torch.devices", "A, 8 GiB; B, 8 GiB"],
        ["torch.mps", "no"],
        ["extras.tensorboard", "-"],
    ]


def test_json_is_the_report_as_it_is(monkeypatch):
    assert json.loads(_run(monkeypatch, "--json")) == REPORT
