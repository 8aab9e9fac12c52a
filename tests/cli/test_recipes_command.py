"""`duetal recipes ls|cp`, and the reading of shipped recipes."""

import pytest
import yaml

from duetal import recipes
from duetal.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["recipes", *arguments])
        output = capsys.readouterr()
        return stop.value.code, output.out, output.err

    return run


def test_the_promised_recipes_are_shipped():
    assert {"thumos14", "activitynet12", "demo", "hapt"} <= set(recipes.names())


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_is_one_flat_mapping_with_a_summary(name):
    assert recipes.summary(name)
    content = yaml.safe_load(recipes.read(name))
    assert isinstance(content, dict)
    assert not any(isinstance(value, dict) for value in content.values())


def test_ls_gives_every_recipe_a_line(run):
    code, out, _ = run("ls")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(recipes.names())
    assert all(recipes.summary(name) in out for name in recipes.names())


@pytest.mark.parametrize(
    ("destination", "written"),
    [(None, "demo.yaml"), ("mine.yaml", "mine.yaml"), (".", "demo.yaml")],
)
def test_cp_copies_the_text(run, folder, destination, written):
    arguments = ["demo"] if destination is None else ["demo", destination]
    code, out, _ = run("cp", *arguments)
    assert (code, out) == (0, f"copied demo to {written}\n")
    assert (folder / written).read_text(encoding="utf-8") == recipes.read("demo")


def test_cp_overwrites_only_when_forced(run, folder):
    (folder / "demo.yaml").write_text("mine")
    code, _, err = run("cp", "demo")
    assert (code, err) == (
        2,
        "duetal: error: demo.yaml: is there already (--force replaces it)\n",
    )
    assert (folder / "demo.yaml").read_text() == "mine"
    assert run("cp", "demo", "--force")[0] == 0
    assert (folder / "demo.yaml").read_text(encoding="utf-8") == recipes.read("demo")


def test_cp_of_an_unknown_recipe_names_the_nearest(run, folder):
    code, _, err = run("cp", "thumos")
    assert (code, err) == (2, "duetal: error: unknown recipe 'thumos'; the nearest is 'thumos14'\n")
    assert list(folder.iterdir()) == []
