"""scripts/setup.sh with pretended Pythons: what it picks, keeps and says. No network, no pip."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Answers what setup.sh asks of a Python, and notes its calls of pip. `-m venv` copies it.
PRETENDED_PYTHON = """#!{executable}
import pathlib, sys
arguments = sys.argv[1:]
line = " ".join(arguments)
made = pathlib.Path(sys.argv[0]).parent.parent.name == ".venv"
installed = pathlib.Path("installed-torch")
def note(text):
    with open("calls", "a") as file:
        print(text, file=file)
if "version_info" in line:
    sys.exit({too_old})
elif line == "--version":
    print("Python 3.12.0")
elif line == "-m venv .venv":
    if not {venv}:
        sys.exit(1)
    pathlib.Path(".venv/bin").mkdir(parents=True)
    pathlib.Path(".venv/bin/python").write_text(pathlib.Path(__file__).read_text())
    pathlib.Path(".venv/bin/python").chmod(0o755)
elif line in ("-m pip --version", "-m ensurepip"):
    sys.exit(not made)
elif "import torch" in line:
    base = "" if made else {torch!r}
    print(installed.read_text() if installed.exists() else base)
elif line.startswith("-m pip install --quiet torch=="):
    note(line)
    if not {pin}:
        sys.exit(1)
    installed.write_text("2.13.0")
elif line.startswith("-m pip install"):
    note(line)
elif arguments == ["-", ".venv/bin/python"]:
    note("shared packages")
    installed.write_text({torch!r})
else:
    sys.argv = arguments
    exec(sys.stdin.read())
"""


class Machine:
    """A pretended machine: its Pythons, and what setup.sh did there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Links to the tools alone, so that the real machine's Pythons are not found.
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in ("sh", "dirname", "uname", "touch", "cat"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        (folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "setup.sh", folder / "scripts")

    def has_python(self, name="python3", *, too_old=False, venv=True, torch="", pin=True):
        path = self.bin / name
        path.write_text(
            PRETENDED_PYTHON.format(
                executable=sys.executable, too_old=too_old, venv=venv, torch=torch, pin=pin
            )
        )
        path.chmod(0o755)

    def set_up(self, kind="demo", **environment):
        return subprocess.run(
            ["sh", "scripts/setup.sh", kind],
            cwd=self.folder,
            env={"PATH": str(self.bin), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def stamps(self) -> set[str]:
        return {path.name for path in (self.folder / ".venv").glob("setup-*")}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("kind", "target", "stamps"),
    [("demo", ".[train]", {"setup-demo"}), ("dev", ".[dev]", {"setup-demo", "setup-dev"})],
)
def test_installs_the_pinned_torch_first_then_duetal(machine, kind, target, stamps):
    machine.has_python()
    done = machine.set_up(kind)
    assert done.returncode == 0, done.stderr
    torch, duetal = machine.calls
    assert torch == "-m pip install --quiet torch==2.13.0"
    assert ("PIP_EXTRA_INDEX_URL=" in done.stderr) is (sys.platform == "linux")
    assert duetal.endswith(f"--constraint .venv/torch-constraint.txt --editable {target}")
    assert (machine.folder / ".venv/torch-constraint.txt").read_text() == "torch==2.13.0\n"
    assert machine.stamps() == stamps


@pytest.mark.parametrize(("kind", "works"), [("dev", True), ("dev", False), ("demo", True)])
def test_installs_the_checks_of_the_scripts_where_npm_is(machine, kind, works):
    machine.has_python()
    npm = machine.bin / "npm"
    npm.write_text(f"#!/bin/sh\necho npm $* >>calls\nexit {0 if works else 1}\n")
    npm.chmod(0o755)
    done = machine.set_up(kind)
    assert done.returncode == 0, done.stderr
    assert [call.split()[:3] for call in machine.calls if call.startswith("npm")] == (
        [["npm", "ci", "--ignore-scripts"]] if kind == "dev" else []
    )
    assert ("npm could not install it" in done.stderr) == (not works)
    assert f"setup-{kind}" in machine.stamps()


def test_keeps_a_gpu_build_of_the_base_python(machine):
    machine.has_python(torch="2.9.1+cu128")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert "keeping torch 2.9.1+cu128" in done.stderr
    shared, duetal = machine.calls
    assert shared == "shared packages"
    assert "torch==" not in duetal
    assert (machine.folder / ".venv/torch-constraint.txt").read_text() == "torch==2.9.1+cu128\n"


def test_keeps_a_torch_that_is_in_the_environment_already(machine):
    machine.has_python()
    assert machine.set_up().returncode == 0
    (machine.folder / "installed-torch").write_text("2.8.0+rocm6.4")
    (machine.folder / "calls").unlink()
    assert machine.set_up("dev").returncode == 0
    (duetal,) = machine.calls
    assert duetal.endswith("--editable .[dev]")


def test_leaves_a_torch_that_is_too_old_where_it_is(machine):
    machine.has_python(torch="1.13.1+cu117")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert "not using torch 1.13.1+cu117" in done.stderr
    assert machine.calls[0] == "-m pip install --quiet torch==2.13.0"


@pytest.mark.parametrize("name", ["python3.13", "python3.12", "python3.11"])
def test_passes_over_a_python_that_is_too_old(machine, name):
    machine.has_python("python3", too_old=True)
    machine.has_python(name)
    assert machine.set_up().returncode == 0


def test_prefers_the_python_it_is_told(machine):
    machine.has_python("python3", venv=False)
    machine.has_python("mine")
    assert machine.set_up(PYTHON=str(machine.bin / "mine")).returncode == 0


@pytest.mark.parametrize(
    ("python", "message"),
    [
        (None, "no Python >= 3.11 found"),
        ({"too_old": True}, "no Python >= 3.11 found"),
        ({"venv": False}, "apt-get install python3-venv"),
        ({"pin": False}, "install any torch >= 2.7 yourself"),
    ],
)
def test_says_what_to_do_when_it_cannot_go_on(machine, python, message):
    if python is not None:
        machine.has_python(**python)
    done = machine.set_up()
    assert done.returncode == 1
    assert message in done.stderr
    assert machine.stamps() == set()
