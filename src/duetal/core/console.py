"""What reaches a terminal: text from files and names, without the characters that control one."""

from typing import Any

from rich.console import Console
from rich.text import Text


def printable(text: object) -> str:
    """The text on one line, its control characters replaced: a name may hold any."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


class PlainConsole(Console):
    """A console that shows text as it is: without markup, emoji, highlights, control characters.

    It is as wide as its content where it is piped.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=True, stderr=stderr)
        if not self.is_terminal:
            # A table in a file must not be folded.
            self.width = 200

    def render_str(self, text: str, **how: Any) -> Text:
        """The text of a line, a cell or a bar's description."""
        return super().render_str(printable(text), **how)
