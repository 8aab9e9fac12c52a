"""The checks that read the code: ruff, mypy, the import contract, tsc and eslint, one test each."""

import subprocess
import sys
from pathlib import Path

import pytest
from node_tools import node_command

ROOT = Path(__file__).parents[2]
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
    _check([*node_command(tool), *rest])


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
