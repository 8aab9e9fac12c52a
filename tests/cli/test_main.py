"""The messages and exit codes of the command line when something goes wrong."""

import subprocess
import sys
import types
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import click
import pytest

from duetal.cli import main as entry
from duetal.core.errors import DuetalError, UsageError


class OutOfMemoryError(RuntimeError):
    """Named as torch's own, which the entry point recognizes by name."""


LOST = "a process that took part is lost, killed or out of memory"
FAILURES = {
    "data": DuetalError("snippet 3 is NaN", file="features/a.npy", place="row 3"),
    "newline": DuetalError("bad", file="a\nb.npy"),
    "usage": UsageError("unknown setting 'lamda'; the nearest is 'lambda'", file="r.yaml"),
    "file": FileNotFoundError(2, "No such file or directory", "missing.json"),
    "folder": IsADirectoryError(21, "Is a directory", "folder"),
    "bug": KeyError("teacher"),
    "oserror-without-errno": OSError("odd"),
    "memory": MemoryError(),
    "gpu-memory": OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "cpu-memory": RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 bytes"),
    # In the words of safetensors, HDF5, PyTorch, and gloo.
    "disk-safetensors": ValueError("Error while serializing: I/O error: (os error 28)"),
    "disk-hdf5": OSError("Can't write data (file write failed: errno = 28, error message = '...')"),
    "disk-torch": RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
    "lost-pool": BrokenProcessPool("A child process terminated abruptly"),
    "lost-peer": RuntimeError("[gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:4711"),
    # A server's connection is no process.
    "server": ConnectionResetError(104, "Connection reset by peer", "https://host/x"),
    "interrupt": KeyboardInterrupt(),
    "abort": click.Abort(),
}


@click.command("explode")
@click.option("--how", type=click.Choice(sorted(FAILURES)))
@click.option("--branch", type=click.Choice(["cbp", "vlp", "both"]))
@click.option("--code", type=int)
@click.option("--number", type=int, required=False)
@click.argument("files", nargs=-1)
def explode(how, branch, code, number, files):
    if how:
        raise FAILURES[how]
    click.echo("done")
    return code


@click.group("nested", cls=entry.NearestGroup)
def nested():
    pass


@nested.command("list")
def nested_list():
    pass


@pytest.fixture(autouse=True)
def commands(monkeypatch):
    for name, command in (("explode", explode), ("nested", nested)):
        module = types.ModuleType(f"duetal.cli.{name}")
        module.command = command
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(entry.COMMANDS, name, "For the tests.")


@pytest.fixture
def run(capsys):
    """Run a command line in this process; give exit code, standard output and error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            entry.main(arguments)
        output = capsys.readouterr()
        return stop.value.code, output.out, output.err

    return run


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("data", 1, "features/a.npy: row 3: snippet 3 is NaN"),
        ("newline", 1, "a\\nb.npy: bad"),
        ("usage", 2, "r.yaml: unknown setting 'lamda'; the nearest is 'lambda'"),
        ("file", 1, "missing.json: No such file or directory"),
        ("folder", 1, "folder: Is a directory"),
        ("bug", 1, "internal error: KeyError: 'teacher'; run again with --debug"),
        ("oserror-without-errno", 1, "internal error: OSError: odd; run again with --debug"),
        ("memory", 1, "out of memory: no more to be had"),
        ("gpu-memory", 1, "out of memory: CUDA out of memory. Tried to allocate 2 GiB"),
        ("cpu-memory", 1, "out of memory: DefaultCPUAllocator: can't allocate memory: 1 bytes"),
        ("disk-safetensors", 1, "the disk is full; what was finished before is whole"),
        ("disk-hdf5", 1, "the disk is full; what was finished before is whole"),
        ("disk-torch", 1, "the disk is full; what was finished before is whole"),
        ("lost-pool", 1, f"{LOST}: A child process terminated abruptly"),
        ("lost-peer", 1, f"{LOST}: [gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:4711"),
        ("server", 1, "https://host/x: Connection reset by peer"),
        ("interrupt", 130, "interrupted"),
        ("abort", 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(run, how, code, message):
    # Click ends the line in which a terminal shows ^C.
    before = "\n" if how == "interrupt" else ""
    assert run("explode", "--how", how) == (code, "", f"{before}duetal: error: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explod"], "unknown command 'explod'; the nearest is 'explode' (see duetal --help)"),
        (["EVALUATE"], "unknown command 'EVALUATE'; the nearest is"),
        ([""], "unknown command ''"),
        (["nested", "lsit"], "unknown command 'lsit'; the nearest is 'list' (see duetal nested"),
        (["--hepl"], "No such option '--hepl'. Did you mean '--help'? (see duetal --help)"),
        (["explode", "--brnch", "cbp"], "'--brnch'. Did you mean '--branch'? (see duetal explode"),
        (["explode", "--branch", "cpb"], "'cpb' is not one of 'cbp', 'vlp', 'both' (see duetal"),
        (["explode", "--branch"], "Option '--branch' requires an argument."),
        (["explode", "--number", "many"], "'many' is not a valid integer"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_nearest(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("duetal: error: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "explode"], ["explode", "--debug"]])
@pytest.mark.parametrize("how", ["data", "usage", "file", "bug"])
def test_debug_anywhere_on_the_line_shows_the_traceback(arguments, how):
    with pytest.raises(type(FAILURES[how])):
        entry.main([*arguments, "--how", how])


@pytest.mark.parametrize(
    ("arguments", "code"), [(["explode"], 0), (["explode", "--code", "1"], 1), (["--version"], 0)]
)
def test_a_command_decides_its_exit_code(run, arguments, code):
    assert run(*arguments)[0] == code


@pytest.mark.parametrize("arguments", [[], ["nested"]])
def test_no_arguments_show_the_help(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("Usage: duetal")
    assert "duetal: error" not in err


def test_help_lists_every_command_with_its_line(run):
    code, out, _ = run("--help")
    assert code == 0
    for name, line in entry.COMMANDS.items():
        assert f"{name} " in out
        assert line in out


def _start(arguments, **files):
    command = [sys.executable, "-c", "from duetal.cli.main import main; main()", *arguments]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **files)


def test_a_reader_that_leaves_gets_no_traceback():
    process = _start(["--help"], stdout=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


def test_a_full_disk_under_standard_output_is_one_line():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("w") as file:
        process = _start(["--help"], stdout=file)
        assert "No space left on device" in process.stderr.read()
        assert process.wait() == 1


def test_the_package_is_a_program_too():
    command = [sys.executable, "-m", "duetal", "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("duetal")
