"""`duetal recipes`: list the shipped recipes, or copy one out to change it."""

from pathlib import Path

import click

from duetal.cli.main import NearestGroup
from duetal.cli.shared_options import PATH, force_option
from duetal.cli.terminal import say


@click.group("recipes", cls=NearestGroup)
def command() -> None:
    """List the shipped recipes, or copy one out."""


@command.command("ls")
def list_recipes() -> None:
    """List the shipped recipes with what each is for."""
    from duetal import recipes

    rows = [(name, recipes.summary(name)) for name in recipes.names()]
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        say(f"{name:<{width}}  {summary}".rstrip())


@command.command("cp")
@click.argument("name")
@click.argument("destination", required=False, type=PATH)
@force_option
def copy_recipe(name: str, destination: Path | None, force: bool) -> None:
    """Copy the recipe NAME to DESTINATION, a file or a folder (default: the current folder)."""
    from duetal import recipes
    from duetal.core.files import write_text
    from duetal.core.outputs import refuse_existing

    text = recipes.read(name)
    destination = destination or Path()
    path = destination / f"{name}.yaml" if destination.is_dir() else destination
    refuse_existing(path, force=force)
    write_text(path, text)
    say(f"copied {name} to {path}")
