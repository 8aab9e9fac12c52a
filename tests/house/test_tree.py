"""Rules of the house about files: their size, their place, and whom they speak of."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
#: Past about 400 a file asks to be two; the rest is room for the change at hand.
MOST_LINES = 450
#: An absolute path into somebody's machine.
PRIVATE_PATH = re.compile(r"(?<![\w.~*}])/(?:home|root|Users|work|mnt|workspace)/[\w.]")


def _tracked_files():
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_two_modules_share_a_name():
    names = [path.name for path in SOURCES if path.name != "__init__.py"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_no_two_classes_share_a_name():
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    names = re.findall(r"^class (\w+)", text, re.MULTILINE)
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_no_tracked_file_names_a_private_path():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _tracked_files()
        for number, line in enumerate(path.read_bytes().decode(errors="ignore").splitlines(), 1)
        if PRIVATE_PATH.search(line)
    ]
    assert found == []


def test_test_files_have_names_of_their_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_tests_mirror_the_package():
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.py")}
    # A folder of the package, or a module whose tests fill a folder.
    sources = {path.relative_to(ROOT / "src" / "duetal") for path in SOURCES}
    mirrored = {path.parent for path in sources} | {path.with_suffix("") for path in sources}
    own = {Path("house"), Path("examples"), Path("benchmarks")}
    assert folders - mirrored - own == set()


def test_what_is_printed_passes_one_filter():
    """Control characters of names reach no terminal: `say` and `PlainConsole` replace them."""
    own = {"core/console.py", "core/bars.py", "cli/terminal.py", "cli/main.py", "cli/doctor.py"}
    direct = re.compile(r"click\.s?echo\(|(?<!\w)Console\(|(?<![\w.])print\(")
    found = {
        str(path.relative_to(ROOT / "src" / "duetal"))
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if direct.search(line) and not line.startswith("    print(")
    }
    assert found <= own
