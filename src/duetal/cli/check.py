"""`duetal check`: every problem of a dataset, with file and place."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from duetal.datasets.examination import Findings


@click.command("check")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the findings to this file."
)
def command(dataset: Path, json_file: Path | None) -> int:
    """List every problem of DATASET, with file and place.

    DATASET is a folder or a YAML file. Every feature is read. The exit code is 1 when a problem is
    fatal: training or evaluation would fail, or would use other data than the dataset names.
    """
    from duetal.core.files import write_json
    from duetal.datasets.examination import examine
    from duetal.datasets.problems import Severity

    findings = examine(dataset, _track)
    for problem in findings.problems:
        click.echo(str(problem))
    if json_file is not None:
        write_json(json_file, findings.as_json())
    for line in _summary(findings):
        click.echo(line)
    return 1 if findings.count(Severity.FATAL) else 0


def _track(names: Sequence[str]) -> Iterable[str]:
    """Show how far the reading has come, on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal:
        return names
    return track(names, "Reading features", console=console, transient=True)


def _summary(findings: "Findings") -> list[str]:
    from duetal.datasets.problems import Severity

    grid = findings.grid
    lines = [
        f"videos:   {findings.training} to train on, {findings.evaluation} to evaluate on, "
        f"{findings.hours:.1f} hours",
        f"classes:  {len(findings.classes)}",
        f"grid:     {grid.fps:g} frames per second, stride {grid.stride}, window {grid.window}",
    ]
    for part in findings.parts:
        widths = " and ".join(str(width) for width in part.widths) or "unknown"
        dtypes = " and ".join(part.dtypes) or "unknown type"
        lines.append(f"{part.title + ':':9} C = {widths}, {dtypes}, {part.videos} videos")
    fatal, warnings = findings.count(Severity.FATAL), findings.count(Severity.WARNING)
    plural = "" if warnings == 1 else "s"
    lines.append(f"problems: {fatal} fatal, {warnings} warning{plural}")
    return lines
