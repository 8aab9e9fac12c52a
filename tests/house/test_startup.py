"""Commands answer at once because they import no more than they need."""

import json
import subprocess
import sys

import numpy as np
import pytest

from duetal.cli.main import COMMANDS

PROBE = """
import sys
from duetal.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def _modules_after(*arguments, folder=None, code=0):
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith("Usage:") == ("--help" in arguments)
    return set(done.stderr.split())


def test_help_imports_the_standard_library_and_click_alone():
    ours = {"duetal", "click", "__main__"}
    # What site-packages' own .pth files import at every start of Python is not ours.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    at_start = {name.partition(".")[0] for name in bare.stdout.split()}
    assert _modules_after("--help") - at_start - set(sys.stdlib_module_names) == ours - at_start


HELP_OF_EACH = """
import contextlib, io, sys
from duetal.cli.main import COMMANDS, main
heavy = {"torch", "numpy", "numba", "transformers", "lightning_fabric", "h5py", "jinja2"}
for command in COMMANDS:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([command, "--help"])
    assert shown.getvalue().startswith("Usage:"), command
    assert not heavy & sys.modules.keys(), f"{command}: {heavy & sys.modules.keys()}"
print(*COMMANDS)
"""


def test_help_of_a_command_imports_no_framework():
    command = [sys.executable, "-c", HELP_OF_EACH]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*COMMANDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset of two videos, and a detection in one."""
    folder = tmp_path_factory.mktemp("dataset")
    action = {"label": "jump", "segment": [0, 1]}
    videos = {
        name: {"subset": subset, "duration": 1.28, "annotations": [action]}
        for name, subset in (("v", "test"), ("w", "training"))
    }
    found = {"results": {"v": [action | {"score": 0.5}]}}
    (folder / "annotations.json").write_text(json.dumps({"database": videos}))
    (folder / "found.json").write_text(json.dumps(found))
    (folder / "dataset.yaml").write_text("cbp: cbp\nannotations: annotations.json\n")
    (folder / "cbp").mkdir()
    for name in videos:
        np.save(folder / "cbp" / f"{name}.npy", np.ones((2, 4), dtype=np.float32))
    return folder


TRUTH = ("--annotations", "annotations.json", "--protocol", "seconds")


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("evaluate", "found.json", *TRUTH), {"numba"}),
        (("diagnose", "found.json", *TRUTH), {"numba"}),
        (("convert", "annotations.json", "converted/out.csv"), set()),
        (("check", "."), set()),
    ],
)
def test_a_command_imports_pytorch_and_numba_where_it_needs_them(folder, arguments, needed):
    assert _modules_after(*arguments, folder=folder) & {"torch", "numba"} == needed


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "bad.yaml", "--out", "run"),
        ("train", "demo", "dataset=bad.yaml", "--out", "run"),
        ("localize", "run", "bad.yaml", "--out", "found.json"),
        ("localize", "bad", "bad.yaml", "--out", "found.json"),
    ],
)
def test_a_bad_yaml_file_is_refused_before_pytorch_is_imported(arguments, tmp_path):
    (tmp_path / "bad").mkdir()
    for name in ("bad.yaml", "bad/config.yaml"):
        (tmp_path / name).write_text("a: &a [*a]")
    assert "torch" not in _modules_after(*arguments, folder=tmp_path, code=2)
