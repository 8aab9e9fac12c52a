"""Annotations of videos: labels, and segments where they are marked; names of classes."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError
from duetal.core.tables import MAX_ROWS, data_frame, html_table

#: The field of a video's facts that tells "none of the classes" from "no label is known".
NOTHING_HAPPENS = "nothing_happens"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One action instance: `[start, end]` in seconds, and its class."""

    start: float
    end: float
    label: str

    def moved(self, seconds: float) -> "Segment":
        """The same action so much later."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)


@dataclass(frozen=True, slots=True)
class KnownStretches:
    """What is known of a video beside its labels and segments, where not all of it is known."""

    #: Stretches without a class; from -inf to inf where the video is without it.
    absent: tuple[Segment, ...] = ()
    #: Stretches (seconds) in which nothing happens but the segments.
    complete: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class VideoAnnotation:
    """The annotation of one video."""

    name: str  #: The video's file name without folder and suffix.
    subset: str | None = None  #: As the source spells it ("training", "validation", "test", …).
    duration: float | None = None  #: Seconds, where the source has it.
    labels: tuple[str, ...] = ()  #: The classes that occur, sorted, each once.
    #: None where only labels are known (weak). One of no length is a moment inside of an action.
    segments: tuple[Segment, ...] | None = None
    ambiguous: tuple[Segment, ...] = ()  #: Intervals excluded from evaluation (THUMOS14).
    #: Other fields of the source (address, frame rate, …): a JSON object as text, or empty.
    #: Used only to write formats that can hold them.
    facts: str = ""
    #: None where all labels and, if any is, all segments are listed.
    known: KnownStretches | None = None

    @property
    def is_background(self) -> bool:
        """Whether the source states that none of the classes occurs, not just that none is known.

        An annotation without labels may be one that nobody has made yet.
        """
        return not self.labels and json.loads(self.facts or "{}").get(NOTHING_HAPPENS) is True


@dataclass(frozen=True, repr=False)
class Annotations:
    """The annotation of a set of videos, in the order of the source."""

    videos: Mapping[str, VideoAnnotation]  #: By name.
    classes: tuple[str, ...]  #: Every class, in the order that gives class indices.
    source: Path | None = None  #: The file or folder it was read from, for error messages.
    #: What the reader repaired or skipped, one line each; shown by `duetal check`.
    notes: tuple[str, ...] = ()
    #: Content of the source that has no place here, one line each with a count; for `convert`.
    left_out: tuple[str, ...] = ()
    #: Fields of the source about all videos, such as ActivityNet's taxonomy; as of a video.
    facts: str = ""

    def __post_init__(self) -> None:
        known = set(self.classes)
        for video in self.videos.values():
            missing = [label for label in video.labels if label not in known]
            if missing:
                cause = f"label {missing[0]!r} is not in the class list"
                raise DuetalError(cause, file=self.source, place=f"video {video.name!r}")

    def __repr__(self) -> str:
        segments = sum(len(video.segments or ()) for video in self)
        return (
            f"<Annotations: {segments:,} segments of {len(self.classes):,} classes "
            f"in {len(self):,} videos>"
        )

    def _repr_html_(self) -> str:
        header = ("video", "subset", "seconds", "labels", "segments")
        rows = [
            (
                video.name,
                video.subset or "",
                "" if video.duration is None else video.duration,
                ", ".join(video.labels),
                "unknown" if video.segments is None else len(video.segments),
            )
            for video in islice(self, MAX_ROWS)
        ]
        return html_table(repr(self).strip("<>"), header, rows, len(self))

    def to_frame(self) -> Any:
        """The segments as a `pandas.DataFrame`: video, subset, label, start, end (seconds).

        Raises:
            UsageError: pandas is not installed.
        """
        rows = [(video, segment) for video in self for segment in video.segments or ()]
        return data_frame(
            {
                "video": [video.name for video, _ in rows],
                "subset": [video.subset for video, _ in rows],
                "label": [segment.label for _, segment in rows],
                "start": [segment.start for _, segment in rows],
                "end": [segment.end for _, segment in rows],
            }
        )

    def __iter__(self) -> Iterator[VideoAnnotation]:
        return iter(self.videos.values())

    def __len__(self) -> int:
        return len(self.videos)

    def select(self, names: Iterable[str]) -> "Annotations":
        """The named videos alone, classes unchanged; unknown names are left out."""
        chosen = {name: self.videos[name] for name in names if name in self.videos}
        return replace(self, videos=chosen)

    def by_subset(self, prefix: str) -> tuple[str, ...]:
        """Names of the videos whose subset begins with a prefix in lower case."""
        return tuple(v.name for v in self if (v.subset or "").strip().lower().startswith(prefix))

    def training_names(self) -> tuple[str, ...]:
        """Videos to train on: the subset "train…" or, where there is none, "val…" (THUMOS14)."""
        return self.by_subset("train") or self.by_subset("val")

    def evaluation_names(self) -> tuple[str, ...]:
        """Videos to evaluate on: "test…" where any of it has segments, else "val…".

        ActivityNet does not publish the segments of its testing subset, so validation is used;
        THUMOS14 trains on validation and evaluates on test.
        """
        test = self.by_subset("test")
        if any(self.videos[name].segments for name in test):
            return test
        if self.by_subset("train"):
            return self.by_subset("val") or test
        return test


def display_name(label: str) -> str:
    """A class name as plain text: "HighJump" → "high jump", "STAND_TO_SIT" → "stand to sit".

    Words are split at underscores, hyphens and where a small letter or digit meets a capital.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", label)
    return re.sub(r"[\s_\-]+", " ", spaced).strip().lower()
