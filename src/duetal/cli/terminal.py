"""What several commands show: tables, names from files, and how far a long job has come."""

import time
from collections.abc import Mapping
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


class LongVideoProgress:
    """How far videos are that take long each: two bars on a terminal, otherwise lines.

    Both tell the time that is left, for the video at hand and in all.

    Args:
        weights: by video name, how long it may take, in any unit (bytes will do).
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        # Where one size is not known, all videos count alike.
        self._weights = {
            name: weight if min(weights.values()) > 0 else 1 for name, weight in weights.items()
        }
        self._finished = 0
        self._count = 0
        self._console = plain_console()
        self._bars: Progress | None = None
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
        self._name: str | None = None
        self._began = self._video_began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.add_task("in all", total=1.0)
            self._bars.add_task("", total=1.0)
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def working(self, name: str, share: float) -> None:
        """Tell how much of a video is done, from 0 to 1."""
        if name != self._name:
            self._name, self._video_began = name, time.monotonic()
            if self._bars is not None:
                self._bars.reset(self._bars.task_ids[1], description=printable(name))
        self._show(name, share)

    def ended(self, name: str, line: str) -> None:
        """A video is done with: leave a line about it."""
        self._finished += self._weights.get(name, 0)
        self._count += 1
        if self._bars is not None:
            self._bars.console.print(printable(line))
            self._bars.update(self._bars.task_ids[0], completed=self._share(0))
        else:
            click.echo(printable(line))
            self._told = time.monotonic()

    def _share(self, extra: float) -> float:
        return (self._finished + extra) / max(1, sum(self._weights.values()))

    def _show(self, name: str, share: float) -> None:
        in_all = self._share(share * self._weights.get(name, 0))
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], completed=in_all)
            self._bars.update(self._bars.task_ids[1], completed=share)
        elif time.monotonic() - self._told > PAUSE:
            self._told = time.monotonic()
            video_left = remaining(self._told - self._video_began, share)
            left = remaining(self._told - self._began, in_all)
            click.echo(
                f"{printable(name)}: {share:.0%}, {video_left} left; "
                f"{self._count} of {len(self._weights)} videos done, {left} left"
            )


def remaining(elapsed: float, share: float) -> str:
    """The time that is left when a share of the work took `elapsed` seconds: "1:02:03"."""
    if share <= 0:
        return "unknown time"
    seconds = round(elapsed * max(0.0, 1 - share) / share)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


class DownloadProgress:
    """How far a download is: a plain line now and then. Call it with bytes done and in all."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """Tell of more bytes."""
        if time.monotonic() - self._told > PAUSE:
            self._told = time.monotonic()
            of = "" if total is None else f" of {total / 1e6:,.0f}"
            click.echo(f"{self._what}: {done / 1e6:,.0f}{of} MB", err=True)
