"""From detections and annotations to mAP under a protocol, with an account of what was dropped."""

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.evaluation.ap import GroundTruth, average_precision
from duetal.evaluation.protocols import Protocol, protocol_named
from duetal.evaluation.result import Evaluation

EXCLUDED = "video excluded by the protocol"
OTHER_SUBSET = "video not in the evaluated subset"
UNKNOWN_CLASS = "class not in the ground truth"
AMBIGUOUS = "overlaps an ambiguous segment"


def evaluate(
    detections: Detections,
    annotations: Annotations,
    protocol: Protocol | str,
    subset: str | None = None,
) -> Evaluation:
    """Mean average precision of detections under a protocol.

    Predictions in videos that the annotations list elsewhere (another subset, or excluded by the
    protocol) are dropped and counted, and so are those of a class without a segment in the ground
    truth. Predictions in videos that the annotations do not list at all are false positives, as
    in ActivityNet's evaluator; a note says how many.

    Args:
        detections: in seconds.
        annotations: with segments.
        protocol: or its name.
        subset: "train", "validation" or "test", or a name as the annotations spell it. Default:
            the evaluation videos of the annotations, unless all detections lie in training
            videos: then those, with a note.

    Raises:
        UsageError: an unknown protocol or subset.
        DuetalError: no segment to evaluate against, or a value that is not finite.
    """
    if isinstance(protocol, str):
        protocol = protocol_named(protocol)
    detections.require_finite()
    names, subset_name, notes = _choose_videos(detections, annotations, subset)
    names = tuple(name for name in names if name not in protocol.excluded)
    truth = _ground_truth(annotations, names, subset_name)
    if subset is None and not notes and protocol.videos not in (None, len(names)):
        notes.append(f"{protocol.name} means {protocol.videos:,} videos; here are {len(names):,}")
    kept, dropped = _drop_outside(detections, annotations, truth, protocol)
    if protocol.grid is not None:
        truth, kept = _snap_truth(truth, protocol.grid), _snap(kept, protocol.grid)
        kept, dropped[AMBIGUOUS] = _drop_ambiguous(kept, annotations, protocol.grid)
        if not any(annotations.videos[name].ambiguous for name in names):
            notes.append("the annotations have no ambiguous segments, which this protocol uses")
    notes += _unlisted_note(kept, annotations)
    if not len(detections):
        notes.append("there are no detections")
    ap = average_precision(truth, kept, protocol.tiou)
    mean_ap = ap.mean(axis=0)
    tiou = np.asarray(protocol.tiou)
    return Evaluation(
        protocol=protocol.name,
        subset=subset_name,
        tiou=protocol.tiou,
        mean_ap=tuple(mean_ap.tolist()),
        averages={
            name: float(mean_ap[(tiou >= low) & (tiou <= high)].mean())
            for name, (low, high) in protocol.averages.items()
        },
        per_class={
            label: tuple(row) for label, row in zip(truth.classes, ap.tolist(), strict=True)
        },
        videos=len(truth.videos),
        segments=len(truth),
        predictions=len(kept),
        dropped={reason: count for reason, count in dropped.items() if count},
        notes=tuple(notes),
    )


def _choose_videos(
    detections: Detections, annotations: Annotations, subset: str | None
) -> tuple[tuple[str, ...], str, list[str]]:
    """The videos to evaluate on, what the annotations call them, and notes."""
    notes = []
    if subset is not None:
        names = _subset_names(annotations, subset)
    else:
        names = annotations.evaluation_names()
        training = annotations.training_names()
        found = {detections.videos[index] for index in np.unique(detections.video)}
        if found.isdisjoint(names) and not found.isdisjoint(training):
            names = training
            notes.append("no detection lies in the evaluation videos: these are training videos")
    spelled = {annotations.videos[name].subset or "" for name in names}
    return names, ", ".join(sorted(spelled)), notes


