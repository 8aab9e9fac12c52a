"""What several commands print: tables, failures, names from files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from duetal.extraction.sources import Failure


def plain_console() -> Console:
    """A console that prints names as they are, and is as wide as its content where it is piped."""
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # A table in a file must not be folded.
        console.width = 200
    return console


def printable(name: str) -> str:
    """A name from a file, its control characters replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


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
        click.echo(f"{title}:")
    for failure in failures:
        click.echo(f"  {printable(failure.reason)}")
