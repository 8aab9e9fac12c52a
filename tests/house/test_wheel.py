"""The wheel: what is in it, and that all of duetal works from it, away from the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "duetal"
pytestmark = pytest.mark.recipe


def _run(*words: object, folder: Path, **variables: str) -> str:
    # Nothing of the checkout may be found but through what is installed.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip builds it, with the backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--no-cache-dir")
    _run(sys.executable, "-m", "pip", "wheel", *offline, "-w", folder, ROOT, folder=folder)
    (path,) = folder.glob("*.whl")
    return path


#: Runs command lines one after the other in one process: to import PyTorch takes seconds.
SEVERAL = """
import contextlib, io, json, sys
from duetal.cli.main import main
done = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as stop:
            done.append((stop.code, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""
Done = tuple[int, str, str]


def _run_several(programs: Path, lines: list[list[str]], folder: Path) -> list[Done]:
    """Exit code, output and error output of each line for duetal, run by an environment's Python.

    The programs of the environment are in the folder `programs`.
    """
    printed = _run(programs / "python", "-c", SEVERAL, json.dumps(lines), folder=folder)
    return [tuple(each) for each in json.loads(printed)]


def _new_environment(wheel: Path, folder: Path) -> Path:
    """An environment with the wheel alone in it; returns its folder of packages."""
    _run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    _run(*pip, "install", "--no-deps", "--no-index", wheel, folder=folder)
    return next((folder / "venv" / "lib").glob("python*/site-packages"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it; what duetal depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    site = _new_environment(wheel, folder)
    # A .pth file's folders are searched last, and the .pth files in them, such as that of
    # the checkout, are not read.
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return folder / "venv" / "bin"


def _required(name: str) -> set[str]:
    """The distributions that one without its extras needs, and those that they need."""
    found: set[str] = set()
    left = [name]
    while left:
        for text in metadata.requires(left.pop()) or ():
            each = Requirement(text)
            if each.name not in found and (each.marker is None or each.marker.evaluate()):
                found.add(each.name)
                left.append(each.name)
    return found


@pytest.fixture(scope="module")
def small_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install duetal` gives, without an extra: links to those packages alone."""
    folder = tmp_path_factory.mktemp("small")
    site = _new_environment(wheel, folder)
    (info,) = site.glob("duetal-*.dist-info")
    own = [Requirement(t) for t in metadata.PathDistribution(info).requires or ()]
    needed = {each.name for each in own if each.marker is None or each.marker.evaluate()}
    for name in needed.union(*map(_required, needed)):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(str(distribution.locate_file(top)))
    return folder / "venv" / "bin"


def test_it_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        text = archive.read(f"{_info(names)}/METADATA").decode("utf-8")
        stated = HeaderParser().parsestr(text)
    expected = {
        f"duetal/{path.relative_to(PACKAGE)}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {name for name in names if name.startswith("duetal/")} == expected
    assert {"duetal/py.typed", "duetal/recipes/thumos14.yaml"} <= expected
    assert {
        "duetal/pages/assets/page.html.j2",
        "duetal/publishing/assets/model_card.md.j2",
    } <= expected
    assert all(name.startswith(("duetal/", f"{_info(names)}/")) for name in names)
    assert stated["License-Expression"] == "Apache-2.0"
    assert f"{_info(names)}/licenses/LICENSE" in names
    assert stated["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in (stated.get_all("Classifier") or [])


def _info(names: set[str]) -> str:
    (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    return info


def test_duetal_works_from_it(
    environment: Path, tmp_path: Path, tiny_settings: tuple[str, ...]
) -> None:
    probe = "import duetal; print(duetal.__file__); print(duetal.Evaluation.__module__)"
    where = _run(environment / "python", "-c", probe, folder=tmp_path).splitlines()
    assert Path(where[0]).is_relative_to(environment.parent)
    assert where[1] == "duetal.evaluation.result"

    assert "localize" in _run(environment / "duetal", "--help", folder=tmp_path)
    write_annotations(tmp_path / "gt.json", made_up_annotations(training=6, test=3))
    ensemble = ("run/detections/ensemble.json", "--annotations", "gt.json")
    lines = [
        ["recipes", "ls"],
        ["simulate", "gt.json", "--out", "dataset"],
        ["train", "demo", "dataset=dataset", *tiny_settings, "--out", "run"],
        ["evaluate", *ensemble, "--protocol", "seconds"],
        ["report", "run", "--out", "page.html"],
        ["export", "run", "--card"],
    ]
    done = _run_several(environment, lines, tmp_path)
    assert [code for code, _, _ in done] == [0] * len(lines), done
    told = ("thumos14", "", "Ensemble", "seconds, subset test: 3 videos")
    assert all(text in out for text, (_, out, _) in zip(told, done, strict=False))
    assert "<script" in (tmp_path / "page.html").read_text()
    assert "# run\n" in (tmp_path / "run" / "README.md").read_text()


#: Of an environment without an extra: what works in it.
SMALL = (
    "evaluate found.json --annotations gt.json --protocol seconds",
    "diagnose found.json --annotations gt.json --protocol seconds --plots plots",
    "compare found.json found.csv --annotations gt.json --protocol seconds --draws 100",
    "convert found.json again.csv",
    "report found.json --annotations gt.json --protocol seconds --out page.html",
    "report {run} --out run.html",
    "check {dataset}",
    "recipes ls",
    "doctor",
)


def test_without_an_extra_it_evaluates_converts_and_reports(
    small_environment: Path, tmp_path: Path
) -> None:
    probe = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('av'))"
    assert _run(small_environment / "python", "-c", probe, folder=tmp_path) == "None None\n"
    action = {"label": "jump", "segment": [0.0, 1.0]}
    video = {"subset": "test", "duration": 4.0, "annotations": [action]}
    (tmp_path / "gt.json").write_text(json.dumps({"database": {"v": video}}))
    found = {"results": {"v": [action | {"score": 0.5}]}}
    (tmp_path / "found.json").write_text(json.dumps(found))
    (tmp_path / "found.csv").write_text("video,label,start,end,score\nv,jump,0,2,0.5\n")
    done = _run_several(small_environment, [_words(line) for line in SMALL], tmp_path)
    assert [code for code, _, _ in done] == [0] * len(SMALL), done


#: Of the same: what does not work in it, and which package it needs first, where that is known.
LARGE = {
    "train demo dataset=d --out r": "torch",
    "localize {run} {dataset} --out f.json": "torch",
    "simulate {dataset}/annotations.json --out d": "torch",
    "extract {dataset} --out store": "",
    "export {run} --card": "",
    "push {run} --repo me/run --dry-run": "",
}


def _words(line: str) -> list[str]:
    old = ROOT / "tests" / "results" / "run_of_0_1_0"
    return line.format(run=old / "run", dataset=old / "dataset").split()


def test_without_an_extra_the_others_name_what_to_install(
    small_environment: Path, tmp_path: Path
) -> None:
    done = _run_several(small_environment, [_words(line) for line in LARGE], tmp_path)
    for (line, package), (code, _, err) in zip(LARGE.items(), done, strict=True):
        assert (code, err.count("\n")) == (2, 1), line
        assert err.endswith('is not installed: pip install "duetal[train]"\n'), line
        assert f"needs {package}" in err, line
