"""What the tests of the example scripts share."""

import contextlib
import importlib.util
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.formats.activitynet import write_annotations

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def load_example() -> Callable[..., ModuleType]:
    """An example script as a module, by its name without suffix; another text may be given it."""

    def load(name: str, text: str | None = None) -> ModuleType:
        script = EXAMPLES / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"{name}_example", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        code = script.read_text() if text is None else text
        exec(compile(code, script, "exec"), module.__dict__)
        return module

    return load


@pytest.fixture(scope="session")
def run_example() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run what an example does as a program: in this process, and so are duetal's commands.

    A process of its own would import PyTorch anew, and one for each command, which takes seconds.
    """
    from duetal.cli.main import main

    original = subprocess.run

    def run_here(command: Any, **how: Any) -> subprocess.CompletedProcess[str]:
        program, *words = map(str, command)
        if Path(program) != Path(sys.executable).with_name("duetal"):
            return original(command, **how)
        with pytest.raises(SystemExit) as stop:
            main(words)
        done = subprocess.CompletedProcess(words, int(stop.value.code or 0), "", "")
        if how["check"]:
            done.check_returncode()
        return done

    def run(
        script: Callable[[], object], *words: object, cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["example.py", *map(str, words)])
            patch.setattr(subprocess, "run", run_here)
            try:
                script()
            except SystemExit as stop:
                code = stop.code
        return subprocess.CompletedProcess(words, int(code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def sensors(tmp_path: Path) -> Path:
    """Twelve windows to train on and four to test on, of two activities; one stream of features."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "sensors"
    (folder / "features").mkdir(parents=True)
    videos = {}
    for number in range(16):
        name, label = f"w{number:02}", ("sitting", "walking")[number % 2]
        subset = "train" if number < 12 else "test"
        segment = Segment(6.4, 19.2, label)
        videos[name] = VideoAnnotation(name, subset, 25.6, (label,), (segment,))
        features = generator.normal(scale=0.3, size=(40, 8)).astype(np.float32)
        features[10:30, number % 2] += 1.0
        np.save(folder / "features" / f"{name}.npy", features)
    write_annotations(folder / "annotations.json", Annotations(videos, ("sitting", "walking")))
    return folder
