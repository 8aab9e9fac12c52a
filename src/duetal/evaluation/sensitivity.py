"""Which actions are missed and which are found badly: by coverage, length and number.

DETAD's three characteristics (Alwassel et al., ECCV 2018): how much of the video an action fills,
how long it is, and how many of its class are in the video. A segment is missed when no prediction
matches it; the program that came with the paper also calls those missed that are matched only where
normalised precision is 5 % or less.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.annotations import Annotations
from duetal.evaluation.ap import Ranking
from duetal.evaluation.considered import Considered

_SIZES = ("XS", "S", "M", "L", "XL")


@dataclass(frozen=True)
class Bucket:
    """The segments whose characteristic lies in an interval.

    Args:
        name: "XS" to "XL".
        low: the values are above this; in the first bucket, which holds 0, no less.
        high: and up to this.
        segments: how many.
        missed: the share of them that no prediction matches; None where there are none.
        mean_ap: normalised mAP of finding them; None where there are none.
    """

    name: str
    low: float
    high: float
    segments: int
    missed: float | None
    mean_ap: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain values; an open upper end is None."""
        return {
            "name": self.name,
            "low": self.low,
            "high": self.high if np.isfinite(self.high) else None,
            "segments": self.segments,
            "missed": self.missed,
            "normalized_mAP": self.mean_ap,
        }


