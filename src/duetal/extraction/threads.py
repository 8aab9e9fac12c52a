"""A chain of generators, each of which runs in a thread of its own and a little ahead of the next.

A pipeline is written as generators that take each other's items:

    with Stages() as stages:
        frames = stages.ahead(decode(videos), 4)
        features = stages.ahead(compute(frames), 4)
        for feature in features: ...

An exception in a stage comes out of the generator that consumes it, and so, stage by stage, out of
the loop at the end. Leaving the `with` block, for whatever reason, ends all threads.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

Item = TypeVar("Item")

#: Seconds after which a waiting thread looks whether it is still wanted.
_POLL = 0.1


@dataclass(frozen=True)
class _Over:
    """The last thing in a queue: the generator ended, by itself or with an error."""

    error: BaseException | None = None


class Stages:
    """The threads of a pipeline; see the module."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ahead(self, items: Generator[Item, None, None], size: int) -> Iterator[Item]:
        """Let a generator run ahead of whoever takes its items.

        Args:
            items: runs, and is closed, in a thread of its own.
            size: items that may wait to be taken.
        """
        waiting: queue.Queue[Item | _Over] = queue.Queue(size)
        thread = threading.Thread(target=self._run, args=(items, waiting), daemon=True)
        self._threads.append(thread)
        thread.start()
        return self._take(waiting)

    def _run(
        self, items: Generator[Item, None, None], waiting: "queue.Queue[Item | _Over]"
    ) -> None:
        over = _Over()
        try:
            for item in items:
                if not self._put(waiting, item):
                    break
        except BaseException as error:
            over = _Over(error)
        finally:
            items.close()
        self._put(waiting, over)

    def _put(self, waiting: "queue.Queue[Item | _Over]", item: Item | _Over) -> bool:
        """Put an item as soon as there is room; False when nobody wants it any more."""
        while not self._stop.is_set():
            try:
                waiting.put(item, timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    def _take(self, waiting: "queue.Queue[Item | _Over]") -> Generator[Item, None, None]:
        while not self._stop.is_set():
            try:
                item = waiting.get(timeout=_POLL)
            except queue.Empty:
                continue
            if not isinstance(item, _Over):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return
