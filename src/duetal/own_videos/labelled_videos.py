"""From a folder of videos and a table of their labels to a dataset that can be trained on.

RUN/video-dataset/annotations.json   the labels, the split, and how long each video is
RUN/video-dataset/dataset.yaml       where the features are
RUN/video-dataset/...                the features themselves, unless a store elsewhere has them
"""

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from duetal.core.annotations import NOTHING_HAPPENS, Annotations, VideoAnnotation
from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.files import write_text
from duetal.core.video_names import without_suffix
from duetal.datasets.dataset import classes_without_video
from duetal.datasets.splitting import hold_back
from duetal.extraction.sources import Failure
from duetal.extraction.store import Store, branch_streams, text_encoder
from duetal.features.metadata import DATASET_FILE, array_file
from duetal.formats.activitynet import read_annotations, write_annotations
from duetal.formats.video_table import LabelledVideo, Split

if TYPE_CHECKING:
    # It imports fsspec's file systems, which other commands do not need.
    from duetal.extraction.sources import Found, Video

ANNOTATIONS_FILE = "annotations.json"
#: How similar two labels are of which one may be a typing error, from 0 to 1.
_ALIKE = 0.8


@dataclass(frozen=True)
class OwnVideos:
    """Videos and their rows of the table."""

    table: Path
    rows: "Mapping[Video, LabelledVideo]"
    #: In the table; not there, or not to be used as they are named.
    missing: tuple[Failure, ...]
    #: Names of videos that are there and not in the table.
    unlisted: tuple[str, ...]


def match(rows: Iterable[LabelledVideo], found: "Found", table: Path) -> OwnVideos:
    """Find the video of each row of a table.

    A row names it by its file's name, with or without folders and suffix.

    Raises:
        DuetalError: two rows name one video, or no row names any.
    """
    by_name = {video.name: video for video in found.videos}
    by_name |= {_file_name(video.source): video for video in found.videos}
    unusable = {failure.name: failure for failure in found.failures}
    matched: dict[Video, LabelledVideo] = {}
    missing: list[Failure] = []
    seen: dict[str, LabelledVideo] = {}
    for row in rows:
        file_name = _file_name(row.video)
        video = by_name.get(file_name) or by_name.get(without_suffix(file_name))
        name = without_suffix(file_name) if video is None else video.name
        if name in seen:
            cause = f"{row.video!r} is listed twice, first in {seen[name].place}"
            raise DuetalError(cause, file=table, place=row.place)
        seen[name] = row
        if video is not None:
            matched[video] = row
        elif name in unusable:
            missing.append(unusable[name])
        else:
            error = DuetalError(unknown("video", row.video, by_name), file=table, place=row.place)
            missing.append(Failure(name=name, source=row.video, reason=str(error)))
    if not matched:
        reason = f"; {missing[0].reason}" if missing else ""
        raise DuetalError(f"none of its videos is there{reason}", file=table)
    unlisted = tuple(video.name for video in found.videos if video not in matched)
    return OwnVideos(table, matched, tuple(missing), unlisted)


