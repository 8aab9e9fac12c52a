"""What a run learns from once a person has said more: its own videos, and those of the person.

FOLDER/dataset.yaml       where the features are: of a store, and of the first run's dataset
FOLDER/labels.csv         the table of a review: all that is known of the training videos
FOLDER/annotations.json   the videos that are evaluated on, with their segments
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.files import write_text
from duetal.core.known_times import LabelUse
from duetal.datasets import Dataset
from duetal.datasets.splitting import hold_back
from duetal.features.metadata import DATASET_FILE
from duetal.formats.activitynet import write_annotations
from duetal.formats.csv_table import ABSENT, COMPLETE, PRESENT, REVIEW_HEADER
from duetal.formats.delimited import write_rows

LABELS_FILE, ANNOTATIONS_FILE = "labels.csv", "annotations.json"
TEST = "test"
#: Of the table of a review: video, label, start and end in seconds (or empty), what is known.
KnownRow = tuple[str, str, float | str, float | str, str]


@dataclass(frozen=True)
class PersonsWord:
    """What a person has said of videos."""

    rows: Sequence[KnownRow]
    #: Of the videos that were looked through to their ends: all that happens in them.
    complete: Mapping[str, VideoAnnotation] = field(default_factory=dict)
    #: Classes of the run that have another name by now.
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Corrected:
    """A dataset that was written."""

    use: LabelUse
    evaluation: tuple[str, ...]  #: Held out, whether their segments are known or not.
    has_segments: bool  #: Whether there is something to evaluate on.


def write_corrected(
    folder: Path,
    word: PersonsWord,
    store: Path,
    first: Dataset | None = None,
    *,
    use: LabelUse = LabelUse.VIDEO,
    held_out: Collection[str] = (),
) -> Corrected:
    """Write a dataset of what a person has said, and of what a run was trained on before.

    A person's word counts where both say something. Videos that are held out are never trained on:
    where a person looked through one, it is evaluated on what was found there.

    Args:
        folder: where it is written.
        word: what the person has said.
        store: the feature store of the person's videos.
        first: what the run was trained on that a person has corrected; None if there is none. Its
            evaluated videos are held out.
        use: of that run: which of the times in `first` it has learnt from.
        held_out: videos that are held out besides. Where there is neither a run nor any of them,
            a fifth of the videos of each class is, as far as enough are left.

    Raises:
        DuetalError: nothing is there to learn from; or it can't be written.
    """
    rows = list(word.rows)
    held = {*held_out, *(first.evaluation if first else ())}
    if first is None and not held:
        held = {*hold_back(_labels_of(rows))}
    rows = [row for row in rows if row[0] not in held]
    if first is not None:
        rows += _rows_before(first, word, rows, use)
    present = {row[1]: None for row in rows if row[4] == PRESENT}
    before = [word.renamed.get(label, label) for label in first.classes] if first else []
    classes = [label for label in dict.fromkeys((*before, *sorted(present))) if label in present]
    if not classes:
        raise DuetalError("nothing is known to happen in any training video: say so first")
    rows = [row for row in rows if row[1] in ("", *classes)]
    write_rows(folder / LABELS_FILE, ",", REVIEW_HEADER, rows, errors="replace")
    evaluated = dict(_evaluated(sorted(held), word, first, classes))
    if evaluated:
        write_annotations(folder / ANNOTATIONS_FILE, Annotations(evaluated, tuple(classes)))
    _describe(folder, store, first, classes, has_annotations=bool(evaluated))
    timed = any(row[2] != "" for row in rows)
    return Corrected(
        LabelUse.SEGMENTS if timed else LabelUse.VIDEO,
        tuple(sorted(held)),
        any(video.segments for video in evaluated.values()),
    )


def told(rows: Iterable[KnownRow]) -> str:
    """How much a person has said, in words: "12 videos: 20 labels, 3 points, 8 segments"."""
    rows = list(rows)
    counts = dict.fromkeys(("label", "point", "segment", "denial", "looked-through stretch"), 0)
    for _, _, start, end, known in rows:
        kind = "label" if start == "" else "point" if start == end else "segment"
        counts[{PRESENT: kind, ABSENT: "denial", COMPLETE: "looked-through stretch"}[known]] += 1
    plural = {what: f"{what}{'e' * what.endswith('h')}s" for what in counts}
    parts = [f"{n:,} {what if n == 1 else plural[what]}" for what, n in counts.items() if n]
    videos = len({row[0] for row in rows})
    return f"{videos:,} video{'s' * (videos != 1)}: {', '.join(parts) or 'nothing'}"


def _labels_of(rows: Iterable[KnownRow]) -> dict[str, set[str]]:
    labels: dict[str, set[str]] = {}
    for name, label, _, _, known in rows:
        labels.setdefault(name, set()).update([label] if known == PRESENT else [])
    return labels


def _rows_before(
    first: Dataset, word: PersonsWord, rows: Iterable[KnownRow], use: LabelUse
) -> Iterator[KnownRow]:
    """What a run knew of its training videos, as far as the person says nothing else."""
    said: dict[str, set[str]] = {}
    corrected = set()
    for name, label, start, _, known in rows:
        corrected.add(name)
        if start == "" or known == PRESENT:
            said.setdefault(name, set()).add(label)
    for name, labels in first.train_labels.items():
        if name in word.complete:
            continue
        present = {word.renamed.get(label, label) for label in labels}
        for label in dict.fromkeys(word.renamed.get(each, each) for each in first.classes):
            if label not in said.get(name, ()):
                yield name, label, "", "", PRESENT if label in present else ABSENT
        if use is not LabelUse.VIDEO and name in first.marks and name not in corrected:
            yield from _times_before(first.marks[name], word.renamed)


def _times_before(video: VideoAnnotation, renamed: Mapping[str, str]) -> Iterator[KnownRow]:
    for one in video.segments or ():
        yield video.name, renamed.get(one.label, one.label), one.start, one.end, PRESENT
    if video.known is None:
        if video.segments is not None:
            yield video.name, "", "", "", COMPLETE
        return
    for one in video.known.absent:
        if one.end < float("inf"):
            yield video.name, renamed.get(one.label, one.label), one.start, one.end, ABSENT
    for start, end in video.known.complete:
        whole = end == float("inf")
        yield video.name, "", *(("", "") if whole else (start, end)), COMPLETE


def _evaluated(
    held: Iterable[str], word: PersonsWord, first: Dataset | None, classes: Collection[str]
) -> Iterator[tuple[str, VideoAnnotation]]:
    said = _labels_of(word.rows)
    for name in held:
        if name in word.complete:
            video = word.complete[name]
        elif first is not None and name in first.annotations.videos:
            video = first.annotations.videos[name]
        else:
            video = VideoAnnotation(name, labels=tuple(sorted(said.get(name, ()))))
        labels = {word.renamed.get(label, label) for label in video.labels}
        segments = video.segments
        if segments is not None:
            new = (replace(s, label=word.renamed.get(s.label, s.label)) for s in segments)
            segments = tuple(s for s in new if s.label in classes)
        yield (
            name,
            replace(
                video,
                subset=TEST,
                labels=tuple(sorted(labels.intersection(classes))),
                segments=segments,
            ),
        )


def _describe(
    folder: Path,
    store: Path,
    first: Dataset | None,
    classes: Sequence[str],
    *,
    has_annotations: bool,
) -> None:
    places = [str(store.absolute()), *([str(first.source)] if first is not None else ())]
    described: dict[str, object] = {
        "features_of": places,
        "train_labels": LABELS_FILE,
        "classes": list(classes),
    }
    if has_annotations:
        described["annotations"] = ANNOTATIONS_FILE
    write_text(folder / DATASET_FILE, yaml.safe_dump(described, sort_keys=False))
