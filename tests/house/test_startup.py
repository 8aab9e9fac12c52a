"""`--help` answers at once because it imports nothing heavy."""

import subprocess
import sys

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


def _modules_after(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage:")
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


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_a_command_imports_no_framework(command):
    heavy = {"torch", "numpy", "numba", "transformers", "lightning_fabric", "h5py", "jinja2"}
    assert not _modules_after(command, "--help") & heavy
