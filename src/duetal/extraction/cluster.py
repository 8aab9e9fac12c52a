"""Extracting on many machines: the extractor of one machine, as actors of a Ray cluster.

The driver hands videos out and tracks them. Workers read the videos and write into the store
themselves, so only names and records pass through Ray.

A worker that is lost (killed, out of memory, its machine gone) is replaced, and its videos are
tried again. One that was only thought lost does no harm when it finishes after all: a video's files
appear whole, its record last, and the features that two workers make of it are the same.
"""

import contextlib
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import duetal
from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import Closing
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.items import OnSnippet, ignore
from duetal.extraction.machines import divide, join, machines_of
from duetal.extraction.sources import Failure, Video, readable
from duetal.extraction.store import Store
from duetal.extraction.worker import Worker, WorkerReport
from duetal.features.metadata import Settings, VideoRecord, differing

#: Videos that a worker has at once: one is decoded while the end of another is encoded.
AT_HAND = 3
#: Workers that may be lost over a video.
ATTEMPTS = 3
#: Seconds after which a worker reports, even if no video has ended.
_REPORT_EVERY = 2.0
#: Seconds between two lines that nobody is at work.
_PAUSE = 30.0


class WorkerProcess(NamedTuple):
    """Where a worker runs."""

    host: str
    pid: int

    def __str__(self) -> str:
        return f"{self.host} (process {self.pid})"


class Dispatch:
    """Hands videos out, in their order.

    A lost worker had several videos, any of which may have killed it. From then on each of them is
    handed out alone, so that one that kills its worker takes no other with it.
    """

    def __init__(self, videos: Iterator[Video]):
        self._fresh = videos
        self._exhausted = False
        self._again: deque[Video] = deque()
        self._losses: Counter[Video] = Counter()

    def more(self, at_hand: Collection[Video]) -> list[Video]:
        """Further videos for a worker that has not finished those `at_hand`."""
        if any(video in self._losses for video in at_hand):
            return []
        if not at_hand and self._again:
            return [self._again.popleft()]
        wanted = AT_HAND - len(at_hand)
        videos = list(itertools.islice(self._fresh, wanted))
        self._exhausted = self._exhausted or len(videos) < wanted
        return videos

    def lost(self, video: Video) -> bool:
        """Count a worker that was lost with a video; False when that was the last attempt."""
        self._losses[video] += 1
        if self._losses[video] == ATTEMPTS:
            return False
        self._again.append(video)
        return True

    @property
    def is_empty(self) -> bool:
        """Whether every video has been handed out, as often as it was needed so far."""
        return self._exhausted and not self._again


#: What is done with a worker: yields what the driver waits for, is sent the result, and returns why
#: the worker can't go on.
_Life = Generator[Any, Any, Exception]


@dataclass(eq=False)
class _Seat:
    """A place for a worker. When the worker is lost, another one takes it."""

    actor: Any = None
    life: _Life | None = None
    waits_for: Any = None  #: Ray's reference to what the worker is doing; None when nothing.
    process: WorkerProcess | None = None  #: Where it runs, once that is known.
    ready: bool = False
    at_hand: list[Video] = field(default_factory=list)  #: The videos that it has not finished.
    failed_starts: int = 0  #: Workers lost here one after the other, before they were ready.


