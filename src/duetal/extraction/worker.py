"""What runs on each machine of a cluster: an extractor that is handed a few videos at a time.

`duetal.extraction.cluster` makes Ray's actors of it. Errors of a machine are returned, not raised,
so that the driver gets them unchanged.
"""

import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duetal
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import is_url
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.pipeline import Extractor
from duetal.extraction.sources import Failure, Video
from duetal.extraction.store import Store, open_store
from duetal.features.metadata import Settings, VideoRecord, differing


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """The outcomes since the last report, the progress, and why the worker can't go on, if so.

    `progress` is that of the last video: itself, its snippets done, and about how many it has.
    A `DuetalError` in `stopped` is no video's fault: the store can't be written to, or a network
    does not fit into memory.
    """

    outcomes: tuple[VideoRecord | Failure, ...]
    progress: tuple[Video, int, int] | None
    stopped: Exception | None


class Worker:
    """Extracts what it is handed: `introduce`, `load` and `open` it, then let it `work`."""

    def __init__(self) -> None:
        self._handed: queue.SimpleQueue[Video] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[VideoRecord | Failure | Exception] = queue.SimpleQueue()
        self._progress: tuple[Video, int, int] | None = None
        self._extractor: Extractor

    def introduce(self) -> dict[str, Any]:
        """Plain values, which every version reads: `version`, `host` and `pid`."""
        return {"version": duetal.__version__, "host": socket.gethostname(), "pid": os.getpid()}

    def load(
        self, settings: ExtractionSettings, *, device: str, batch: int | None, threads: int
    ) -> Settings | DuetalError:
        """Load the networks; give the settings of the store that they write into."""
        try:
            self._extractor = Extractor(settings, device=device, batch=batch, threads=threads)
            return self._extractor.store_settings
        except DuetalError as error:
            return error

    def open(self, place: str, sample: Video) -> DuetalError | None:
        """Begin to work for the store at `place`, if it and a sample video can be read here."""
        try:
            # As a reader: the lock is the driver's, and so is clearing up what was begun before.
            store = open_store(place)
            if different := differing(store.settings, self._extractor.store_settings):
                cause = f"its features would differ from the store's: {', '.join(different)}"
                return UsageError(cause)
        except DuetalError as error:
            return error
        if not is_url(sample.source) and not Path(sample.source).exists():
            cause = "no such file there; local videos must lie where every machine sees them"
            return DuetalError(cause, file=sample.source)
        threading.Thread(target=self._run, args=(store,), daemon=True).start()
        return None

    def work(self, videos: Sequence[Video], timeout: float) -> WorkerReport:
        """Take more videos; report what has come of earlier ones, or after `timeout` seconds."""
        for video in videos:
            self._handed.put(video)
        outcomes: list[VideoRecord | Failure] = []
        stopped = None
        deadline = time.monotonic() + timeout
        while stopped is None and (not outcomes or not self._results.empty()):
            try:
                result = self._results.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(result, Exception):
                stopped = result
            else:
                outcomes.append(result)
        return WorkerReport(tuple(outcomes), self._progress, stopped)

    def _run(self, store: Store) -> None:
        """Extract what is handed, until something stops it."""
        try:
            while True:
                videos = self._at_hand(self._handed.get())
                with closing(self._extractor.extract_all(videos, store, self._note)) as outcomes:
                    for outcome in outcomes:
                        self._results.put(outcome)
        except DuetalError as error:
            self._results.put(error)
        except Exception as error:
            # As plain text: not every library's error survives the way to the driver.
            self._results.put(RuntimeError(f"{type(error).__name__}: {error}"))

    def _at_hand(self, first: Video) -> Iterator[Video]:
        """The videos at hand; ends with them, as only then the last batch is not waited with."""
        yield first
        with suppress(queue.Empty):
            while True:
                yield self._handed.get_nowait()

    def _note(self, video: Video, done: int, expected: int) -> None:
        self._progress = (video, done, expected)
