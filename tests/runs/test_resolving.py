"""From a recipe and arguments of the command line to settings."""

from pathlib import Path

import pytest

from duetal import recipes
from duetal.core.errors import DuetalError, UsageError
from duetal.runs.resolving import resolve_config


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder that has another beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_dataset_on_the_command_line_is_looked_for_in_the_current_folder(here: Path) -> None:
    assert resolve_config("demo", ["dataset=data"]).data.dataset == str(here / "data")
    assert resolve_config("demo", ["dataset=../data"]).data.dataset == str(here.parent / "data")


def test_a_dataset_in_a_yaml_file_is_looked_for_beside_it(here: Path) -> None:
    recipe = here.parent / "recipes" / "mine.yaml"
    recipe.parent.mkdir()
    recipe.write_text("dataset: data\ncrop: 64\n")
    config = resolve_config("../recipes/mine.yaml", ["crop=32"])
    assert (config.data.dataset, config.data.crop) == (str(recipe.parent / "data"), 32)
    config = resolve_config(str(recipe), ["dataset=data"])
    assert config.data.dataset == str(here / "data")


def test_a_home_folder_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_config("demo", ["dataset=~/data"]).data.dataset == str(tmp_path / "data")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("text_encoder=clip", "{here}/clip"),
        ("text_encoder=openai/clip-vit-base-patch16", "openai/clip-vit-base-patch16"),
        ("text_encoder=", None),
    ],
)
def test_a_text_encoder_is_a_folder_or_a_name(
    here: Path, argument: str, expected: str | None
) -> None:
    (here / "clip").mkdir()
    config = resolve_config("thumos14", ["dataset=data", argument])
    assert config.data.text_encoder == (expected and expected.format(here=here))


def test_a_folder_called_like_a_recipe_hides_nothing(here: Path) -> None:
    (here / "demo").mkdir()
    assert resolve_config("demo", ["dataset=data"]).schedule.warmup_epochs


@pytest.mark.parametrize(
    ("recipe", "command_line", "message"),
    [
        ("dmeo", [], "unknown recipe 'dmeo'; the nearest is 'demo'"),
        ("demo", ["dataset=d", "learning_rat=1"], "the nearest is 'learning_rate'"),
        ("demo", ["dataset=d", "crop=13"], "data.crop (13) does not divide"),
        ("demo", ["dataset=d", "crop=many"], "crop: "),
        ("demo", ["dataset=d", "crop"], "expected key=value, got 'crop'"),
        ("demo", ["dataset=d", "crop=2001-99-99"], "crop: value '2001-99-99' cannot be read"),
        ("demo", ["dataset=d", "protocol=thumos"], "unknown protocol 'thumos'"),
        ("demo", ["dataset=\0"], "dataset: not a path"),
        ("demo", [], "no dataset: give dataset=FOLDER"),
        ("bad.yaml", [], "bad.yaml: unknown setting 'lamda'"),
        ("broken.yaml", [], "broken.yaml: not YAML"),
    ],
)
def test_wrong_usage(here: Path, recipe: str, command_line: list[str], message: str) -> None:
    (here / "bad.yaml").write_text("lamda: 1")
    (here / "broken.yaml").write_text("crop: !!int ''")
    with pytest.raises(UsageError) as caught:
        resolve_config(recipe, command_line)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["none.yaml", "folder/none.yaml", "latin.yml"])
def test_a_yaml_file_that_cannot_be_read(here: Path, name: str) -> None:
    (here / "latin.yml").write_bytes(b"dataset: \xe9")
    with pytest.raises(DuetalError) as caught:
        resolve_config(name, [])
    assert caught.value.file == Path(name)


@pytest.mark.parametrize("name", ["thumos14", "activitynet12"])
def test_shipped_recipes_have_the_papers_values(name: str) -> None:
    config = resolve_config(name, ["dataset=data"])
    data, schedule, vlp = config.data, config.schedule, config.vlp
    assert data.crop == {"thumos14": 1000, "activitynet12": 400}[name]
    assert (schedule.warmup_epochs, schedule.b_epochs, schedule.f_epochs) == (10, 20, 20)
    assert (schedule.learning_rate, data.batch_size, vlp.temperature) == (1e-4, 64, 0.07)
    assert (vlp.prompts_before, vlp.prompts_after, vlp.layers) == (16, 16, 2)
    assert data.text_encoder == "openai/clip-vit-base-patch16"
    assert schedule.weight_decay == config.cbp.dropout == 0


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    resolve_config(name, ["dataset=data"])