class Cluster(Closing):
    """Makes the features of videos on a Ray cluster; close it, or use it in a `with` statement.

    Args:
        address: see `duetal.extraction.machines.join`.
        settings: as for `Extractor`. Every worker loads the weights, by name or by a path that
            every machine has.
        workers, cpus_per_worker, device: see `duetal.extraction.machines.divide`.
        batch, threads: as for `Extractor`; all cores are those of the worker.
        notify: called with a line when a worker is lost, or none is there.

    Raises:
        UsageError: a wrong address or device, Ray is not installed, no machine has room for a
            worker; or workers without the weights, or with another version of duetal.
        DuetalError: the cluster can't be joined, or workers end before they are ready.
    """

    def __init__(
        self,
        address: str,
        settings: ExtractionSettings,
        *,
        workers: int | None = None,
        cpus_per_worker: int | None = None,
        device: str = "auto",
        batch: int | None = None,
        threads: int | None = None,
        notify: Callable[[str], object] = lambda line: None,
    ):
        self._extraction, self._notify = settings.from_anywhere(), notify
        self._batch, self._threads = batch, threads
        self._settings: Settings | None = None
        self._store: Store | None = None
        self._sample: Video | None = None
        self._dispatch = Dispatch(iter(()))
        self._outcomes: deque[VideoRecord | Failure] = deque()
        self._on_snippet: OnSnippet = ignore
        self._notified_at = time.monotonic()
        self._ray: Any = join(address)
        try:
            self._share = divide(machines_of(self._ray), device, workers, cpus_per_worker)
            self._seats = [_Seat() for _ in range(self._share.workers)]
            for seat in self._seats:
                self._start(seat)
            while self._settings is None:
                self._step()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the cluster, which ends the workers."""
        self._ray.shutdown()

    @property
    def store_settings(self) -> Settings:
        """The settings as a store keeps them, which all workers agree on."""
        assert self._settings is not None
        return self._settings

    @property
    def processes(self) -> tuple[WorkerProcess, ...]:
        """The workers that are ready."""
        return tuple(seat.process for seat in self._seats if seat.ready and seat.process)

    def extract_all(
        self, videos: Iterable[Video], store: Store, on_snippet: OnSnippet = ignore
    ) -> Generator[VideoRecord | Failure, None, None]:
        """Extract videos into a store, one outcome each, as they end.

        They are handed out in their order, so the longest should come first. A video over which
        `ATTEMPTS` workers were lost is a failure. Failures are returned, not recorded.

        Raises:
            UsageError: a worker without the weights, with others, or of another version of duetal.
            DuetalError: a worker can't reach the store or the videos, the store can't be written
                to, or a network does not fit into memory. What was finished before is complete.
        """
        todo = iter(videos)
        self._sample = next(todo, None)
        if self._sample is None:
            return
        if self._store not in (None, store):
            raise ValueError("the workers write into another store already")
        self._store, self._on_snippet = store, on_snippet
        self._dispatch = Dispatch(itertools.chain([self._sample], todo))
        for seat in self._seats:
            if seat.waits_for is None:
                self._go_on(seat, None)
        while not self._dispatch.is_empty or any(seat.at_hand for seat in self._seats):
            self._step()
            while self._outcomes:
                yield self._outcomes.popleft()

    def _start(self, seat: _Seat) -> None:
        """Put a new worker into a seat."""
        room = {"num_cpus": self._share.cpus, "num_gpus": self._share.gpus}
        seat.actor = self._ray.remote(Worker).options(**room).remote()
        seat.process, seat.ready, seat.at_hand = None, False, []
        seat.life = self._live(seat)
        self._go_on(seat, None)

    def _live(self, seat: _Seat) -> _Life:
        """All that is done with one worker, from its start on."""
        introduced = yield seat.actor.introduce.remote()
        seat.process = WorkerProcess(introduced["host"], introduced["pid"])
        if introduced["version"] != duetal.__version__:
            cause = f"has duetal {introduced['version']}, and the driver {duetal.__version__}"
            raise UsageError(cause, file=str(seat.process))
        device = "cuda" if self._share.gpus else "cpu"
        threads = self._threads or self._share.cpus
        settings = yield seat.actor.load.remote(
            self._extraction, device=device, batch=self._batch, threads=threads
        )
        self._settings = self._settings or settings
        if different := differing(self._settings, settings):
            changes = (f"{key} is {new}, not {old}" for key, (old, new) in different.items())
            cause = f"features would differ: {'; '.join(changes)}"
            raise UsageError(cause, file=str(seat.process))
        if self._store is None:
            yield None  # until there is something to do
        assert self._store is not None
        place = str(self._store.place.local or self._store.place.name)
        yield seat.actor.open.remote(place, self._sample)
        seat.ready, seat.failed_starts = True, 0
        while True:
            more = self._dispatch.more(seat.at_hand)
            seat.at_hand += more
            report: WorkerReport = yield seat.actor.work.remote(more, _REPORT_EVERY)
            ended = {outcome.name for outcome in report.outcomes}
            seat.at_hand = [video for video in seat.at_hand if readable(video.name) not in ended]
            self._outcomes += report.outcomes
            if report.progress is not None and report.progress[0] in seat.at_hand:
                self._on_snippet(*report.progress)
            if report.stopped is not None:
                return report.stopped

    def _step(self) -> None:
        """Wait for workers, and go on with those that have done something."""
        waiting = {seat.waits_for: seat for seat in self._seats if seat.waits_for is not None}
        self._ray.wait(list(waiting), timeout=_REPORT_EVERY)
        # All that are ready by now, or those in front would always be served first.
        done, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for reference in done:
            seat = waiting[reference]
            try:
                came = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                self._replace(seat, self._why(error))
            else:
                self._go_on(seat, came)
        if self.processes or self._store is None:
            self._notified_at = time.monotonic()
        elif time.monotonic() - self._notified_at > _PAUSE:
            self._notified_at = time.monotonic()
            self._notify(f"no worker is at work; {len(self._seats)} wait for the cluster")

    def _go_on(self, seat: _Seat, came: Any) -> None:
        assert seat.life is not None
        if isinstance(came, DuetalError):
            raise type(came)(str(came), file=str(seat.process))
        try:
            seat.waits_for = seat.life.send(came)
        except StopIteration as stopped:
            self._replace(seat, stopped.value)

    def _replace(self, seat: _Seat, reason: Exception) -> None:
        """Have a lost worker's videos tried again, and put another worker into its seat."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(seat.actor)
        where = "a worker" if seat.process is None else f"the worker on {seat.process}"
        if not seat.ready:
            seat.failed_starts += 1
            if seat.failed_starts == ATTEMPTS:
                raise DuetalError(f"{where} was lost before it was ready: {reason}")
        again = [video for video in seat.at_hand if not self._settle(video, reason)]
        names = ", ".join(readable(video.name) for video in again)
        self._notify(f"{where} was lost: {reason}" + (f"; tried again: {names}" if again else ""))
        self._start(seat)

    def _settle(self, video: Video, reason: Exception) -> bool:
        """Find out whether a video is done with although its worker was lost."""
        assert self._store is not None
        if record := self._store.complete_record(video.name):
            self._outcomes.append(record)
            return True
        if self._dispatch.lost(video):
            return False
        if isinstance(reason, DuetalError):
            raise reason
        cause = f"{ATTEMPTS} workers were lost over it, the last one because {reason}"
        error = DuetalError(cause, file=readable(video.source))
        self._outcomes.append(Failure.of(video, error, attempts=ATTEMPTS))
        return True

    def _why(self, error: Exception) -> Exception:
        """Why a worker was lost; UsageError if its machine can't run workers at all."""
        if getattr(error, "actor_init_failed", False):
            last = str(error).strip().splitlines()[-1]
            needed = f"duetal {duetal.__version__} has to be installed on every machine"
            raise UsageError(f"{needed} of the cluster; one reports: {last}")
        if isinstance(error, self._ray.exceptions.OutOfMemoryError):
            return RuntimeError("its machine ran out of memory")
        if isinstance(error, self._ray.exceptions.RayTaskError):
            return RuntimeError(f"{type(error.cause).__name__}: {error.cause}")
        lost = "machine was lost" if "node has died" in str(error) else "process ended"
        return RuntimeError(f"its {lost}")
