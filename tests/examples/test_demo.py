"""The demo calls commands that exist, stops where one fails, and can be called again."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

from duetal.cli.main import cli
from duetal.formats import read_annotations


@pytest.fixture
def demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_example: Callable[[str], ModuleType]
) -> ModuleType:
    """The script as a module, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return load_example("demo")


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Run no program, but note what would have run; `pretend(check=1)` lets one fail."""

    def start(**codes: int) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(command: list[object], *, check: bool) -> subprocess.CompletedProcess[str]:
            program, *words = map(str, command)
            assert Path(program) == Path(sys.executable).with_name("duetal")
            calls.append(words)
            return subprocess.CompletedProcess(program, codes.get(words[0], 0))

        monkeypatch.setattr(subprocess, "run", run)
        return calls

    return start


def test_it_calls_commands_that_exist(
    demo: ModuleType, pretend: Callable[..., list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = pretend()
    demo.main()
    assert [words[0] for words in calls] == ["simulate", "check", "train"]
    printed = capsys.readouterr().out
    for words in calls:
        assert f"$ duetal {' '.join(words)}\n" in printed
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        command.make_context(words[0], words[1:])
    assert "simulated" in printed
    assert printed.splitlines()[-1].endswith("demo/run/report.html")


@pytest.mark.parametrize("on_path", [True, False])
def test_it_says_how_to_call_a_command_that_is_on_no_path(
    demo: ModuleType,
    pretend: Callable[..., list[list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    on_path: bool,
) -> None:
    pretend()
    program = Path(sys.executable).with_name("duetal")
    monkeypatch.setenv("PATH", str(program.parent) if on_path else "/nowhere")
    demo.main()
    assert (f"{program.parent}/activate" in capsys.readouterr().out) is not on_path


def test_it_begins_with_a_made_up_annotation(
    demo: ModuleType, pretend: Callable[..., list[list[str]]]
) -> None:
    pretend()
    demo.main()
    made = read_annotations(Path("demo/annotations.json"))
    assert (len(made.training_names()), len(made.evaluation_names())) == (60, 30)


def test_it_can_be_called_again_and_removes_its_own_alone(
    demo: ModuleType, pretend: Callable[..., list[list[str]]]
) -> None:
    pretend()
    demo.main()
    for name in ("demo/dataset/features", "demo/run", "demo/mine"):
        Path(name).mkdir(parents=True)
    Path("demo/detections.json").write_text("{}")
    demo.main()
    left = {str(path) for path in Path("demo").iterdir()}
    assert left == {"demo/annotations.json", "demo/mine"}


def test_it_stops_where_a_command_fails(
    demo: ModuleType, pretend: Callable[..., list[list[str]]]
) -> None:
    calls = pretend(check=3)
    with pytest.raises(SystemExit) as stop:
        demo.main()
    assert stop.value.code == 3
    assert len(calls) == 2
