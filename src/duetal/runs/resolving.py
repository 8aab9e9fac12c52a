"""From a recipe and arguments of the command line to the settings of a run."""

from collections.abc import Sequence
from pathlib import Path

from duetal import recipes
from duetal.config import Config, Setting, load_config, parse_overrides
from duetal.core.errors import UsageError
from duetal.core.files import is_url, read_text
from duetal.core.url_paths import as_path
from duetal.evaluation import protocol_named


def resolve_config(recipe: str, overrides: Sequence[str]) -> Config:
    """The settings of a run, with the places they name made absolute.

    `recipe` is the name of a shipped one, or the path of a YAML file; `overrides` are `key=value`
    arguments. A relative `dataset` or `text_encoder` of a user's YAML file is looked for beside
    that file, else in the current folder.

    Raises:
        UsageError: an unknown recipe or setting (with the nearest), a bad value, no dataset.
        DuetalError: the YAML file can't be read.
    """
    shipped = recipe in recipes.names()
    looks_like_path = recipe.endswith((".yaml", ".yml")) or "/" in recipe or "\\" in recipe
    if shipped or not looks_like_path:
        text, source, folder = recipes.read(recipe), f"recipe {recipe}", Path.cwd()
    else:
        text, source, folder = read_text(Path(recipe)), recipe, Path(recipe).absolute().parent
    config = load_config(text, source, overrides)
    given = parse_overrides(overrides)
    data = config.data
    if data.dataset is None:
        raise UsageError("no dataset: give dataset=FOLDER, or name it in the recipe")
    protocol_named(data.protocol)
    found = {
        key: _find(Path.cwd() if Setting("data", key) in given else folder, name, key)
        for key in ("dataset", "text_encoder")
        if (name := getattr(data, key)) is not None
    }
    encoder = found.get("text_encoder", Path())
    if not (encoder.is_dir() or encoder.suffix == ".npy"):
        # A name on the hub, or nothing.
        found.pop("text_encoder", None)
    return config.replace(**{key: str(path) for key, path in found.items()})


def _find(folder: Path, name: str, key: str) -> Path:
    try:
        return as_path(name) if is_url(name) else (folder / Path(name).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"not a path: {error}", place=key) from error
