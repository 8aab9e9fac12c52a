"""Options that several commands have, and what the values of options must be."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

#: A file or folder; whether it is there is for the command to say.
PATH = click.Path(path_type=Path)


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
    required=True,
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
