"""`duetal doctor`: an environment report to paste into an issue."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from duetal.cli.terminal import say


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Print an environment report to paste into an issue.

    It holds versions, processors and memory, and no names or paths of yours.
    """
    import json

    from duetal.runs.environment import collect

    report = collect()
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    rows = dict(_rows(report))
    width = max(map(len, rows))
    for key, value in rows.items():
        say(f"{key:<{width}}  {value}")


def _rows(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A row for each value, nested mappings under dotted keys; "-" where there is none."""
    for key, value in report.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{key}.")
            continue
        if isinstance(value, list):
            value = "; ".join(map(str, value)) or None
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        yield f"{prefix}{key}", "-" if value is None else str(value)
