"""Bringing a store up to a list of videos: what it has is kept, what is missing is extracted."""

from collections.abc import Callable, Generator, Iterable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from duetal.core.errors import DuetalError
from duetal.extraction.items import OnSnippet, ignore
from duetal.extraction.sources import Failure, Found, Video, fetched, readable, source_size
from duetal.extraction.store import Store
from duetal.features.metadata import VideoRecord, record_file

#: Videos that are looked up in a store at the same time.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for a list of videos."""

    #: Videos to extract, with the bytes of their files, None if not known.
    todo: dict[Video, int | None]
    complete: tuple[Video, ...]  #: Videos whose features are in the store.
    unusable: tuple[Failure, ...]  #: Videos that can't be extracted under the names they have.
    #: Videos whose files are missing, or not those that the store's features are of. That may
    #: be put right at any time, so it is not recorded.
    failures: tuple[Failure, ...]
    failed_before: tuple[Failure, ...]  #: Videos that failed before, and are not tried again.
    #: Those that failed as often as was asked for, which are not even tried again with the others.
    set_aside: tuple[Failure, ...] = ()

    def longest_first(self) -> "Plan":
        """The same, with the largest videos first, so that none of them is all that is left."""
        largest = sorted(self.todo.items(), key=lambda item: item[1] or 0, reverse=True)
        return replace(self, todo=dict(largest))


class Extracts(Protocol):
    """Whatever extracts as `Extractor` does."""

    def extract_all(
        self, videos: Iterable[Video], store: Store, on_snippet: OnSnippet
    ) -> Generator[VideoRecord | Failure, None, None]:
        """Extract videos into a store, one outcome each."""


def plan(
    found: Found, store: Store, *, retry_failed: bool = False, attempts: int | None = None
) -> Plan:
    """Find out what a store lacks.

    A video counts as complete only if its features were made of the very same file; one that failed
    is tried again with `retry_failed`, unless `attempts` at it have failed; when it lies elsewhere
    than it did then, or when damage is accepted. DuetalError if the store can't be read.
    """
    todo: dict[Video, int | None] = {}
    complete: list[Video] = []
    failures: list[Failure] = []
    failed_before: list[Failure] = []
    set_aside: list[Failure] = []
    # Listed once, and many requests at once: an object store answers each of them late.
    recorded = set(store.names())
    failed = {failure.name: failure for failure in store.failures()}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        checked = list(pool.map(partial(_check, store=store, recorded=recorded), found.videos))
    for video, (kept, size) in zip(found.videos, checked, strict=True):
        if isinstance(size, DuetalError):
            failures.append(Failure.of(video, size))
            continue
        failure = failed.get(readable(video.name))
        if kept:
            complete.append(video)
        elif failure is None or video.damaged or failure.source != readable(video.source):
            todo[video] = size
        elif attempts is not None and failure.attempts >= attempts:
            set_aside.append(failure)
        elif retry_failed:
            todo[video] = size
        else:
            failed_before.append(failure)
    return Plan(
        todo,
        complete=tuple(complete),
        unusable=found.failures,
        failures=tuple(failures),
        failed_before=tuple(failed_before),
        set_aside=tuple(set_aside),
    )


def _check(video: Video, store: Store, recorded: Set[str]) -> tuple[bool, int | DuetalError | None]:
    """Whether a store has a video's features, and the size of its file or what is wrong with it."""
    record = store.complete_record(video.name) if video.name in recorded else None
    try:
        size = source_size(video.source)
        if record is not None:
            _check_same(video, size, record)
    except DuetalError as error:
        return record is not None, error
    return record is not None, size


def _check_same(video: Video, size: int | None, record: VideoRecord) -> None:
    """Raise DuetalError unless features that are there were made of this very file."""
    if video.stream not in (None, record.stream):
        cause = (
            f"the store has features of stream {record.stream}; take another store, or delete "
            f"{record_file(record.name)} there"
        )
        raise DuetalError(cause, file=readable(video.source))
    same = size in (None, record.size)
    if same and record.source != readable(video.source):
        with fetched(video.source) as file:
            same = file.sha256 == record.sha256
    if not same:
        cause = (
            f"the store has features of another video of this name, or of another version of it, "
            f"made from {record.source} with {record.size:,} bytes; take another store, or delete "
            f"{record_file(record.name)} there"
        )
        raise DuetalError(cause, file=readable(video.source))


def extract_missing(
    planned: Plan,
    store: Store,
    extractor: Extracts,
    on_snippet: OnSnippet = ignore,
    on_outcome: Callable[[VideoRecord | Failure], object] = lambda outcome: None,
) -> tuple[Failure, ...]:
    """Extract what a store lacks by its plan, and record what fails.

    `on_snippet` is called while a video is worked on, `on_outcome` when it is in the store or could
    not be extracted. Gives what failed now, in the order of the plan's, then of the videos; not
    what failed before.

    Raises:
        DuetalError: the store can't be written to or is full, or a network does not fit into
            memory. What was finished before is in the store.
    """
    for failure in planned.unusable:
        if store.record(failure.name) is None:
            store.fail(failure)
    failures = [*planned.unusable, *planned.failures]
    # Another process may have been at work on the same store in the meantime.
    missing = (video for video in planned.todo if not store.is_complete(video.name))
    with closing(extractor.extract_all(missing, store, on_snippet)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                store.fail(outcome)
                failures.append(outcome)
            on_outcome(outcome)
    return tuple(failures)


def manifest_rows(store: Store, planned: Plan, attempts: int) -> Iterator[dict[str, Any]]:
    """The rows of a store's manifest: its videos as they are now, and those it lacks of a plan.

    First those that are done, then those that failed (`attempts` times: set aside), then those that
    are missing: never tried, not there, or in another process's hands.
    """
    seen = set()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for record in pool.map(store.record, store.names()):
            if record is not None:
                seen.add(record.name)
                seconds = round(sum(record.seconds.values()), 3)
                yield record.model_dump() | {"state": "done", "seconds": seconds}
    others = [(f, "set aside" if f.attempts >= attempts else "failed") for f in store.failures()]
    others += [(f.model_copy(update={"attempts": 0}), "missing") for f in planned.failures]
    never = DuetalError("not extracted yet")
    others += [(Failure.of(video, never, attempts=0), "missing") for video in planned.todo]
    for failure, state in others:
        if failure.name not in seen:
            seen.add(failure.name)
            yield failure.model_dump() | {"state": state}
