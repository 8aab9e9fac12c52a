"""Running the tools of `package.json`, for the tests that check the pages' scripts."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

TYPES = Path(str(files("duetal.pages") / "assets" / "types"))
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


def faults_of_type(data: Any, kind: str, folder: Path) -> str:
    """What `tsc` says of data that are to be of a type in `types.d.ts`; empty where they are.

    A literal: keys that are not declared are faults too.
    """
    tsc = node_command("typescript/bin/tsc")
    source = f"import type {{ {kind} }} from '{TYPES.as_posix()}';\n"
    source += f"export const page: {kind} = {json.dumps(data)};\n"
    (folder / "page.ts").write_text(source)
    options = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler"]
    done = subprocess.run(
        [*tsc, *options, "page.ts"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout[-2000:]
