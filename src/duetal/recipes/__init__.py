"""The shipped recipes: one flat YAML file each, beside this file."""

from importlib import resources

from duetal.core.errors import UsageError, unknown


def names() -> tuple[str, ...]:
    """Names of the shipped recipes, sorted."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def read(name: str) -> str:
    """The YAML text of a shipped recipe.

    Raises:
        UsageError: no recipe is called so; names the nearest.
    """
    if name not in names():
        raise UsageError(unknown("recipe", name, names()))
    return resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """What a shipped recipe is for: the comment line with which it begins.

    Raises:
        UsageError: no recipe is called so.
    """
    first_line = read(name).partition("\n")[0]
    return first_line.removeprefix("#").strip() if first_line.startswith("#") else ""
