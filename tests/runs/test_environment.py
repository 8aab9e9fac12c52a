"""The environment report: JSON, complete, and whole even where something is missing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import duetal
from duetal.runs import environment


def test_it_is_json_and_names_versions():
    report = json.loads(json.dumps(environment.collect(), allow_nan=False))
    assert report["duetal"] == duetal.__version__
    assert report["packages"]["numpy"] == np.__version__
    assert set(report["packages"]) == set(environment.PACKAGES)
    assert report["torch"]["version"]
    assert report["cpus_usable"] >= 1


def test_a_missing_package_is_reported_as_none(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-distribution"))
    assert environment.collect()["packages"]["no-such-distribution"] is None


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_a_torch_that_does_not_import_is_reported_with_the_cause(monkeypatch, error):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "torch":
                raise error(f"{Path.home()}/lib/libtorch.so: no such file\nand more")

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    torch = environment.collect()["torch"]
    assert torch["version"] is None
    assert torch["error"] == f"{error.__name__}: ~/lib/libtorch.so: no such file"


def _git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    package = tmp_path / "src" / "duetal"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "Begin")
    monkeypatch.setattr(duetal, "__file__", str(package / "__init__.py"))
    return tmp_path


def test_a_checkout_gives_its_commit_and_whether_it_was_changed(checkout):
    report = environment.collect()
    assert report["commit"] == _git(checkout, "rev-parse", "HEAD")
    assert report["changed_since_commit"] is False
    (checkout / "src" / "duetal" / "__init__.py").write_text("changed = True\n")
    assert environment.collect()["changed_since_commit"] is True


def test_an_installed_package_inside_another_checkout_gives_no_commit(checkout, monkeypatch):
    site = checkout / ".venv" / "lib" / "python3" / "site-packages" / "duetal"
    site.mkdir(parents=True)
    monkeypatch.setattr(duetal, "__file__", str(site / "__init__.py"))
    assert "commit" not in environment.collect()


def test_without_git_the_commit_is_none(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    report = environment.collect()
    assert report["commit"] is None
    assert report["changed_since_commit"] is None


def test_it_holds_no_path_of_the_user(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{Path.home()}/x")
    monkeypatch.setenv("MY_SECRET", "hunter2")
    text = json.dumps(environment.collect())
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    assert "hunter2" not in text
