"""A dataset: streams of features, and the annotations of the videos."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations, KnownStretches, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.core.known_times import KnownTimes, LabelUse
from duetal.core.url_paths import UrlPath
from duetal.core.weak_videos import WeakVideos
from duetal.features.metadata import VideoRecord, recorded
from duetal.features.streams import FeatureStream, common_length


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset that has been opened: names and labels are in memory, features on disk."""

    source: Path  #: The folder or file it was opened from.
    annotations: Annotations  #: Of all videos, with the segments where they are known.
    train_labels: Mapping[str, tuple[str, ...]]  #: Of the training videos with features.
    evaluation: tuple[str, ...]  #: Names of the evaluated videos with features.
    missing: tuple[str, ...]  #: Names of the training and evaluated videos without features.
    streams: Mapping[str, FeatureStream]  #: Features by the name of the branch that reads them.
    grid: TimeGrid  #: The time grid of all streams.
    #: That of the vision-language features: a folder or a hub name; or a `.npy`.
    text_encoder: str | None
    display_names: Mapping[str, str]  #: What each class is called in a prompt.
    #: What is known of the training videos' times.
    marks: Mapping[str, VideoAnnotation] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of their indices."""
        return self.annotations.classes

    @property
    def training(self) -> tuple[str, ...]:
        """Names of the training videos."""
        return tuple(self.train_labels)

    def length(self, name: str) -> int:
        """T, the number of snippets of a video in all streams.

        Raises:
            DuetalError: unreadable, or streams of different T; names both files.
        """
        return common_length(name, *self.streams.values())

    def duration(self, name: str) -> float | None:
        """Seconds of a video: as annotated, or as recorded when its features were made."""
        known = self.annotations.videos.get(name)
        if known is not None and known.duration is not None:
            return known.duration
        record = self._record(name)
        return None if record is None else record.end

    def offset(self, name: str) -> float:
        """Seconds at which a video's first snippet begins, on the clock of players and tools.

        Above 0 where a file's pictures begin later than its sound.
        """
        record = self._record(name)
        return 0.0 if record is None else record.offset

    def on_grid(self, video: VideoAnnotation) -> VideoAnnotation:
        """A video's annotation with its segments in seconds after its first snippet's begin."""
        offset = self.offset(video.name)
        if not offset:
            return video
        segments, known = video.segments, video.known
        if segments is not None:
            segments = tuple(s.moved(-offset) for s in segments)
        if known is not None:
            absent = tuple(s.moved(-offset) for s in known.absent)
            complete = tuple((start - offset, end - offset) for start, end in known.complete)
            known = KnownStretches(absent, complete)
        return replace(video, segments=segments, known=known)

    def _record(self, name: str) -> VideoRecord | None:
        place = next(iter(self.streams.values())).parts[0].place_of(name)
        if isinstance(place, UrlPath):
            return self._records.get(name)
        return recorded(place, name)

    @cached_property
    def _records(self) -> Mapping[str, VideoRecord]:
        """Those of all videos of a store at a URL, which are read together."""
        first = next(iter(self.streams.values()))
        return dict(first.parts[0].records(first.names()))

    def weak(self, use: LabelUse = LabelUse.VIDEO) -> WeakVideos:
        """The training videos with their labels alone, or with the times that `use` asks for.

        Raises:
            DuetalError: no training video, a class without one, streams of different T.
        """
        for cause in training_faults(self.classes, self.train_labels):
            raise DuetalError(cause, file=self.source)
        index = {label: column for column, label in enumerate(self.classes)}
        labels = np.zeros((len(self.train_labels), len(index)), dtype=np.bool_)
        for row, (name, present) in enumerate(self.train_labels.items()):
            self.length(name)
            labels[row, [index[label] for label in present]] = True
        return WeakVideos(
            self.source,
            self.training,
            self.classes,
            labels,
            self.streams,
            self.grid,
            self.text_encoder,
            self.display_names,
            self._unknown(labels),
            {} if use is LabelUse.VIDEO else dict(self._times(use)),
        )

    def _unknown(self, labels: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """(N, K) which classes may occur beside the labels (N, K); None where no video is so."""
        unknown = np.zeros_like(labels)
        for row, name in enumerate(self.training):
            unsaid = self._unsaid(name)
            unknown[row] = [label in unsaid for label in self.classes]
        unknown &= ~labels
        return unknown if unknown.any() else None

    def _unsaid(self, name: str) -> set[str]:
        """The classes of which nobody has said whether a video is without them."""
        known = self.marks[name].known if name in self.marks else None
        if known is None:
            return set()
        starts, ends = np.array(known.complete, dtype=np.float64).reshape(-1, 2).T
        if self.grid.cover(starts, ends, self.length(name)).all():
            return set()
        without = {s.label for s in known.absent if s.end - s.start == np.inf}
        return {*self.classes} - without

    def _times(self, use: LabelUse) -> Iterator[tuple[str, KnownTimes]]:
        """What is known of when things happen in the training videos, by name."""
        index = {label: column for column, label in enumerate(self.classes)}
        for name, labels in self.train_labels.items():
            if name not in self.marks:
                continue
            video = self.on_grid(self.marks[name])
            marks = [s for s in video.segments or () if s.label in index]
            points = tuple((s.start, index[s.label]) for s in marks if s.start == s.end)
            segments = tuple((s.start, s.end, index[s.label]) for s in marks if s.start < s.end)
            # Actions that may not be known are somewhere; so are those that are known to occur.
            hidden = {*labels} - {s.label for s in marks}
            if use is LabelUse.POINTS:
                hidden |= {self.classes[k] for *_, k in segments}
                segments = ()
            known = video.known or KnownStretches(
                complete=() if video.segments is None else ((-np.inf, np.inf),)
            )
            # That a video is without a class is its label, which is learnt as such.
            possible = {*labels} | self._unsaid(name)
            absent = ((s.start, s.end, index[s.label]) for s in known.absent if s.label in possible)
            complete = (
                (start, end, index[label])
                for start, end in known.complete
                for label in self.classes
                if label in possible and label not in hidden
            )
            found = KnownTimes(points, segments, tuple(absent), tuple(complete))
            if found != KnownTimes() or video.segments == ():
                yield name, found


def training_faults(
    classes: Iterable[str], train_labels: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Why nothing can be trained on the labels of videos with features; each class needs one."""
    if not train_labels:
        return ["no training video with labels and features"]
    if not any(train_labels.values()):
        return ["no training video has a label"]
    missing = classes_without_video(classes, train_labels.values())
    return [f"class {label!r} has no training video" for label in missing]


def classes_without_video(
    classes: Iterable[str], labels: Iterable[tuple[str, ...]]
) -> tuple[str, ...]:
    """The classes that no video of the given labels carries."""
    seen = {label for present in labels for label in present}
    return tuple(label for label in classes if label not in seen)
