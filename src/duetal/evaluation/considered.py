"""What a protocol compares: the segments to find, and the predictions that its rules leave."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.array_types import Bools, Floats, Ints
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError, unknown
from duetal.core.grid import TimeGrid
from duetal.core.name_matching import propose
from duetal.core.segment_faults import describe_kinds, segment_kinds, span
from duetal.evaluation.protocols import Protocol, protocol_named

EXCLUDED = "video excluded by the protocol"
OTHER_SUBSET = "video not in the evaluated subset"
UNKNOWN_CLASS = "class not in the ground truth"
AMBIGUOUS = "overlaps an ambiguous segment"
#: Dropped classes that are named.
_NAMED = 5


@dataclass(frozen=True)
class GroundTruth:
    """The segments to find as columns, in the order of the annotation and the protocol's unit."""

    videos: tuple[str, ...]  # Names of the videos evaluated on.
    classes: tuple[str, ...]  # Those that occur, sorted.
    video: Ints  # (M,) indices into `videos`.
    label: Ints  # (M,) indices into `classes`.
    start: Floats  # (M,)
    end: Floats  # (M,)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def groups(self) -> Ints:
        """(M,) one number for each class in each video: `video * C + label`, with C classes."""
        return self.video * len(self.classes) + self.label

    def count(self, rows: Bools | slice = np.s_[:]) -> Ints:
        """(C,) number of segments of each class, among the chosen ones."""
        return np.bincount(self.label[rows], minlength=len(self.classes))


@dataclass(frozen=True)
class Considered:
    """The ground truth and the predictions that a protocol compares, in the protocol's unit."""

    protocol: Protocol
    subset: str  # As the annotation spells it.
    truth: GroundTruth
    detections: Detections  # The predictions that count, in their given order; finite.
    rows: Ints  # (N,) their rows in the detections that were given.
    dropped: Mapping[str, int]  # Number of predictions left out, by reason.
    notes: tuple[str, ...]  # What a reader of the numbers must know, one line each.


def consider(
    detections: Detections,
    annotations: Annotations,
    protocol: Protocol | str,
    subset: str | None = None,
    *,
    match_names: bool = False,
    count_excluded: bool = False,
) -> Considered:
    """Apply a protocol's rules to detections and annotations.

    Dropped and counted are predictions in videos of another subset or excluded by the protocol, and
    those of a class without a segment in the ground truth. Predictions in videos that the
    annotations do not list at all are false positives, as in ActivityNet's evaluator; a note counts
    them.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: or its name.
        subset: "train", "validation" or "test", or a name as the annotations spell it. Default:
            the subset that the protocol means, or the evaluation videos; with a note, another one
            where no detection lies in those or the annotations have none, and all videos where
            none has a subset (as after correction in a tool).
        match_names: take names of videos and classes for those of the annotations that differ from
            them by one rule: a prefix or suffix, case, the form of accents, `_` for a space.
        count_excluded: predictions in videos that the protocol excludes are false positives, as in
            the public code whose ground truth leaves them out, instead of being dropped.

    Raises:
        UsageError: an unknown protocol or subset.
        DuetalError: no segment to evaluate against, a value that is not finite, or most predictions
            of videos or classes that the annotations have by another name, or do not have at all.
    """
    if isinstance(protocol, str):
        protocol = protocol_named(protocol)
    detections.require_finite()
    detections, matching, unmet = _matched(detections, annotations, protocol, match_names)
    names, subset_name, notes = _choose_videos(detections, annotations, protocol, subset)
    listed = [name for name in names if name not in protocol.excluded]
    # Where an action may be, a detection is neither right nor wrong.
    names = tuple(name for name in listed if annotations.videos[name].segments is not None)
    truth = _ground_truth(annotations, names, subset_name)
    if subset is None and not notes and protocol.videos not in (None, len(names)):
        notes.append(f"{protocol.name} means {protocol.videos:,} videos; here are {len(names):,}")
    if unmet is not None:
        raise unmet
    notes += matching
    outside, dropped = _outside(detections, annotations, truth, protocol, count_excluded)
    notes += _unknown_classes(detections, annotations)
    rows = np.flatnonzero(~outside)
    kept = detections.take(rows)
    notes += _impossible(truth, kept, annotations)
    if protocol.grid is not None:
        truth = replace(truth, **_snapped(truth, protocol.grid))
        kept = replace(kept, **_snapped(kept, protocol.grid))
        ambiguous = _ambiguous(kept, annotations, protocol.grid)
        rows, kept = rows[~ambiguous], kept.take(~ambiguous)
        dropped[AMBIGUOUS] = int(ambiguous.sum())
        if not any(annotations.videos[name].ambiguous for name in names):
            notes.append("the annotations have no ambiguous segments, which this protocol uses")
    if len(names) < len(listed):
        unknown = len(listed) - len(names)
        notes.append(f"videos with labels and without segments: {unknown:,}, not evaluated")
    notes += _unlisted_note(kept, annotations)
    if not len(detections):
        notes.append("there are no detections")
    counted = {reason: count for reason, count in dropped.items() if count}
    return Considered(protocol, subset_name, truth, kept, rows, counted, tuple(notes))


