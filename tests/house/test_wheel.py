"""The wheel: what is in it, and that all of duetal works from it, away from the checkout."""

import os
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it; what duetal depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    _run(*pip, "install", "--no-deps", "--no-index", wheel, folder=folder)
    # A .pth file's folders are searched last, and the .pth files in them, such as that of
    # the checkout, are not read.
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return folder / "venv" / "bin"


def test_it_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = HeaderParser().parsestr(archive.read(f"{_info(names)}/METADATA").decode("utf-8"))
    expected = {
        f"duetal/{path.relative_to(PACKAGE)}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {name for name in names if name.startswith("duetal/")} == expected
    assert {"duetal/py.typed", "duetal/recipes/thumos14.yaml"} <= expected
    assert {
        "duetal/report/assets/page.html.j2",
        "duetal/publishing/assets/model_card.md.j2",
    } <= expected
    assert all(name.startswith(("duetal/", f"{_info(names)}/")) for name in names)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{_info(names)}/licenses/LICENSE" in names
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or [])


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

    def duetal(*words: object) -> str:
        return _run(environment / "duetal", *words, folder=tmp_path)

    assert "localize" in duetal("--help")
    assert "thumos14" in duetal("recipes", "ls")
    write_annotations(tmp_path / "gt.json", made_up_annotations(training=6, test=3))
    duetal("simulate", "gt.json", "--out", "dataset")
    assert "Ensemble" in duetal("train", "demo", "dataset=dataset", *tiny_settings, "--out", "run")
    words = ("run/detections/ensemble.json", "--annotations", "gt.json", "--protocol", "seconds")
    assert "seconds, subset test: 3 videos" in duetal("evaluate", *words)
    duetal("report", "run", "--out", "page.html")
    assert "<script" in (tmp_path / "page.html").read_text()
    duetal("export", "run", "--card")
    assert "# run\n" in (tmp_path / "run" / "README.md").read_text()
