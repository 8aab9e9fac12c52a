"""What several commands show: tables, and names from files."""

from rich.console import Console
from rich.table import Table


def plain_console() -> Console:
    """A console that prints names as they are, and is as wide as its content where it is piped."""
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # Nobody wants a folded table in a file.
        console.width = 200
    return console


def printable(name: str) -> str:
    """A name from a file, without what would steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def plain_table(first: str, *others: str, fold: bool = False) -> Table:
    """A table without lines, numbers to the right.

    Args:
        first: title of the column of names.
        others: titles of the columns of numbers.
        fold: whether long names may be broken into several lines.
    """
    table = Table(box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    table.add_column(first, no_wrap=not fold, overflow="fold" if fold else "ellipsis")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table
