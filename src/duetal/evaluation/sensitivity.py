"""Which actions are missed or found badly, by coverage, length and number.

DETAD's three characteristics (Alwassel et al., ECCV 2018): how much of the video an action fills,
how long it is, and how many of its class are in the video. A segment is missed when no prediction
matches it; that paper's program also counts those as missed that are matched only where normalised
precision is 5 % or less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.array_types import Bools, Floats, Ints
from duetal.evaluation.considered import Considered
from duetal.evaluation.mean_ap import Ranking
from duetal.evaluation.result import PlainRecord

_SIZES = ("XS", "S", "M", "L", "XL")


@dataclass(frozen=True)
class Bucket(PlainRecord):
    """The segments whose characteristic lies in `(low, high]`, in the first bucket `[0, high]`."""

    name: str  # "XS" to "XL".
    low: float
    high: float
    segments: int
    missed: float | None  # The share that no prediction matches; None without segments.
    mean_ap: float | None  # Normalised mAP of finding them; None without segments.

    json_keys: ClassVar = {"mean_ap": "normalized_mAP"}

    def to_json(self) -> dict[str, Any]:
        """As plain values; an open upper end is None."""
        return super().to_json() | {"high": self.high if np.isfinite(self.high) else None}


@dataclass(frozen=True)
class Characteristic(PlainRecord):
    """One property of segments, and how well segments are found by its value."""

    name: str  # "coverage", "length" or "instances".
    unit: str
    buckets: tuple[Bucket, ...]  # By rising value.


@dataclass(frozen=True)
class Sensitivity(PlainRecord):
    """Missed segments and normalised mAP at one threshold."""

    tiou: float
    missed: float  # The share of all segments that no prediction matches.
    mean_ap: float | None  # Normalised mAP over all segments.
    characteristics: tuple[Characteristic, ...]  # Coverage (if known), length, instances.

    json_keys: ClassVar = {"mean_ap": "normalized_mAP"}


def sensitivity(
    considered: Considered, ranking: Ranking, annotations: Annotations, column: int
) -> Sensitivity:
    """Measure how well segments of each characteristic are found, at one threshold's column.

    Without the durations of all videos there is no coverage.
    """
    truth, matched = considered.truth, ranking.matched[:, column]
    found = np.zeros(len(truth), dtype=np.bool_)
    found[matched[matched >= 0]] = True
    characteristics = []
    for name, (unit, values) in _characteristics(considered, annotations).items():
        top = 1.0 if name == "coverage" else np.inf
        borders = (0.0, *_borders(considered.protocol.name, name, values), top)
        buckets = []
        for size, (low, high) in zip(_SIZES, pairwise(borders), strict=False):
            # A segment that rounding left empty has length 0 and belongs to the shortest.
            inside = (values > low) & (values <= high) if low > 0 else values <= high
            missed = 1.0 - float(found[inside].mean()) if inside.any() else None
            mean_ap = normalized_mean_ap(considered, ranking, matched, inside)
            count = int(inside.sum())
            buckets.append(Bucket(size, low, float(high), count, missed, mean_ap))
        characteristics.append(Characteristic(name, unit, tuple(buckets)))
    return Sensitivity(
        considered.protocol.tiou[column],
        1.0 - float(found.mean()),
        normalized_mean_ap(considered, ranking, matched, np.ones(len(truth), dtype=np.bool_)),
        tuple(characteristics),
    )


def _characteristics(
    considered: Considered, annotations: Annotations
) -> dict[str, tuple[str, Floats]]:
    """Unit and (M,) values of each characteristic, by name."""
    truth, grid = considered.truth, considered.protocol.grid
    seconds = np.maximum(truth.end - truth.start, 0.0)
    if grid is not None:
        seconds = seconds * grid.seconds_per_snippet
    _, group, sizes = np.unique(truth.groups, return_inverse=True, return_counts=True)
    values = {"length": ("s", seconds), "instances": ("in the video", sizes[group].astype(float))}
    durations = [annotations.videos[name].duration for name in truth.videos]
    if not all(duration is not None and duration > 0 for duration in durations):
        return values
    of_video = np.array(durations, dtype=np.float64)
    coverage = np.minimum(seconds / of_video[truth.video], 1.0)
    return {"coverage": ("of the video", coverage)} | values


#: Upper borders of the buckets but the last: DETAD's, which it chose for each dataset.
_BORDERS = {
    ("thumos14", "coverage"): (0.02, 0.04, 0.06, 0.08),
    ("thumos14", "length"): (3.0, 6.0, 12.0, 18.0),
    ("thumos14", "instances"): (1.0, 40.0, 80.0),
    ("activitynet", "coverage"): (0.2, 0.4, 0.6, 0.8),
    ("activitynet", "length"): (30.0, 60.0, 120.0, 180.0),
    ("activitynet", "instances"): (1.0, 4.0, 8.0),
}


def _borders(protocol: str, name: str, values: Floats) -> Sequence[float]:
    """DETAD's borders for its datasets; for others quintiles, or each value where they are few."""
    known = _BORDERS.get((protocol.partition("/")[0], name))
    if known is not None:
        return known
    borders = np.unique(values)
    if len(borders) > len(_SIZES):
        borders = np.unique(np.quantile(values, (0.2, 0.4, 0.6, 0.8), method="lower"))
    return tuple(borders[borders < values.max()].tolist())


def normalized_mean_ap(
    considered: Considered, ranking: Ranking, matched: Ints, inside: Bools
) -> float | None:
    """Mean over classes of normalised AP of finding some of the segments.

    The fewer segments there are, the lower the precision of the same detector. Normalised AP
    computes precision as if every class had the mean number N of them (Hoiem et al., Diagnosing
    Error in Object Detectors, ECCV 2012): P = R N / (R N + F), with recall R and false positives F.
    Predictions that match a segment outside are neither.

    Args:
        considered: what the protocol compares.
        ranking: of its predictions.
        matched: (N,) the segments that they match at one threshold; -1 for none.
        inside: (M,) which segments are to be found.

    Returns:
        In [0, 1], over the classes that have any of the segments; None where none has.
    """
    truth, scores = considered.truth, []
    normal = len(truth) / len(truth.classes)
    positives = truth.count(inside)
    for c in np.flatnonzero(positives):
        mine = matched[ranking.bounds[c] : ranking.bounds[c + 1]]
        is_true = np.zeros(len(mine), dtype=np.bool_)
        is_true[mine >= 0] = inside[mine[mine >= 0]]
        false = np.cumsum(mine < 0)
        recalled = np.cumsum(is_true) / positives[c] * normal
        precision = recalled / np.maximum(recalled + false, np.finfo(float).tiny)
        interpolated = np.maximum.accumulate(precision[::-1])[::-1]
        scores.append(float(interpolated[is_true].sum() / positives[c]))
    return float(np.mean(scores)) if scores else None
