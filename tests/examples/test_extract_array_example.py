"""The script of a SLURM job array: its tasks share a list of videos, and write into one store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from duetal.extraction.store import open_store
from duetal.simulation.clips import render_clip

SCRIPT = Path(__file__).parents[2] / "examples" / "extract_array.sh"


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({}, "1/1"),
        ({"ID": "3", "MIN": "1", "COUNT": "16"}, "3/16"),
        ({"ID": "0", "MIN": "0", "COUNT": "4"}, "1/4"),
    ],
)
def test_each_task_takes_its_part(tmp_path: Path, variables: dict[str, str], part: str) -> None:
    shim = tmp_path / "duetal"
    shim.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    shim.chmod(0o755)
    tasks = {f"SLURM_ARRAY_TASK_{name}": value for name, value in variables.items()}
    environment = os.environ | tasks | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["sh", str(SCRIPT), "my list.txt", "store", "--device", "cuda"]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert said.stdout == f"extract|my list.txt|--out|store|--part|{part}|--device|cuda|"


@pytest.mark.recipe
def test_two_tasks_at_once_extract_all(tmp_path: Path, tiny_extraction: tuple[str, ...]) -> None:
    shim = tmp_path / "bin" / "duetal"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m duetal "$@"\n')
    shim.chmod(0o755)
    names = ("a", "b", "c")
    for name in names:
        render_clip(tmp_path / f"{name}.mp4", duration=0.8, size=(40, 32))
    (tmp_path / "videos.txt").write_text("".join(f"{name}.mp4\n" for name in names))
    words = [str(SCRIPT), str(tmp_path / "videos.txt"), str(tmp_path / "store"), *tiny_extraction]
    tasks = []
    for number in ("0", "1"):
        array = {"ID": number, "MIN": "0", "COUNT": "2"}
        environment = os.environ | {f"SLURM_ARRAY_TASK_{key}": v for key, v in array.items()}
        environment["PATH"] = f"{shim.parent}:{environment['PATH']}"
        tasks.append(subprocess.Popen(["sh", *words, "--without=flow"], env=environment))
    assert [task.wait(timeout=300) for task in tasks] == [0, 0]
    with open_store(tmp_path / "store") as store:
        assert [name for name in store.names() if store.is_complete(name)] == list(names)