@dataclass(frozen=True)
class Characteristic:
    """One property of segments, and how well those with more or less of it are found.

    Args:
        name: "coverage", "length" or "instances".
        unit: of the values.
        buckets: from the least to the most.
    """

    name: str
    unit: str
    buckets: tuple[Bucket, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        buckets = [bucket.to_json() for bucket in self.buckets]
        return {"name": self.name, "unit": self.unit, "buckets": buckets}


@dataclass(frozen=True)
class Sensitivity:
    """Missed segments and normalised mAP at one threshold.

    Args:
        tiou: the threshold.
        missed: the share of all segments that no prediction matches.
        mean_ap: normalised mAP over all segments, which the buckets' compare with.
        characteristics: coverage (where durations are known), length, instances.
    """

    tiou: float
    missed: float
    mean_ap: float
    characteristics: tuple[Characteristic, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "tiou": self.tiou,
            "missed": self.missed,
            "normalized_mAP": self.mean_ap,
            "characteristics": [each.to_json() for each in self.characteristics],
        }


def sensitivity(
    considered: Considered, ranking: Ranking, annotations: Annotations, column: int
) -> Sensitivity:
    """Measure how well segments of each kind are found.

    Args:
        considered: what the protocol compares.
        ranking: of its predictions.
        annotations: for the videos' durations; without them there is no coverage.
        column: of the threshold.
    """
    truth = considered.truth
    seconds = np.maximum(truth.end - truth.start, 0.0)
    if considered.protocol.grid is not None:
        seconds = considered.protocol.grid.start(seconds)
    same = truth.video * len(truth.classes) + truth.label
    _, group, sizes = np.unique(same, return_inverse=True, return_counts=True)
    values = {"length": ("s", seconds), "instances": ("in the video", sizes[group].astype(float))}
    durations = [annotations.videos[name].duration for name in truth.videos]
    if all(duration is not None and duration > 0 for duration in durations):
        of_video = np.array(durations, dtype=np.float64)
        coverage = np.minimum(seconds / of_video[truth.video], 1.0)
        values = {"coverage": ("of the video", coverage)} | values

    matched = ranking.matched[:, column]
    found = np.zeros(len(truth), dtype=np.bool_)
    found[matched[matched >= 0]] = True
    everything = np.ones(len(truth), dtype=np.bool_)
    normal = len(truth) / len(truth.classes)

    def bucket(name: str, low: float, high: float, inside: NDArray[np.bool_]) -> Bucket:
        count = int(inside.sum())
        if not count:
            return Bucket(name, low, high, 0, None, None)
        missed = 1.0 - float(found[inside].mean())
        mean_ap = normalized_mean_ap(considered, ranking, matched, inside, normal)
        return Bucket(name, low, high, count, missed, mean_ap)

    return Sensitivity(
        considered.protocol.tiou[column],
        1.0 - float(found.mean()),
        normalized_mean_ap(considered, ranking, matched, everything, normal),
        tuple(
            Characteristic(name, unit, _buckets(considered.protocol.name, name, of, bucket))
            for name, (unit, of) in values.items()
        ),
    )


#: Upper borders of the buckets but the last: DETAD's, which it chose for each dataset.
_BORDERS = {
    ("thumos14", "coverage"): (0.02, 0.04, 0.06, 0.08),
    ("thumos14", "length"): (3.0, 6.0, 12.0, 18.0),
    ("thumos14", "instances"): (1.0, 40.0, 80.0),
    ("activitynet", "coverage"): (0.2, 0.4, 0.6, 0.8),
    ("activitynet", "length"): (30.0, 60.0, 120.0, 180.0),
    ("activitynet", "instances"): (1.0, 4.0, 8.0),
}


def _borders(protocol: str, name: str, values: NDArray[np.float64]) -> Sequence[float]:
    """DETAD's borders for its datasets; for others quintiles, or each value where they are few."""
    known = _BORDERS.get((protocol.partition("/")[0], name))
    if known is not None:
        return known
    borders = np.unique(values)
    if len(borders) > len(_SIZES):
        borders = np.unique(np.quantile(values, (0.2, 0.4, 0.6, 0.8), method="lower"))
    return tuple(borders[borders < values.max()].tolist())


def _buckets(
    protocol: str,
    name: str,
    values: NDArray[np.float64],
    bucket: Callable[[str, float, float, NDArray[np.bool_]], Bucket],
) -> tuple[Bucket, ...]:
    top = 1.0 if name == "coverage" else np.inf
    borders = (0.0, *_borders(protocol, name, values), top)
    found = []
    for size, (low, high) in zip(_SIZES, pairwise(borders), strict=False):
        # A segment that rounding left empty has length 0 and belongs to the shortest.
        inside = (values > low) & (values <= high) if low > 0 else values <= high
        found.append(bucket(size, low, float(high), inside))
    return tuple(found)


def normalized_mean_ap(
    considered: Considered,
    ranking: Ranking,
    matched: NDArray[np.int64],
    inside: NDArray[np.bool_],
    normal: float,
) -> float:
    """Mean over classes of normalised AP of finding some of the segments.

    AP depends on how many segments there are: the fewer, the lower the precision of the same
    detector. Normalised AP computes precision as if every class had the same number N of them
    (Hoiem et al., Diagnosing Error in Object Detectors, ECCV 2012):
    P = R N / (R N + F), with recall R and false positives F. Predictions that match a segment
    outside are neither.

    Args:
        considered: what the protocol compares.
        ranking: of its predictions.
        matched: (N,) the segments that they match at one threshold; -1 for none.
        inside: (M,) the segments to find.
        normal: N.

    Returns:
        In [0, 1], over the classes that have any of the segments.
    """
    truth = considered.truth
    positives = np.bincount(truth.label[inside], minlength=len(truth.classes))
    scores = []
    for c in np.flatnonzero(positives):
        mine = matched[ranking.bounds[c] : ranking.bounds[c + 1]]
        is_true = np.zeros(len(mine), dtype=np.bool_)
        is_true[mine >= 0] = inside[mine[mine >= 0]]
        false = np.cumsum(mine < 0)
        recalled = np.cumsum(is_true) / positives[c] * normal
        precision = recalled / np.maximum(recalled + false, np.finfo(float).tiny)
        interpolated = np.maximum.accumulate(precision[::-1])[::-1]
        scores.append(float(interpolated[is_true].sum() / positives[c]))
    return float(np.mean(scores))
