"""The training videos of a run whose dataset grows, or is corrected, while it trains."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from filelock import FileLock

from duetal.core.errors import DuetalError
from duetal.core.records import Record, read_if_there
from duetal.core.weak_videos import WeakVideos
from duetal.datasets import Dataset
from duetal.datasets.layouts import Pieces
from duetal.results.folder import RunFolder
from duetal.runs.class_splits import only_classes

_FILE = "videos.json"
#: How often a dataset that is being written is read, and the seconds in between.
_ATTEMPTS, _PAUSE = 5, 0.3
#: Names that a line of the log shows.
_SHOWN = 5


class KnownVideos(Record):
    """`videos.json`: the classes that a run began with, and the labels of its training videos."""

    classes: list[str]
    videos: dict[str, list[str]]


class GrowingVideos:
    """Gives a run's training videos as they are now, at each call.

    New videos join as soon as they have labels and features, and the newest labels count. A video
    that the dataset lists no longer is trained on as before, unless it is to be evaluated on now.
    One with a class that the run did not begin with is left out. `videos.json` keeps what is known,
    for all processes of the run and for a resumed one.

    Args:
        folder: of the run.
        opened: opens the dataset.
        pieces: finds the pieces of the dataset, whose changes tell when to open it again.
        weak: gives the training videos of a dataset.
        notify: takes a line on what has changed.

    Raises:
        DuetalError: the dataset cannot be read, or changes again and again while it is.
    """

    def __init__(
        self,
        folder: RunFolder,
        opened: Callable[[], Dataset],
        pieces: Callable[[], Pieces],
        weak: Callable[[Dataset], WeakVideos],
        notify: Callable[[str], object] = lambda line: None,
    ):
        self._folder, self._opened, self._pieces, self.notify = folder, opened, pieces, notify
        self._stamp: object = None
        self._waiting: dict[str, str] = {}  # Why videos are left out for now, by name.
        self._weak = weak
        self._join(self._reread())

    def __call__(self) -> WeakVideos:
        """The training videos, read anew if a file of the dataset has changed."""
        if self._waiting or self._now() != self._stamp:
            self._join(self._reread())
        return self.videos

    def _now(self) -> object:
        """What changes with a file of the annotations, or with the files of a feature folder."""
        with suppress(DuetalError, OSError):
            found = self._pieces()
            lists = (found.annotations, found.train_labels, found.train_list, found.test_list)
            parts = [part for stream in found.streams.values() for part in stream]
            paths = [*filter(None, lists), *(place for part in parts for place in part.places)]
            return [
                (path, s.st_ino, s.st_size, s.st_mtime_ns) for path in paths for s in [path.stat()]
            ]
        return None

    def _reread(self) -> Dataset:
        """Open the dataset such that nothing of it changes meanwhile."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            before = self._now()
            try:
                dataset = self._opened()
            except DuetalError as error:
                failure = error
                continue
            self._stamp = self._now()
            if before is not None and before == self._stamp:
                return dataset
            failure = DuetalError("changes while it is read", file=dataset.annotations.source)
        raise failure

    def _join(self, found: Dataset) -> None:
        """Take what is new into what is known."""
        file = self._folder.path / _FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(".videos.lock")):
            before = read_if_there(KnownVideos, file)
            classes = before.classes if before else list(found.classes)
            videos = dict(before.videos) if before else {}
            for name in set(videos).intersection(found.evaluation):
                del videos[name]
            waiting = {}
            for name, labels in found.train_labels.items():
                reason = _unusable(found, name, labels, classes, is_new=name not in videos)
                if reason is None:
                    videos[name] = list(labels)
                else:
                    waiting[name] = reason
            known = KnownVideos(classes=classes, videos=videos)
            self.dataset = _with(found, known)
            self.videos = self._weak(self.dataset)
            if known != before:
                known.write(file)
        self._tell(before, known, waiting)

    def _tell(
        self, before: KnownVideos | None, known: KnownVideos, waiting: dict[str, str]
    ) -> None:
        if before is not None:
            new = [name for name in known.videos if name not in before.videos]
            corrected = [n for n, was in before.videos.items() if known.videos.get(n, was) != was]
            gone = [name for name in before.videos if name not in known.videos]
            for names, what in (
                (new, "joined"),
                (corrected, "with corrected labels"),
                (gone, "that are evaluated on now, left out"),
            ):
                if names:
                    self.notify(f"training videos {what} ({len(names):,}): {_few(names)}")
        for name, reason in waiting.items():
            if self._waiting.get(name) != reason:
                self.notify(reason)
        self._waiting = waiting


def _unusable(
    dataset: Dataset, name: str, labels: tuple[str, ...], classes: list[str], *, is_new: bool
) -> str | None:
    """Why a video cannot be trained on, or not with its new labels."""
    for label in labels:
        if label not in classes:
            cause = (
                f"the run did not begin with the class {label!r}, so this is left out; when the "
            )
            cause += "run is done, duetal train --from goes on with more classes"
            file = dataset.annotations.source or dataset.source
            return str(DuetalError(cause, file=file, place=f"video {name!r}"))
    if is_new:
        try:
            dataset.length(name)
        except DuetalError as error:
            return f"{error}; the video is left out until then"
    return None


def as_begun(dataset: Dataset, folder: RunFolder) -> Dataset:
    """The dataset with the classes and the training videos that a run in a folder knows.

    Where its dataset does not grow it is the dataset as it is.
    """
    known = read_if_there(KnownVideos, folder.path / _FILE)
    return dataset if known is None else _with(dataset, known)


def _with(dataset: Dataset, known: KnownVideos) -> Dataset:
    """The dataset with the known videos that have features."""
    there = set.intersection(*(set(stream.names()) for stream in dataset.streams.values()))
    labels = {name: tuple(own) for name, own in known.videos.items() if name in there}
    classes, annotations, words = tuple(known.classes), dataset.annotations, dataset.display_names
    if classes != dataset.classes:
        annotations = only_classes(annotations, classes)
        words = {label: words.get(label, label) for label in classes}
    return replace(dataset, annotations=annotations, train_labels=labels, display_names=words)


def _few(names: list[str]) -> str:
    more = f", … ({len(names) - _SHOWN:,} more)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