def _subset_names(annotations: Annotations, subset: str) -> tuple[str, ...]:
    wanted = subset.strip().lower()
    exact = tuple(v.name for v in annotations if (v.subset or "").strip().lower() == wanted)
    if exact:
        return exact
    # Sources differ in spelling: train/training, val/validation, test/testing.
    for prefix in ("train", "val", "test"):
        if wanted.startswith(prefix):
            names = tuple(
                v.name for v in annotations if (v.subset or "").strip().lower().startswith(prefix)
            )
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
    classes = tuple(sorted({segment.label for _, segment in rows}))
    class_index = {label: index for index, label in enumerate(classes)}
    truth = GroundTruth(
        names,
        classes,
        np.array([index for index, _ in rows], dtype=np.int64),
        np.array([class_index[segment.label] for _, segment in rows], dtype=np.int64),
        np.array([segment.start for _, segment in rows], dtype=np.float64),
        np.array([segment.end for _, segment in rows], dtype=np.float64),
    )
    bad = np.flatnonzero(~(np.isfinite(truth.start) & np.isfinite(truth.end)))
    if len(bad):
        place = f"video {names[truth.video[bad[0]]]!r}"
        raise DuetalError("a segment is not finite", file=annotations.source, place=place)
    return truth


def _drop_outside(
    detections: Detections, annotations: Annotations, truth: GroundTruth, protocol: Protocol
) -> tuple[Detections, dict[str, int]]:
    evaluated = set(truth.videos)
    excluded = np.array([name in protocol.excluded for name in detections.videos], dtype=bool)
    elsewhere = np.array(
        [name in annotations.videos and name not in evaluated for name in detections.videos],
        dtype=bool,
    )
    known = np.array([label in set(truth.classes) for label in detections.classes], dtype=bool)
    is_excluded = excluded[detections.video]
    is_elsewhere = elsewhere[detections.video] & ~is_excluded
    is_unknown = ~known[detections.label] & ~is_excluded & ~is_elsewhere
    dropped = {
        EXCLUDED: int(is_excluded.sum()),
        OTHER_SUBSET: int(is_elsewhere.sum()),
        UNKNOWN_CLASS: int(is_unknown.sum()),
    }
    if not sum(dropped.values()):
        return detections, dropped
    return detections.take(~(is_excluded | is_elsewhere | is_unknown)), dropped


def _drop_ambiguous(
    detections: Detections, annotations: Annotations, grid: TimeGrid
) -> tuple[Detections, int]:
    """Delete predictions, already on the grid, that share a snippet with an ambiguous segment."""
    overlaps = np.zeros(len(detections), dtype=bool)
    for index, name in enumerate(detections.videos):
        video = annotations.videos.get(name)
        if video is None or not video.ambiguous:
            continue
        rows = np.flatnonzero(detections.video == index)
        for segment in video.ambiguous:
            start, end = to_snippets(np.array([segment.start, segment.end]), grid)
            shared = np.minimum(detections.end[rows], end) - np.maximum(
                detections.start[rows], start
            )
            overlaps[rows[shared > 0]] = True
    return detections.take(~overlaps), int(overlaps.sum())


def to_snippets(seconds: NDArray[np.float64], grid: TimeGrid) -> NDArray[np.float64]:
    """Seconds as whole snippets of the grid: the nearest border, halves to the even one."""
    return np.asarray(np.rint(seconds * grid.fps / grid.stride), dtype=np.float64)


def _snap(detections: Detections, grid: TimeGrid) -> Detections:
    return Detections(
        detections.videos,
        detections.classes,
        detections.video,
        detections.label,
        to_snippets(detections.start, grid),
        to_snippets(detections.end, grid),
        detections.score,
        detections.source,
    )


def _snap_truth(truth: GroundTruth, grid: TimeGrid) -> GroundTruth:
    start, end = to_snippets(truth.start, grid), to_snippets(truth.end, grid)
    return GroundTruth(truth.videos, truth.classes, truth.video, truth.label, start, end)


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