def _matched(
    detections: Detections, annotations: Annotations, protocol: Protocol, apply: bool
) -> tuple[Detections, list[str], DuetalError | None]:
    """The detections under the annotations' names; notes; an error where names do not meet."""
    maps: list[Mapping[str, str]] = []
    notes, unmet = [], None
    for what, names, index, known in (
        ("video", detections.videos, detections.video, {*annotations.videos, *protocol.excluded}),
        ("class", detections.classes, detections.label, set(annotations.classes)),
    ):
        strange = np.array([name not in known for name in names], dtype=bool)
        rows = np.flatnonzero(strange[index])
        few = 2 * len(rows) <= len(index)
        proposal = propose(names, known) if strange.any() and (apply or not few) else None
        maps.append(proposal.names if proposal and apply else {})
        if proposal and apply:
            notes.append(f"names of {_PLURAL[what]} matched: {len(proposal.names):,}, {proposal}")
        elif proposal or (len(rows) and len(rows) == len(index)):
            cause = f"{len(rows):,} of {len(index):,} predictions are of {_PLURAL[what]} "
            cause += "that the annotations do not list; "
            if proposal is None:
                cause += unknown(what, names[index[rows[0]]], known)
            else:
                cause += f"--match-names (match_names=True) takes them with {proposal}"
            unmet = unmet or DuetalError(cause, file=detections.source)
    return detections.renamed(*maps), notes, unmet


def with_matched_names(
    detections: Detections, annotations: Annotations, protocol: Protocol
) -> Detections:
    """The detections under the annotations' names, as `consider` takes them by `match_names`."""
    return _matched(detections, annotations, protocol, apply=True)[0]


_PLURAL = {"video": "videos", "class": "classes"}


def _choose_videos(
    detections: Detections, annotations: Annotations, protocol: Protocol, subset: str | None
) -> tuple[tuple[str, ...], str, list[str]]:
    """The videos to evaluate on, what the annotations call them, and notes."""
    notes = []
    if subset is not None:
        names = _subset_names(annotations, subset)
    elif not any(video.subset for video in annotations):
        names = tuple(annotations.videos)
        notes.append("the annotations name no subset: all of their videos are evaluated")
    else:
        names, notes = _usual_videos(annotations, protocol)
        found = {detections.videos[index] for index in np.unique(detections.video)}
        if found.isdisjoint(names) and (others := _subset_with(found, annotations)):
            kind = "training videos" if set(others) <= set(annotations.training_names()) else ""
            spelled = kind or f"of the subset {_spelled(others, annotations)!r}"
            notes = [f"no detection lies in the evaluation videos: these are {spelled}"]
            names = others
    return names, _spelled(names, annotations), notes


