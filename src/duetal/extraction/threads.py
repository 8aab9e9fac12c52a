"""A chain of generators, each of which runs in a thread of its own and a little ahead of the next.

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
from contextlib import closing, suppress
from typing import Any, NamedTuple, TypeVar

from duetal.core.files import Closing

Item = TypeVar("Item")

#: Seconds after which a waiting thread checks whether it is still wanted.
_POLL = 0.1


class _Over(NamedTuple):
    """The last item of a queue: the generator ended, by itself or with an error."""

    error: BaseException | None = None


class Stages(Closing):
    """The threads of a pipeline; see the module."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def close(self) -> None:
        """End all threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ahead(self, items: Generator[Item, None, None], size: int) -> Iterator[Item]:
        """Run a generator in a thread of its own, up to `size` items ahead of the consumer."""
        waiting: queue.Queue[Item | _Over] = queue.Queue(size)
        thread = threading.Thread(target=self._run, args=(items, waiting), daemon=True)
        self._threads.append(thread)
        thread.start()
        return self._take(waiting)

    def _run(self, items: Generator[Any, None, None], waiting: "queue.Queue[Any]") -> None:
        over = _Over()
        try:
            with closing(items):
                for item in items:
                    if not self._put(waiting, item):
                        break
        except BaseException as error:
            over = _Over(error)
        self._put(waiting, over)

    def _put(self, waiting: "queue.Queue[Any]", item: object) -> bool:
        """Put an item as soon as there is room; False when the stages were closed before."""
        while not self._stop.is_set():
            with suppress(queue.Full):
                waiting.put(item, timeout=_POLL)
                return True
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
