"""How far the extraction of many videos on many machines is."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from duetal.cli.terminal import PAUSE, plain_console, printable, remaining


class ClusterProgress:
    """One bar for all videos on a terminal, otherwise a line now and then.

    Args:
        weights: by video name, how long it may take, in any unit (bytes will do).
        workers: gives how many workers are alive.
    """

    def __init__(self, weights: Mapping[str, int], workers: Callable[[], int]) -> None:
        known = min(weights.values(), default=0) > 0
        # Where one size is not known, all videos count alike.
        self._weights = weights if known else dict.fromkeys(weights, 1)
        self._total = max(1, sum(self._weights.values()))
        self._workers = workers
        self._finished = 0
        self._count = 0
        #: Of the videos that are worked on, how much is done.
        self._shares: dict[str, float] = {}
        self._console = plain_console()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.add_task(self._state(), total=1.0)
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

    def working(self, name: str, share: float) -> None:
        """Tell how much of a video is done, from 0 to 1."""
        self._shares[name] = share
        self._show()

    def ended(self, name: str, line: str) -> None:
        """A video is done with: leave a line about it."""
        self._shares.pop(name, None)
        self._finished += self._weights.get(name, 0)
        self._count += 1
        if self._bar is not None:
            self._bar.console.print(printable(line))
        else:
            click.echo(printable(line))
        self._show()

    def _done(self) -> float:
        begun = sum(share * self._weights.get(name, 0) for name, share in self._shares.items())
        return (self._finished + begun) / self._total

    def _state(self) -> str:
        workers = self._workers()
        return (
            f"{self._count:,} of {len(self._weights):,} videos done, "
            f"{workers:,} {'worker' if workers == 1 else 'workers'}"
        )

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description=self._state())
            self._bar.update(self._bar.task_ids[0], completed=self._done())
        elif time.monotonic() - self._told > PAUSE:
            self._told = time.monotonic()
            left = remaining(self._told - self._began, self._done())
            click.echo(f"{self._state()}, {left} left")
