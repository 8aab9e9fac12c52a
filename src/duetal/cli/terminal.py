"""What several commands print: lines, tables, failures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.table import Table

from duetal.core.console import printable

if TYPE_CHECKING:
    from duetal.extraction.sources import Failure


def say(text: object, *, err: bool = False) -> None:
    """Print one line; control characters in it, as of a file's name, never reach the terminal."""
    click.echo(printable(text), err=err)


def plain_table(first: str, *others: str, fold: bool = False) -> Table:
    """A table without lines: a column of names, `others` of numbers, which are to the right.

    `fold`: long names may be broken into several lines.
    """
    table = Table(box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    table.add_column(first, no_wrap=not fold, overflow="fold" if fold else "ellipsis")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def print_failures(title: str, failures: "Sequence[Failure]") -> None:
    """List the reasons of failures, if there are any; each names its file."""
    if failures:
        say(f"{title}:")
    for failure in failures:
        say(f"  {failure.reason}")
