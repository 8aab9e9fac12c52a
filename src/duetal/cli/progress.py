"""Progress of the commands that work through videos: bars on a terminal, otherwise lines."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Self

from rich.progress import (
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from duetal.cli.terminal import say
from duetal.core.bars import PAUSE, LiveProgress, remaining
from duetal.core.console import PlainConsole


class _ToldProgress(LiveProgress):
    """Progress that without a terminal tells its state every `PAUSE` seconds, whatever happens."""

    def __init__(self, *columns: ProgressColumn, to_error: bool = True) -> None:
        super().__init__(PlainConsole(stderr=True), *columns)
        self._to_error = to_error
        self._ended = threading.Event()

    def state(self) -> str:
        """What is being done; nothing before it has begun."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self.bars is None:
            threading.Thread(target=self._tell, daemon=True).start()
        return super().__enter__()

    def close(self) -> None:
        """Stop showing."""
        self._ended.set()
        super().close()

    def _tell(self) -> None:
        while not self._ended.wait(PAUSE):
            if state := self.state():
                say(state, err=self._to_error)


class VideoProgress(_ToldProgress):
    """How many videos, or other units, are done.

    Call it with what is being done, the units done, and the units in all. Plain lines go to
    standard error where `to_error` is set.
    """

    def __init__(self, unit: str = "videos", *, to_error: bool = False) -> None:
        super().__init__(MofNCompleteColumn(), TimeRemainingColumn(), to_error=to_error)
        self._unit = unit
        self._what = ""
        #: Units done, those done when this work was first shown, and all.
        self._done = self._first = self._total = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show one more video."""
        if total != self._total:
            self._first, self.began = done, time.monotonic()
        self._what, self._done, self._total = what, done, total
        if self.bars is not None:
            if not self.bars.tasks:
                self.bars.add_task(what)
            self.bars.update(self.bars.task_ids[0], description=what, completed=done, total=total)

    def state(self) -> str:
        """What is being done, how far it is, and the time left at the pace so far, if known."""
        if not self._what:
            return ""
        line = f"{self._what}: {self._done:,} of {self._total:,} {self._unit}"
        if self._done == self._first:
            return f"{line} ({self.elapsed():.0f} s)"
        share = (self._done - self._first) / (self._total - self._first)
        return f"{line}, {remaining(self.elapsed(), share)} left"


class StepProgress(_ToldProgress):
    """What is being done, and for how long: work of a few steps whose length nobody knows.

    Call it with each step.
    """

    def __init__(self) -> None:
        super().__init__(TimeElapsedColumn())
        self._what = ""
        if self.bars is not None:
            self.bars.add_task("", total=None)

    def __call__(self, what: str) -> None:
        """Show the step that begins."""
        self._what = what
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], description=what)

    def state(self) -> str:
        """The step, and the seconds since the first."""
        return f"{self._what} ({self.elapsed():.0f} s)"


class ExtractionProgress(LiveProgress):
    """Progress over videos of which some take longer than others.

    One bar is for all videos. Where they are worked on one after the other, a second one is for the
    current video. `weights` are how long a video may take, in any unit (bytes will do); None if
    unknown. Where several machines work, `workers` returns how many workers are alive.
    """

    def __init__(
        self, weights: Mapping[str, int | None], workers: Callable[[], int] | None = None
    ) -> None:
        super().__init__(
            PlainConsole(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn()
        )
        # Where one size is not known, all videos count alike.
        known = all(weights.values())
        self.weights = {name: size if known and size else 1 for name, size in weights.items()}
        self._workers = workers
        self._count = self._finished = 0
        #: Of the videos that are worked on, the share that is done.
        self._begun: dict[str, float] = {}
        self._name, self._video_began = "", self.began
        if self.bars is not None:
            self.bars.add_task(self._state(), total=1.0)
            if workers is None:
                self.bars.add_task("", total=1.0)

    @property
    def done(self) -> float:
        """The share of all videos that is done, from 0 to 1."""
        part = sum(share * self.weights.get(name, 0) for name, share in self._begun.items())
        return (self._finished + part) / max(1, sum(self.weights.values()))

    def working(self, name: str, share: float) -> None:
        """Show which share of a video is done, from 0 to 1."""
        self._begun[name] = share
        if name != self._name:
            self._name, self._video_began = name, time.monotonic()
        if self._workers is not None:
            self._show()
            return
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[1], completed=share, description=self._name)
        left = remaining(time.monotonic() - self._video_began, share)
        self._show(f"{name}: {share:.0%}, {left} left; ")

    def ended(self, name: str, line: str) -> None:
        """Print a line about a video that is done."""
        self._begun.pop(name, None)
        self._finished += self.weights.get(name, 0)
        self._count += 1
        self.print(line)
        self._show()

    def _state(self) -> str:
        state = f"{self._count:,} of {len(self.weights):,} videos done"
        if self._workers is None:
            return state
        workers = self._workers()
        return f"{state}, {workers:,} {'worker' if workers == 1 else 'workers'}"

    def _show(self, current: str = "") -> None:
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], description=self._state(), completed=self.done)
        elif self.is_due():
            left = remaining(self.elapsed(), self.done)
            say(f"{current}{self._state()}, {left} left")


class DownloadProgress(LiveProgress):
    """Progress of a download: a plain line now and then. Call it with bytes done and in all."""

    def __init__(self, what: str) -> None:
        super().__init__(None)
        self._what = what

    def __call__(self, done: int, total: int | None) -> None:
        """Show more bytes."""
        if self.is_due():
            of = "" if total is None else f" of {total / 1e6:,.0f}"
            say(f"{self._what}: {done / 1e6:,.0f}{of} MB", err=True)
