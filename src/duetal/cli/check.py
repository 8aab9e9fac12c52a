"""`duetal check`: every problem of a dataset, with file and place."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from duetal.cli.shared_options import PATH, json_option, writes
from duetal.cli.terminal import say
from duetal.core.console import PlainConsole

if TYPE_CHECKING:
    from duetal.datasets.examination import Findings


@click.command("check")
@click.argument("dataset", type=PATH)
@json_option
@writes("json_file")
def command(dataset: Path, json_file: Path | None) -> int:
    """List every problem of DATASET, with file and place.

    DATASET is a folder or a YAML file. Every feature is read. The exit code is 1 when a problem is
    fatal: training or evaluation would fail, or would use other data than the dataset names.
    """
    from duetal.core.files import write_json
    from duetal.datasets.examination import examine
    from duetal.datasets.problems import Severity

    findings = examine(dataset, _track)
    if json_file is not None:
        write_json(json_file, findings.as_json())
    for line in (*map(str, findings.problems), *_summary(findings)):
        say(line)
    warnings, fatal = findings.count(Severity.WARNING), findings.count(Severity.FATAL)
    say(f"problems: {fatal} fatal, {warnings} warning{'' if warnings == 1 else 's'}")
    return 1 if fatal else 0


def _track(names: Sequence[str]) -> Iterable[str]:
    """Show the progress of reading, on a terminal."""
    from rich.progress import track

    console = PlainConsole(stderr=True)
    return track(
        names, "Reading features", console=console, transient=True, disable=not console.is_terminal
    )


def _summary(findings: "Findings") -> Iterator[str]:
    grid = findings.grid
    yield (
        f"videos:   {findings.training} to train on, {findings.evaluation} to evaluate on, "
        f"{findings.hours:.1f} hours"
    )
    yield f"classes:  {len(findings.classes)}"
    yield f"grid:     {grid.fps:g} frames per second, stride {grid.stride}, window {grid.window}"
    for part in findings.parts:
        dims = " and ".join(map(str, part.widths)) or "unknown"
        dtypes = " and ".join(part.dtypes) or "unknown type"
        yield f"{part.title + ':':9} C = {dims}, {dtypes}, {part.videos} videos"
