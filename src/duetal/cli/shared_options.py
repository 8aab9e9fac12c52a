"""Options that several commands have, and what the values of options must be."""

import math
import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class PathOrUrl(click.Path):
    """A path, or a URL where a path is wanted."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; whether it is there is for the command to say."""
        from duetal.core.files import is_url
        from duetal.core.url_paths import as_path

        if isinstance(value, str) and is_url(value):
            return as_path(value)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


#: A file or folder, local or at a URL.
PATH = PathOrUrl(path_type=Path)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order of `--help`."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def finite(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """An option's callback that refuses `nan` and `inf`, which click takes for numbers."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number", context, option)
    return value


splits_option = click.option(
    "--splits",
    type=PATH,
    metavar="FOLDER",
    help="In place of DETECTIONS: a folder for each split, with gt.json and detections.json.",
)
force_option = click.option("--force", is_flag=True, help="Replace files that are there.")


def writes(*names: str) -> Callable[[Command], Command]:
    """Say which parameters name files that a command writes; stands next to the function.

    A file that is there is replaced with --force alone, and one that the command reads is never:
    `duetal.core.outputs` has the rule.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def checked(*, force: bool, **values: Any) -> Any:
            from duetal.core.outputs import refuse_existing

            read = [
                item
                for name, value in values.items()
                if name not in names
                for item in (value if isinstance(value, tuple) else (value,))
                # A text may name a file, too; that a folder has its name is chance.
                if isinstance(item, Path) or (isinstance(item, str) and os.path.isfile(item))  # noqa: PTH113
            ]
            for name in names:
                if values[name] is not None:
                    refuse_existing(values[name], read, force=force)
            return command(**values)

        return cast(Command, force_option(checked))

    return decorate


def refuse_bad_yaml(*paths: Path) -> None:
    """Read those that are YAML files: a bad one is refused before PyTorch has been imported.

    Raises:
        UsageError: naming the first bad file.
    """
    from duetal.core.errors import DuetalError, UsageError
    from duetal.core.files import read_yaml

    for path in paths:
        if path.suffix in (".yaml", ".yml") and path.is_file():
            try:
                read_yaml(path)
            except DuetalError as error:
                raise UsageError(error.cause, file=path, place=error.place) from error


def is_own_page(path: Path) -> bool:
    """Whether a file is a page that duetal made, which it may make again."""
    if not path.is_file():
        return False  # A pipe would be waited for.
    try:
        with path.open("rb") as file:
            return b'<meta name="generator" content="duetal">' in file.read(1000)
    except OSError:
        return False


localization_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another setting of localization, such as min_score=0.01. May be given more than once.",
)


def localization_values(words: Iterable[str], *others: str) -> dict[str, Any]:
    """The settings of localization that `--set` gave, by name; a UsageError for any other.

    `others` are further sections whose settings may be given.
    """
    from duetal.config import parse_overrides
    from duetal.core.errors import UsageError

    given = parse_overrides(words)
    for setting in given:
        if setting.section not in ("localization", *others):
            raise UsageError(f"--set: {setting.key} is no setting of localization")
    return {setting.name: value for setting, value in given.items()}


license_option = click.option(
    "--license",
    "license_name",
    metavar="NAME",
    help="The licence that the card names, such as mit.  [default: that of a card that is there]",
)
json_option = click.option("--json", "json_file", type=PATH, help="Also write JSON.")
subset_option = click.option(
    "--subset", help="Score on this subset, such as train, validation or test."
)
match_option = click.option(
    "--match-names",
    is_flag=True,
    help="Match names of videos and classes that differ by a prefix, a suffix, case or '_'.",
)
truth_option = click.option(
    "--annotations",
    "annotations_path",
    type=PATH,
    help="Ground truth with segments, in any form that duetal convert reads.",
)
#: How runs and detections are scored alike; `duetal.runs.comparing` takes the values.
comparing_options = together(
    click.option(
        "--annotations",
        "annotations_path",
        type=PATH,
        help="Ground truth, in any form that duetal evaluate reads.  [default: the runs' own]",
    ),
    click.option(
        "--protocol", "protocol_name", help="See duetal evaluate.  [default: the runs' own]"
    ),
    subset_option,
    match_option,
    click.option("--stage", help="Which stage of the runs, such as cbp-f2.  [default: the last]"),
)
