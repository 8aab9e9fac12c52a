"""`duetal doctor`: an environment report to paste into an issue."""

from collections.abc import Iterator, Mapping
from typing import Any

import click


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
    rows = list(_rows(report))
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        click.echo(f"{key:<{width}}  {value}")


def _rows(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """One row a value: nested mappings under dotted keys, absent things as "-"."""
    for key, value in report.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", "; ".join(map(str, value)) or "-"
        elif isinstance(value, bool):
            yield f"{prefix}{key}", "yes" if value else "no"
        else:
            yield f"{prefix}{key}", "-" if value is None else str(value)
