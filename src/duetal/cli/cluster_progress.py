"""How far the extraction of many videos on many machines is."""

from collections.abc import Callable, Mapping
from typing import Self

import click

from duetal.cli.progress import WeighedProgress, remaining


class ClusterProgress(WeighedProgress):
    """One bar for all videos on a terminal, otherwise a line now and then.

    Args:
        weights: by video name, how long it may take, in any unit (bytes will do).
        workers: gives how many workers are alive.
    """

    def __init__(self, weights: Mapping[str, int], workers: Callable[[], int]) -> None:
        super().__init__(weights)
        self._workers = workers
        #: Of the videos that are worked on, how much is done.
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.add_task(self._state(), total=1.0)
        return super().__enter__()

    def working(self, name: str, share: float) -> None:
        """Tell how much of a video is done, from 0 to 1."""
        self._begun[name] = share
        self._show()

    def ended(self, name: str, line: str) -> None:
        """A video is done with: leave a line about it."""
        self._begun.pop(name, None)
        self.finish(name)
        self.leave(line)
        self._show()

    def _state(self) -> str:
        workers = self._workers()
        return (
            f"{self.count:,} of {len(self.weights):,} videos done, "
            f"{workers:,} {'worker' if workers == 1 else 'workers'}"
        )

    def _show(self) -> None:
        done = self.share(self._begun)
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], description=self._state(), completed=done)
        elif self.is_due():
            click.echo(f"{self._state()}, {remaining(self.elapsed(), done)} left")
