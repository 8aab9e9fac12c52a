"""Progress of long jobs: bars on a terminal, otherwise a plain line now and then."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

from duetal.core.console import printable
from duetal.core.files import Closing

#: Seconds between two lines of progress where there is no terminal.
PAUSE = 10.0


class _Description(ProgressColumn):
    """What a bar is about, as it is."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))


class LiveProgress(Closing):
    """Bars on a console that is a terminal, else lines at intervals; the base of all progress.

    The columns of a bar follow its description. Transient bars disappear at the end.
    """

    def __init__(
        self, console: Console | None, *columns: ProgressColumn, transient: bool = True
    ) -> None:
        #: The bars; None where there is no terminal.
        self.bars: Progress | None = None
        if console is not None and console.is_terminal:
            self.bars = Progress(
                _Description(), BarColumn(), *columns, console=console, transient=transient
            )
        self.began = self._shown_at = time.monotonic()

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.start()
        return self

    def close(self) -> None:
        """Stop the bars."""
        if self.bars is not None:
            self.bars.stop()

    def print(self, line: str) -> None:
        """Write a line that stays."""
        if self.bars is not None:
            self.bars.console.print(printable(line), markup=False, highlight=False)
        else:
            print(printable(line), flush=True)

    def is_due(self) -> bool:
        """Whether another plain line is due; if so, the interval starts anew."""
        if time.monotonic() - self._shown_at <= PAUSE:
            return False
        self._shown_at = time.monotonic()
        return True

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


def remaining(elapsed: float, share: float, after: float = 0.0) -> str:
    """The time left, "1:02:03", when a share of the work took `elapsed` seconds.

    `after` are the seconds of what follows the work.
    """
    if share <= 0:
        return "unknown time"
    seconds = round(elapsed * max(0.0, 1 - share) / share + after)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
