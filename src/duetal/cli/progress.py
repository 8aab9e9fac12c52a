"""How far a long job has come: bars on a terminal, otherwise a plain line now and then."""

import time
from collections.abc import Callable, Mapping
from typing import Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from duetal.cli.terminal import plain_console, printable
from duetal.core.files import Closing

#: Seconds between two lines of progress where there is no terminal.
PAUSE = 10.0


class LiveProgress(Closing):
    """What all kinds of progress share: bars that come and go, or lines at their time.

    Args:
        console: where bars are drawn, if it is a terminal.
        share: the column that shows how much is done.
    """

    def __init__(self, console: Console, share: ProgressColumn) -> None:
        #: The bars; None where there is no terminal.
        self.bars: Progress | None = None
        if console.is_terminal:
            self.bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                share,
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
        self.began = self._shown_at = time.monotonic()

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.start()
        return self

    def close(self) -> None:
        """Take the bars away."""
        if self.bars is not None:
            self.bars.stop()

    def leave(self, line: str) -> None:
        """Write a line that stays."""
        if self.bars is not None:
            self.bars.console.print(printable(line))
        else:
            click.echo(printable(line))

    def is_due(self) -> bool:
        """Whether it is time for another plain line; counts as written when it is."""
        if time.monotonic() - self._shown_at <= PAUSE:
            return False
        self._shown_at = time.monotonic()
        return True

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


class VideoProgress(LiveProgress):
    """How many videos are done.

    Call it with what is being done, the videos done, and the videos in all.
    """

    def __init__(self) -> None:
        super().__init__(Console(stderr=True), MofNCompleteColumn())

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show one more video."""
        if self.bars is not None:
            if not self.bars.tasks:
                self.bars.add_task(what)
            self.bars.update(self.bars.task_ids[0], description=what, completed=done, total=total)
        elif self.is_due():
            click.echo(f"{what}: {done} of {total} videos")


class WeighedProgress(LiveProgress):
    """Progress over videos of which some take longer than others.

    Args:
        weights: by video name, how long it may take, in any unit (bytes will do), None if not
            known.
    """

    def __init__(self, weights: Mapping[str, int | None]) -> None:
        super().__init__(plain_console(), TextColumn("{task.percentage:>3.0f} %"))
        # Where one size is not known, all videos count alike.
        known = all(weights.values())
        self.weights = {name: size if known and size else 1 for name, size in weights.items()}
        self.count = 0
        self._total = max(1, sum(self.weights.values()))
        self._finished = 0
        #: Of the videos that are worked on, how much is done.
        self._begun: dict[str, float] = {}

    @property
    def done(self) -> float:
        """How much of all videos is done, from 0 to 1."""
        part = sum(share * self.weights.get(name, 0) for name, share in self._begun.items())
        return (self._finished + part) / self._total

    def working(self, name: str, share: float) -> None:
        """Show how much of a video is done, from 0 to 1."""
        self._begun[name] = share
        self._show(name)

    def ended(self, name: str, line: str) -> None:
        """Leave a line about a video that is done."""
        self._begun.pop(name, None)
        self._finished += self.weights.get(name, 0)
        self.count += 1
        self.leave(line)
        self._show(None)

    def _show(self, name: str | None) -> None:
        """Show the state, after progress of a video or the end of one."""
        raise NotImplementedError


class LongVideoProgress(WeighedProgress):
    """How far videos are that take long each, one after the other: the one at hand, and in all."""

    def __init__(self, weights: Mapping[str, int | None]) -> None:
        super().__init__(weights)
        self._name: str | None = None
        self._video_began = self.began
        if self.bars is not None:
            self.bars.add_task("in all", total=1.0)
            self.bars.add_task("", total=1.0)

    def _show(self, name: str | None) -> None:
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], completed=self.done)
        if name is None:
            return
        if name != self._name:
            self._name, self._video_began = name, time.monotonic()
            if self.bars is not None:
                self.bars.reset(self.bars.task_ids[1], description=printable(name))
        share = self._begun[name]
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[1], completed=share)
        elif self.is_due():
            video_left = remaining(time.monotonic() - self._video_began, share)
            click.echo(
                f"{printable(name)}: {share:.0%}, {video_left} left; {self.count} of "
                f"{len(self.weights)} videos done, {remaining(self.elapsed(), self.done)} left"
            )


class ClusterProgress(WeighedProgress):
    """How far videos are that many machines work on, in one bar.

    Args:
        weights: see `WeighedProgress`.
        workers: gives how many workers are alive.
    """

    def __init__(self, weights: Mapping[str, int | None], workers: Callable[[], int]) -> None:
        super().__init__(weights)
        self._workers = workers
        if self.bars is not None:
            self.bars.add_task(self._state(), total=1.0)

    def _state(self) -> str:
        workers = self._workers()
        return (
            f"{self.count:,} of {len(self.weights):,} videos done, "
            f"{workers:,} {'worker' if workers == 1 else 'workers'}"
        )

    def _show(self, name: str | None) -> None:
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], description=self._state(), completed=self.done)
        elif self.is_due():
            click.echo(f"{self._state()}, {remaining(self.elapsed(), self.done)} left")


class DownloadProgress:
    """How far a download is: a plain line now and then. Call it with bytes done and in all."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown_at = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """Show more bytes."""
        if time.monotonic() - self._shown_at > PAUSE:
            self._shown_at = time.monotonic()
            of = "" if total is None else f" of {total / 1e6:,.0f}"
            click.echo(f"{self._what}: {done / 1e6:,.0f}{of} MB", err=True)


def remaining(elapsed: float, share: float) -> str:
    """The time that is left when a share of the work took `elapsed` seconds: "1:02:03"."""
    if share <= 0:
        return "unknown time"
    seconds = round(elapsed * max(0.0, 1 - share) / share)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
