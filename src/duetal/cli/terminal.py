"""What several commands show: tables, and names from files."""

from rich.console import Console


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