def _usual_videos(
    annotations: Annotations, protocol: Protocol
) -> tuple[tuple[str, ...], list[str]]:
    """The videos that the protocol means, or else those that the annotations have; and notes."""

    def marked(names: tuple[str, ...]) -> bool:
        return any(annotations.videos[name].segments for name in names)

    meant = annotations.by_subset(protocol.subset) if protocol.subset else ()
    names = meant if marked(meant) else annotations.evaluation_names()
    if marked(names) and (names is meant or protocol.subset is None):
        return names, []
    if not marked(names):
        names = tuple(video.name for video in annotations if video.segments)
    missing = {"val": "validation", None: "test"}.get(protocol.subset, protocol.subset)
    return names, [
        f"the annotations have no segments in a subset {missing!r}: "
        f"{_spelled(names, annotations)!r} is evaluated"
    ]


def _subset_with(found: set[str], annotations: Annotations) -> tuple[str, ...]:
    """The videos of the subset in which most of the found ones lie, of those with segments."""
    there = [video for name in found if (video := annotations.videos.get(name)) is not None]
    subsets = Counter(video.subset for video in there if video.segments)
    if not subsets:
        return ()
    most = max(subsets, key=lambda name: (subsets[name], name or ""))
    return tuple(video.name for video in annotations if video.subset == most)


def _spelled(names: tuple[str, ...], annotations: Annotations) -> str:
    return ", ".join(sorted({annotations.videos[name].subset or "" for name in names}))


def _subset_names(annotations: Annotations, subset: str) -> tuple[str, ...]:
    wanted = subset.strip().lower()
    names = tuple(v.name for v in annotations if (v.subset or "").strip().lower() == wanted)
    # Sources differ in spelling: train/training, val/validation, test/testing.
    for prefix in ("train", "val", "test"):
        if wanted.startswith(prefix):
            names = names or annotations.by_subset(prefix)
            # THUMOS14 trains on its validation videos.
            names = names or (annotations.training_names() if prefix == "train" else ())
    if names:
        return names
    present = sorted({repr(video.subset) for video in annotations if video.subset})
    raise UsageError(
        f"no subset {subset!r}; there are: {', '.join(present) or 'none'}", file=annotations.source
    )


def _ground_truth(annotations: Annotations, names: tuple[str, ...], subset: str) -> GroundTruth:
    rows = [
        (index, segment)
        for index, name in enumerate(names)
        for segment in annotations.videos[name].segments or ()
    ]
    if not rows:
        where = f"subset {subset!r}" if subset else None
        raise DuetalError("no segment to evaluate against", file=annotations.source, place=where)
    classes = {label: i for i, label in enumerate(sorted({segment.label for _, segment in rows}))}
    truth = GroundTruth(
        names,
        tuple(classes),
        np.array([index for index, _ in rows], dtype=np.int64),
        np.array([classes[segment.label] for _, segment in rows], dtype=np.int64),
        np.array([segment.start for _, segment in rows], dtype=np.float64),
        np.array([segment.end for _, segment in rows], dtype=np.float64),
    )
    bad = np.flatnonzero(~(np.isfinite(truth.start) & np.isfinite(truth.end)))
    if len(bad):
        place = f"video {names[truth.video[bad[0]]]!r}"
        raise DuetalError("a segment is not finite", file=annotations.source, place=place)
    return truth


def _outside(
    detections: Detections,
    annotations: Annotations,
    truth: GroundTruth,
    protocol: Protocol,
    count_excluded: bool,
) -> tuple[Bools, dict[str, int]]:
    """Which predictions the protocol does not judge, and how many for each reason."""
    evaluated, classes = set(truth.videos), set(truth.classes)
    left_out = [name in protocol.excluded for name in detections.videos]
    excluded = [each and not count_excluded for each in left_out]
    other = [
        name in annotations.videos and name not in evaluated and not each
        for name, each in zip(detections.videos, left_out, strict=True)
    ]
    unknown = [label not in classes for label in detections.classes]
    outside = np.zeros(len(detections), dtype=bool)
    dropped = {}
    for reason, flags, index in (
        (EXCLUDED, excluded, detections.video),
        (OTHER_SUBSET, other, detections.video),
        (UNKNOWN_CLASS, unknown, detections.label),
    ):
        # A prediction is counted under the first reason that applies.
        rows = np.array(flags, dtype=bool)[index] & ~outside
        dropped[reason] = int(rows.sum())
        outside |= rows
    return outside, dropped


