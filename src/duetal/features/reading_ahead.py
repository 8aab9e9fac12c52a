"""Reading what comes next while something else is computed, by as many threads as hide a delay."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError

#: Reads under way at once: of 4 MB each, over a delay of 30 ms, they fill 2 GB/s.
READERS = 16
#: Bytes that may lie ready.
_MOST_BYTES = 2**28

Values = NDArray[np.float32]
#: A video's name, and the first snippet and the end of what is read of it.
Span = tuple[str, int, int]


class ReadingAhead:
    """Reads in a given order, ahead of whoever takes what was read."""

    def __init__(self, read: Callable[[Span], Values], reads: Iterable[Span], width: int):
        self._read, self._reads, self._row = read, iter(reads), 4 * width
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="features")
        self._ready: deque[tuple[Span, int, Future[Values]]] = deque()
        self._bytes = 0
        self._lock = Lock()
        self._fill()

    def take(self, wanted: Span) -> Values | None:
        """What was read; None where it was not expected. What was to come before it is dropped."""
        with self._lock:
            if wanted not in (read for read, _, _ in self._ready):
                return None
            found: Future[Values] | None = None
            while found is None:
                read, size, future = self._ready.popleft()
                self._bytes -= size
                found = future if read == wanted else None
            self._fill()
        return found.result()

    def close(self) -> None:
        """Begin no further read."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _fill(self) -> None:
        # What can't be read raises where it is wanted.
        with suppress(StopIteration, DuetalError):
            while len(self._ready) < 2 * READERS and self._bytes < _MOST_BYTES:
                read = next(self._reads)
                size = (read[2] - read[1]) * self._row
                self._ready.append((read, size, self._pool.submit(self._read, read)))
                self._bytes += size
