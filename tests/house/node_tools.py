"""Running the tools of `package.json`, for the tests that check the pages' scripts."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: As `package.json` has it.
OLDEST_NODE = (20, 19)


def node_command(tool: str) -> list[str]:
    """The command of a tool, such as "typescript/bin/tsc"; skips where it is not there."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node found: the pages' scripts were NOT checked")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().removeprefix("v").split(".")[:2])) < OLDEST_NODE:
        pytest.skip(f"node {version.strip()} is too old: the pages' scripts were NOT checked")
    path = ROOT / "node_modules" / tool
    if not path.exists():
        pytest.skip("no node_modules (npm ci makes it): the pages' scripts were NOT checked")
    return [node, str(path)]