def _unknown_classes(detections: Detections, annotations: Annotations) -> list[str]:
    """A note on each class that the annotations do not have, with the nearest that they have."""
    counts = np.bincount(detections.label, minlength=len(detections.classes))
    strange = [
        (label, int(count))
        for label, count in zip(detections.classes, counts, strict=True)
        if count and label not in annotations.classes
    ]
    notes = [
        f"{unknown('class', label, annotations.classes)}; dropped: {count:,}"
        for label, count in strange[:_NAMED]
    ]
    if len(strange) > _NAMED:
        notes.append(f"{len(strange) - _NAMED:,} further unknown classes are dropped")
    return notes


def _ambiguous(detections: Detections, annotations: Annotations, grid: TimeGrid) -> Bools:
    """Which predictions, already on the grid, share a snippet with an ambiguous segment."""
    overlaps = np.zeros(len(detections), dtype=bool)
    for index, name in enumerate(detections.videos):
        video = annotations.videos.get(name)
        if video is None or not video.ambiguous:
            continue
        rows = np.flatnonzero(detections.video == index)
        for segment in video.ambiguous:
            start, end = to_snippets(np.array([segment.start, segment.end]), grid)
            first = np.maximum(detections.start[rows], start)
            overlaps[rows[np.minimum(detections.end[rows], end) > first]] = True
    return overlaps


def to_snippets(seconds: Floats, grid: TimeGrid) -> Floats:
    """Seconds as whole snippets of the grid: the nearest border, halves to the even one."""
    return np.asarray(np.rint(seconds * grid.fps / grid.stride), dtype=np.float64)


def _snapped(rows: Detections | GroundTruth, grid: TimeGrid) -> dict[str, Any]:
    return {"start": to_snippets(rows.start, grid), "end": to_snippets(rows.end, grid)}


def _impossible(truth: GroundTruth, detections: Detections, annotations: Annotations) -> list[str]:
    """What is said of segments and predictions, in seconds, that no video can have."""
    notes = []
    # A prediction may overshoot its video's end: it can match all the same.
    for columns, what, but in (
        (truth, "segment", ()),
        (detections, "prediction", ("begins before its video", "ends after its video")),
    ):
        durations = np.array([_duration(annotations, name) for name in columns.videos])
        duration = durations[columns.video]

        def place(
            row: int, columns: GroundTruth | Detections = columns, of: Floats = duration
        ) -> str:
            seconds = span(columns.start[row], columns.end[row], of[row])
            return f"video {columns.videos[columns.video[row]]!r}, {seconds}"

        kinds = segment_kinds(columns.start, columns.end, duration)
        if text := describe_kinds(kinds, what, place, but=but):
            notes.append(text)
    return notes


def _duration(annotations: Annotations, name: str) -> float:
    """Seconds of a video; infinite where they are unknown."""
    video = annotations.videos.get(name)
    return np.inf if video is None or video.duration is None else video.duration


def _unlisted_note(detections: Detections, annotations: Annotations) -> list[str]:
    unlisted = np.array([name not in annotations.videos for name in detections.videos], dtype=bool)
    rows = np.flatnonzero(unlisted[detections.video])
    if not len(rows):
        return []
    example = detections.videos[detections.video[rows[0]]]
    return [
        f"{len(rows):,} predictions lie in videos that the annotations do not list (such as "
        f"{example!r}): false positives"
    ]
