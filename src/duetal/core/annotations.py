"""What is known of videos: labels, and segments where somebody marked them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from duetal.core.errors import DuetalError


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One action instance: `[start, end]` in seconds, and its class."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class VideoAnnotation:
    """What is known of one video.

    Args:
        name: the video's name, its file name without folder and suffix.
        subset: the split as the source spells it ("training", "validation", "test", …).
        duration: seconds, where the source says so.
        labels: the classes that occur, sorted, each once.
        segments: the marked instances; None where only labels are known (weak annotation).
        ambiguous: intervals that the source excludes from judgement (THUMOS14).
        facts: what else the source says of the video (its address, its frame rate, …): a JSON
            object as text, or nothing. No code of ours acts on it; forms that can hold it do.
    """

    name: str
    subset: str | None = None
    duration: float | None = None
    labels: tuple[str, ...] = ()
    segments: tuple[Segment, ...] | None = None
    ambiguous: tuple[Segment, ...] = ()
    facts: str = ""


@dataclass(frozen=True)
class Annotations:
    """The annotation of a set of videos, in the order of the source.

    Args:
        videos: by name.
        classes: every class, in the order that gives class indices.
        source: the file or folder it was read from, for error messages.
    """

    videos: Mapping[str, VideoAnnotation]
    classes: tuple[str, ...]
    source: Path | None = None
    #: What the reader had to repair or leave out, one line each; shown by `duetal check`.
    notes: tuple[str, ...] = field(default=())
    #: What the source says beside this, one line each with a count; shown by `duetal convert`.
    left_out: tuple[str, ...] = field(default=())
    #: As of a video: what else the source says of all of them, such as ActivityNet's taxonomy.
    facts: str = ""

    def __post_init__(self) -> None:
        known = set(self.classes)
        for video in self.videos.values():
            for label in video.labels:
                if label not in known:
                    raise DuetalError(
                        f"label {label!r} is not in the class list",
                        file=self.source,
                        place=f"video {video.name!r}",
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

        ActivityNet keeps the segments of its testing subset to itself, so validation serves;
        THUMOS14 trains on validation and evaluates on test.
        """
        test = self.by_subset("test")
        if any(self.videos[name].segments for name in test):
            return test
        if self.by_subset("train"):
            return self.by_subset("val") or test
        return test
