"""What several commands show: tables, names from files, and how far a long job has come."""

import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Seconds between two lines of progress where there is no terminal.
PAUSE = 10.0


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


class VideoProgress:
    """How many videos are done: a bar on a terminal, otherwise a plain line now and then.

    Call it with what is being done, the videos done, and the videos in all.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell of one more video."""
        if self._bar is not None:
            if not self._bar.tasks:
                self._bar.add_task(what)
            self._bar.update(self._bar.task_ids[0], description=what, completed=done, total=total)
        elif time.monotonic() - self._told > PAUSE:
            self._told = time.monotonic()
            click.echo(f"{what}: {done} of {total} videos")
