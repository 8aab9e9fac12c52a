"""The checks that read the code: ruff, mypy, the import contract, tsc and eslint, one test each."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: As `package.json` has it.
OLDEST_NODE = (20, 19)
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["-m", "mypy"], id="mypy --strict"),
        pytest.param(["-m", "ruff", "check"], id="ruff check"),
        pytest.param(["-m", "ruff", "format", "--check"], id="ruff format"),
        pytest.param(["-c", LINT_IMPORTS, "--no-logo"], id="lint-imports"),
    ],
)
def test_check_passes(arguments):
    _check([sys.executable, *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["typescript/bin/tsc"], id="tsc --checkJs"),
        pytest.param(["eslint/bin/eslint.js", "--max-warnings", "0", "src", "tests"], id="eslint"),
    ],
)
def test_check_of_the_scripts_passes(arguments):
    tool, *rest = arguments
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node found: the pages' scripts were NOT checked")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().removeprefix("v").split(".")[:2])) < OLDEST_NODE:
        pytest.skip(f"node {version.strip()} is too old: the pages' scripts were NOT checked")
    if not (ROOT / "node_modules" / tool).exists():
        pytest.skip("no node_modules (npm ci makes it): the pages' scripts were NOT checked")
    _check([node, f"node_modules/{tool}", *rest])


def _check(command):
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
