"""From the probabilities of one video's snippets to its detections (the paper's inference).

Classes are chosen by their video-level probability. A class's score curve is thresholded at several
levels; consecutive snippets above one are a proposal. Proposals are scored, and soft-NMS removes
redundant ones.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from duetal.core.array_types import Floats, Ints
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.soft_nms import soft_nms

#: A curve that varies less is flat: stretching it to 0..1 would make proposals of rounding errors.
FLAT = 1e-6

#: How far rounding in single or half precision may take a probability out of 0..1.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class VideoDetections:
    """Detections of one video, by falling score: (N,) class indices, seconds and scores."""

    label: Ints
    start: Floats
    end: Floats
    score: Floats
    limited: bool = False  #: Whether there were more than are kept of a video.

    def __len__(self) -> int:
        return len(self.score)


def localize_video(
    probabilities: NDArray[np.floating],
    video_probabilities: NDArray[np.floating],
    grid: TimeGrid,
    settings: LocalizationSettings,
    *,
    offset: float = 0.0,
    duration: float | None = None,
    name: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VideoDetections:
    """Find the actions in one video.

    Args:
        probabilities: (T, K) probability of each class at each snippet; T may be 0.
        video_probabilities: (K,) probability that the class occurs in the video.
        grid: of the snippets.
        settings: thresholds, scoring and soft-NMS.
        offset: seconds at which the first snippet begins.
        duration: seconds, where known; detections end there.
        name: the video, for error messages.
        progress: called with the classes done and in all.

    Raises:
        DuetalError: shapes that don't fit, a value that is no probability, a duration not above 0;
            names the video.
    """
    place = None if name is None else f"video {name!r}"
    _check_probabilities(probabilities, video_probabilities, place)
    if duration is not None and not duration > 0:
        raise DuetalError(f"a duration of {duration} seconds", place=place)
    times = offset + grid.edge(np.arange(len(probabilities) + 1))

    def find(label: int, suppress: Suppress) -> tuple[Floats, Floats, Floats]:
        curve = smooth(np.asarray(probabilities[:, label], dtype=np.float64), settings.smoothing)
        return _localize_class(curve, times, settings, duration, suppress)

    seconds = duration or len(probabilities) * grid.seconds_per_snippet
    return localize_classes(video_probabilities, find, seconds, settings, progress)


#: Soft-NMS of a class: of (N,) start, end and score the indices that stay, and their scores.
Suppress = Callable[[Floats, Floats, Floats], tuple[Ints, Floats]]


def localize_classes(
    video_probabilities: NDArray[np.floating],
    find: Callable[[int, Suppress], tuple[Floats, Floats, Floats]],
    seconds: float,
    settings: LocalizationSettings,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VideoDetections:
    """The detections of a video's classes, the best ones of all for its duration in seconds.

    `find` gives start, end and score of a class's detections; `progress` is called with the classes
    done and in all.
    """
    most = _most_kept(seconds, settings)
    found, limited, class_settings = VideoDetections(*_NOTHING), False, settings
    chosen = select_classes(video_probabilities, settings.class_threshold)
    for done, label in enumerate(chosen):
        progress(done, len(chosen))
        weight = float(video_probabilities[label]) if settings.scale_by_video_probability else 1.0
        if len(found) == most:
            # Nothing below the lowest of the best can come among them.
            limited, lowest = True, max(settings.min_score, float(found.score[-1]))
            class_settings = settings.model_copy(update={"min_score": lowest})
        suppress = partial(_suppress, weight=weight, settings=class_settings, most=most)
        start, end, score = find(int(label), suppress)
        more = VideoDetections(np.full(len(score), label), start, end, score)
        found = _best_of([found, more], most)
        limited |= found.limited
    return replace(found, limited=limited)


#: Detections that are kept of any video, however short.
LEAST_KEPT = 300
_NOTHING = np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0)


def _most_kept(seconds: float, settings: LocalizationSettings) -> int | None:
    """How many detections of a video are kept; None for all."""
    if settings.max_per_minute is None:
        return None
    return max(LEAST_KEPT, math.ceil(settings.max_per_minute * seconds / 60))


def _best_of(parts: Sequence[VideoDetections], most: int | None) -> VideoDetections:
    """The highest-scoring detections by falling score; of equal ones those of earlier parts."""
    score = np.concatenate([part.score for part in parts])
    order = np.argsort(-score, kind="stable")
    kept = order[:most]
    label, start, end = (
        np.concatenate([getattr(part, column) for part in parts])[kept]
        for column in ("label", "start", "end")
    )
    return VideoDetections(label, start, end, score[kept], limited=len(kept) < len(order))


def assemble(
    results: Iterable[VideoDetections], videos: Sequence[str], classes: Sequence[str]
) -> Detections:
    """Put the detections of many videos, given in the order of their names, into one table."""
    parts = list(results)
    sizes = [len(part) for part, _ in zip(parts, videos, strict=True)]
    return Detections(
        tuple(videos),
        tuple(classes),
        np.repeat(np.arange(len(sizes)), sizes),
        np.concatenate([np.empty(0, np.int64), *(part.label for part in parts)]),
        np.concatenate([np.empty(0), *(part.start for part in parts)]),
        np.concatenate([np.empty(0), *(part.end for part in parts)]),
        np.concatenate([np.empty(0), *(part.score for part in parts)]),
    )


def select_classes(video_probabilities: NDArray[np.floating], threshold: float) -> Ints:
    """Indices of the classes whose probability is above the threshold, else of the best one."""
    chosen = np.flatnonzero(video_probabilities > threshold)
    if not len(chosen) and len(video_probabilities):
        chosen = np.array([np.argmax(video_probabilities)])
    return chosen


def stretch(curve: Floats) -> Floats:
    """Min-max normalise a (T,) curve to 0..1; a flat one becomes 1, the whole video."""
    low, span = curve.min(), np.ptp(curve)
    return np.ones_like(curve) if span < FLAT else np.asarray((curve - low) / span)


def smooth(curve: Floats, size: int) -> Floats:
    """Moving average of a (T,) curve over `size` snippets, an odd number; its ends are repeated."""
    if size == 1 or not len(curve):
        return np.ascontiguousarray(curve)
    total = np.cumsum(np.pad(np.pad(curve, size // 2, mode="edge"), (1, 0)))
    return np.asarray((total[size:] - total[:-size]) / size)


def find_intervals(curve: Floats, thresholds: Sequence[float]) -> tuple[Ints, Ints]:
    """Runs of consecutive snippets of a (T,) curve above each threshold, each distinct run once.

    Returns:
        (N,) first snippets and (N,) one past the last ones, sorted.
    """
    # One row per threshold, with a snippet below it on both sides: the changes come in pairs.
    size = len(curve) + 2
    above = np.zeros((len(thresholds), size), dtype=np.bool_)
    above[:, 1:-1] = curve > np.asarray(thresholds)[:, None]
    flat = above.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) % size
    runs = np.unique(changes[0::2] * size + changes[1::2])
    return runs // size, runs % size


def temporal_iou(start: Floats, end: Floats, other_start: Floats, other_end: Floats) -> Floats:
    """(N, M) the temporal IoU of (N,) intervals with (M,) others."""
    inside = np.minimum(end[:, None], other_end) - np.maximum(start[:, None], other_start)
    inside = np.maximum(inside, 0.0)
    lengths = (end - start)[:, None] + (other_end - other_start)
    return np.asarray(inside / np.maximum(lengths - inside, 1e-9))


def highest_inside(curve: Floats, first: Ints, stop: Ints) -> Floats:
    """Maximum of a (T,) curve over each of (N,) non-empty intervals `[first, stop)`."""
    # reduceat also takes the maximum of what lies between two intervals: short where they are in
    # order, as long as the curve where not. It accepts no bound past the end.
    order = np.lexsort((stop, first))
    bounds = np.column_stack([first[order], stop[order]]).ravel()
    highest = np.empty(len(first))
    if len(bounds):
        highest[order] = np.maximum.reduceat(np.append(curve, -np.inf), bounds)[0::2]
    return highest


def outer_inner_contrast(curve: Floats, first: Ints, stop: Ints, margin: float) -> Floats:
    """Mean inside each interval less the mean in its margins (Shou et al., AutoLoc, ECCV 2018).

    (N,) in -1..1 for a curve (T,) in 0..1. The intervals are `[first, stop)`, none empty. `margin`
    is the size of each of the two margins as a part of the interval's length, rounded up to whole
    snippets. Margins end at the video's ends; the mean of no snippet is 0.
    """
    total = np.concatenate([[0.0], np.cumsum(curve)])
    length = stop - first
    size = np.ceil(margin * length).astype(np.int64)
    outer_first = np.maximum(first - size, 0)
    outer_stop = np.minimum(stop + size, len(curve))
    inner = total[stop] - total[first]
    outer = total[outer_stop] - total[outer_first] - inner
    outer_length = (outer_stop - outer_first) - length
    return np.asarray(inner / length - outer / np.maximum(outer_length, 1))


#: What FreeZAD takes off a score for each margin's weighted mean, beside mean and maximum inside.
MARGIN_SHARE = 0.2


def log_contrast(curve: Floats, first: Ints, stop: Ints, margin: float) -> Floats:
    """Half of mean + maximum inside − 0.2 · each margin's mean (Han et al., arXiv 2501.13795).

    (N,) at most 1 for a curve (T,) in 0..1. The i-th snippet from the border counts 1/log(1 + i) in
    its margin's mean, so a long margin doesn't hide what is close. Intervals and margins are as in
    `outer_inner_contrast`. Half, so that a score is at most 1.
    """
    total = np.concatenate([[0.0], np.cumsum(curve)])
    score = (total[stop] - total[first]) / (stop - first) + highest_inside(curve, first, stop)
    size = np.ceil(margin * (stop - first)).astype(np.int64)
    weights = 1 / np.log1p(np.arange(1, size.max(initial=0) + 1))
    for count, border, step in (
        (np.minimum(size, first), first - 1, -1),
        (np.minimum(size, len(curve) - stop), stop, 1),
    ):
        outside, weight = np.zeros(len(first)), np.zeros(len(first))
        for distance in range(count.max(initial=0)):
            rows = np.flatnonzero(count > distance)
            outside[rows] += weights[distance] * curve[border[rows] + step * distance]
            weight[rows] += weights[distance]
        score -= MARGIN_SHARE * outside / np.maximum(weight, 1e-12)
    return np.asarray(score / 2)


def _suppress(
    start: Floats,
    end: Floats,
    score: Floats,
    *,
    weight: float,
    settings: LocalizationSettings,
    most: int | None,
) -> tuple[Ints, Floats]:
    """Soft-NMS of a class, of scores times `weight`; one more than `most` at most."""
    return soft_nms(
        start,
        end,
        score * weight,
        method=settings.nms_method,
        sigma=settings.nms_sigma,
        iou_threshold=settings.nms_iou_threshold,
        min_score=settings.min_score,
        max_kept=min((n for n in (settings.max_per_class, most and most + 1) if n), default=None),
    )


def _localize_class(
    curve: Floats,
    times: Floats,
    settings: LocalizationSettings,
    duration: float | None,
    suppress: Suppress,
) -> tuple[Floats, Floats, Floats]:
    """Start, end and score of the detections of one class.

    `times` are the (T + 1,) seconds between which snippets lie.
    """
    if not len(curve):
        return np.empty(0), np.empty(0), np.empty(0)
    shape = stretch(curve) if settings.min_max else curve
    first, stop = find_intervals(shape, settings.thresholds)
    if settings.scoring == "log_contrast":
        score = log_contrast(curve, first, stop, settings.margin)
    elif settings.scoring != "max":
        score = outer_inner_contrast(curve, first, stop, settings.margin)
    if settings.scoring == "max_then_contrast":
        # soft-NMS keeps the earlier of equal scores first.
        order = np.argsort(-score, kind="stable")
        first, stop = first[order], stop[order]
    if settings.scoring in ("max", "max_then_contrast"):
        score = highest_inside(curve, first, stop)
    start, end = times[first], times[stop]
    if duration is not None:
        inside = start < duration
        start, end, score = start[inside], np.minimum(end[inside], duration), score[inside]
    kept, score = suppress(start, end, score)
    return start[kept], end[kept], score


def _check_probabilities(
    probabilities: NDArray[np.floating],
    video_probabilities: NDArray[np.floating],
    place: str | None,
) -> None:
    shape, video_shape = probabilities.shape, video_probabilities.shape
    if len(shape) != 2 or shape[1:] != video_shape:
        cause = f"probabilities {shape} of snippets and {video_shape} of the video: must be "
        raise DuetalError(cause + "(T, K) and (K,)", place=place)
    for values, axes in ((probabilities, ("snippet", "class")), (video_probabilities, ("class",))):
        inside = (values >= -ROUNDING) & (values <= 1 + ROUNDING)  # NaN is outside
        if not inside.all():
            position = np.unravel_index(np.argmin(inside), values.shape)
            at = ", ".join(f"{axis} {i}" for axis, i in zip(axes, position, strict=True))
            raise DuetalError(f"{values[position]} at {at} is no probability", place=place)
