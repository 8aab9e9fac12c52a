"""What a form could not hold: the difference between what was written and what is read back."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.detections import Detections
from duetal.formats.marked import facts_of

#: Seconds by which a time may differ and count as the same: half a digit of a float's printing.
_SAME = 1e-9


def annotation_losses(before: Annotations, after: Annotations) -> list[str]:
    """A line, with a count, for each kind of thing that an annotation has lost or changed."""
    pairs = [(video, after.videos[video.name]) for video in before if video.name in after.videos]
    unknown = [b.name for b, a in pairs if b.segments is None and a.segments is not None]
    return [
        *_dropped("videos", [name for name in before.videos if name not in after.videos]),
        *_changed("subsets", pairs, lambda video: video.subset),
        *_changed("durations", pairs, lambda video: video.duration),
        *_dropped("videos with unknown segments, now without any", unknown, " changed"),
        *_label_losses(pairs),
        *_segment_losses(before, after),
        *_count("ambiguous segments", _ambiguous(before) - _ambiguous(after)),
        *_fact_losses(before, after),
        *_class_losses(before.classes, after.classes),
    ]


def detection_losses(before: Detections, after: Detections) -> list[str]:
    """A line, with a count, for each kind of thing that detections have lost or changed."""
    kept = set(after.videos)
    lines = _dropped("videos", [name for name in before.videos if name not in kept])
    unused = set(before.classes) - set(after.classes)
    lines += _dropped("classes", sorted(unused))
    lines += _count("external data", len(before.external_data) - len(after.external_data))
    if len(before) != len(after):
        return [*lines, *_count("detections", len(before) - len(after))]
    moved = max(_distance(before, after, "start"), _distance(before, after, "end"))
    lines += _moved("times", len(before), moved, " s")
    return lines + _moved("scores", len(before), _distance(before, after, "score"), "")


def as_losses(detections: Detections) -> list[str]:
    """What detections lose by becoming annotations."""
    return [
        *_count("scores", len(detections)),
        *_count("external data", len(detections.external_data)),
    ]


def _changed(
    what: str,
    pairs: Sequence[tuple[VideoAnnotation, VideoAnnotation]],
    value: Callable[[VideoAnnotation], str | float | None],
) -> Iterator[str]:
    """Lines for a fact of each video that is gone, another, or new."""
    gone = changed = new = 0
    example = ""
    for before, after in pairs:
        old, now = value(before), value(after)
        gone += old is not None and now is None
        new += old is None and now is not None
        if old is not None and now is not None and old != now:
            changed += 1
            example = example or f" ({old} → {now})"
    yield from _count(what, gone)
    yield from _count(what, changed, f" changed{example}")
    yield from _count(what, new, " added, which the source does not have")


def _label_losses(pairs: Sequence[tuple[VideoAnnotation, VideoAnnotation]]) -> Iterator[str]:
    lost = sum(len(set(before.labels) - set(after.labels)) for before, after in pairs)
    new = sum(len(set(after.labels) - set(before.labels)) for before, after in pairs)
    yield from _count("video labels", lost)
    yield from _count("video labels", new, " added, as the segments have them")


def _segment_losses(before: Annotations, after: Annotations) -> list[str]:
    by_label = attrgetter("label", "start", "end")
    dropped = total = 0
    moved = 0.0
    for video in before:
        found = after.videos.get(video.name)
        segments = sorted(video.segments or (), key=by_label)
        again = sorted((found and found.segments) or (), key=by_label)
        if [s.label for s in segments] != [s.label for s in again]:
            dropped += len(segments) - len(again)
            continue
        total += len(segments)
        for old, new in zip(segments, again, strict=True):
            moved = max(moved, abs(old.start - new.start), abs(old.end - new.end))
    return [*_count("segments", dropped), *_moved("times", total, moved, " s")]


def _fact_losses(before: Annotations, after: Annotations) -> Iterator[str]:
    """A line for each kind of fact that is gone or another, of the videos and of all together."""
    pairs = [(before.facts, after.facts)]
    for video in before:
        again = after.videos.get(video.name)
        pairs.append((video.facts, again.facts if again else ""))
    lost: Counter[str] = Counter()
    for old, new in pairs:
        if old != new:
            kept = facts_of(new)
            # Something empty, such as a taxonomy, is no loss; a version belongs to the form.
            lost.update(
                key
                for key, value in facts_of(old).items()
                if value and key != "version" and kept.get(key) != value
            )
    for key in sorted(lost):
        yield from _count(key, lost[key])


def _class_losses(before: tuple[str, ...], after: tuple[str, ...]) -> list[str]:
    lines = _dropped("classes", [label for label in before if label not in after])
    common = [label for label in before if label in after]
    if common != [label for label in after if label in before]:
        lines.append("order of the classes: not kept")
    return lines


def _distance(before: Detections, after: Detections, name: str) -> float:
    """The largest change of a column: rounding keeps the order of a class's values in a video."""
    names = sorted({*before.videos, *after.videos, *before.classes, *after.classes})
    rank = {name: number for number, name in enumerate(names)}

    def column(detections: Detections) -> NDArray[np.float64]:
        values: NDArray[np.float64] = getattr(detections, name)
        videos = np.array([rank[video] for video in detections.videos], dtype=np.int64)
        labels = np.array([rank[label] for label in detections.classes], dtype=np.int64)
        keys = (values, labels[detections.label], videos[detections.video])
        return values[np.lexsort(keys)]

    return float(np.abs(column(before) - column(after)).max(initial=0.0))


def _ambiguous(annotations: Annotations) -> int:
    return sum(len(video.ambiguous) for video in annotations)


def _dropped(what: str, names: Sequence[str], verb: str = " dropped") -> list[str]:
    if not names:
        return []
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return [f"{what}: {len(names):,}{verb} ({listed})"]


def _count(what: str, count: int, verb: str = " dropped") -> list[str]:
    return [f"{what}: {count:,}{verb}"] if count > 0 else []


def _moved(what: str, count: int, distance: float, unit: str) -> list[str]:
    if distance <= _SAME:
        return []
    return [f"{what}: {count:,} rounded, by at most {distance:.2g}{unit}"]