def _file_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def doubtful_labels(rows: Iterable[LabelledVideo]) -> list[str]:
    """Labels that look like a typing error, one line each.

    Such a label differs from another one in capitals or spaces alone, or it occurs in a single
    video and is similar to one that occurs in more.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for label in row.labels:
            places[label].append(row.place)
    by_number = sorted(places, key=lambda label: (-len(places[label]), label))
    doubts = []
    for rank, label in enumerate(by_number):
        others = {_folded(other): other for other in reversed(by_number[:rank])}
        once = len(places[label]) == 1
        more = {key: o for key, o in others.items() if len(places[o]) > 1 and once}
        near = difflib.get_close_matches(_folded(label), more, n=1, cutoff=_ALIKE)
        meant = others.get(_folded(label)) or (more[near[0]] if near else None)
        if meant is not None:
            where = f"once, in {places[label][0]}" if once else f"{len(places[label])} times"
            doubts.append(
                f"label {label!r} occurs {where}, and {meant!r} {len(places[meant])} times; "
                "if they are one class, spell them alike"
            )
    return doubts


def _folded(label: str) -> str:
    return re.sub(r"[\s_\-]", "", label).casefold()


def require_plan(own: OwnVideos) -> None:
    """Check before anything is extracted that there would be something to learn.

    Raises:
        DuetalError: no class at all, or a class without a training video.
    """
    rows = own.rows.values()
    classes = sorted({label for row in rows for label in row.labels})
    training = (row.labels for row in rows if row.split is not Split.TEST)
    _require_learnable(training, classes, own.table)


def _require_learnable(
    training: Iterable[Collection[str]], classes: Sequence[str], table: Path
) -> None:
    known = [tuple(sorted(labels)) for labels in training]
    if not classes:
        raise DuetalError("no video has a label, so there is nothing to learn", file=table)
    for label in classes_without_video(classes, known):
        raise DuetalError(f"class {label!r} has no training video", file=table)


def annotate(
    own: OwnVideos, store: Store, failures: Iterable[Failure], strong: Annotations | None
) -> Annotations:
    """The labels and segments of the videos that have features, split into training and test.

    `failures` have no features. Where `strong` has segments of some videos, the run is evaluated on
    those: a held-out video without segments is left out.

    Raises:
        DuetalError: too little is left to learn from; no segment is of a held-out video.
    """
    failed = {failure.name for failure in failures}
    rows = {video.name: row for video, row in own.rows.items() if video.name not in failed}
    held_out = _held_out(rows, strong)
    videos: dict[str, VideoAnnotation] = {}
    for name, row in rows.items():
        duration = getattr(store.record(name), "end", None)
        video = VideoAnnotation(name, str(Split.TRAIN), duration, row.labels)
        if not row.labels:
            # Nothing happens in it: so its segments are known, too.
            video = replace(video, segments=(), facts=json.dumps({NOTHING_HAPPENS: True}))
        if name in held_out:
            marked = None if strong is None else strong.videos.get(name)
            source = video if marked is None else replace(marked, duration=duration)
            if strong is not None and source.segments is None:
                continue
            video = replace(source, subset=str(Split.TEST))
        videos[name] = video
    classes = sorted({label for video in videos.values() for label in video.labels})
    training = [video.labels for video in videos.values() if video.subset == Split.TRAIN]
    _require_learnable(training, classes, own.table)
    if strong is not None and not any(video.segments for video in videos.values()):
        cause = (
            "marks no action in a video that could be held out; the table can name those, "
            "in a third column, split (train, test)"
        )
        raise DuetalError(cause, file=strong.source)
    return Annotations(videos, tuple(classes), own.table)


def _held_out(rows: Mapping[str, LabelledVideo], strong: Annotations | None) -> frozenset[str]:
    if any(row.split for row in rows.values()):
        return frozenset(name for name, row in rows.items() if row.split is Split.TEST)
    # Videos in which nothing happens are held out like a class.
    labels = {name: row.labels or ("",) for name, row in rows.items()}
    if strong is None:
        return hold_back(labels)
    # One annotated video is a better test than many without segments.
    marked = [name for name in rows if name in strong.videos and strong.videos[name].segments]
    return hold_back(labels, marked, least=1)


def write_dataset(folder: Path, annotations: Annotations, store: Store, *, begun: bool) -> None:
    """Write a dataset of a local store's features; where the store is the folder, beside them.

    Once a run has begun there, the evaluation videos may change, the training videos may not.

    Raises:
        UsageError: the run would go on with other labels than it began with.
        DuetalError: it can't be written.
    """
    file = folder / ANNOTATIONS_FILE
    if begun and file.is_file():
        before, now = (
            {video.name: video.labels for video in known if video.subset == Split.TRAIN}
            for known in (read_annotations(file), annotations)
        )
        if changed := {name for name, _ in before.items() ^ now.items()}:
            cause = (
                f"the run began with other training videos or labels ({len(changed):,} differ, "
                f"{min(changed)!r} for one); train in another --out, with --store {folder}"
            )
            raise UsageError(cause, file=file)
    place = store.place.local
    assert place is not None, "features are read from a local folder alone"
    if place.resolve() != folder.resolve():
        # Absolute, as the store may be anywhere.
        description: dict[str, object] = {
            branch: [str((place / array_file(name, "_")).parent.resolve()) for name in names]
            for branch, names in branch_streams(store.settings).items()
        }
        description |= {"annotations": ANNOTATIONS_FILE, "grid": dict(store.settings["grid"])}
        if (encoder := text_encoder(store.settings)) is not None:
            description["text_encoder"] = encoder
        write_text(folder / DATASET_FILE, yaml.safe_dump(description, sort_keys=False))
    write_annotations(file, annotations)
