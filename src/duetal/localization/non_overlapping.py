"""Detections without overlap within a class, as subtitles and regions of a page need them."""

from bisect import bisect

import numpy as np

from duetal.core.array_types import Bools
from duetal.core.detections import Detections


def keep_non_overlapping(detections: Detections) -> Bools:
    """(N,) which detections are kept when, of two of a class that overlap, the higher-scoring is.

    Soft-NMS only lowers the scores of overlapping detections. A detection is kept unless a kept one
    of higher score overlaps it, so that a score threshold may come before or after.
    """
    kept = np.zeros(len(detections), dtype=np.bool_)
    # Sorted starts and ends of the kept detections, by video and class.
    spans: dict[tuple[int, int], tuple[list[float], list[float]]] = {}
    for row in np.argsort(-detections.score, kind="stable"):
        start, end = float(detections.start[row]), float(detections.end[row])
        key = (int(detections.video[row]), int(detections.label[row]))
        starts, ends = spans.setdefault(key, ([], []))
        i = bisect(starts, start)
        if (i and ends[i - 1] > start) or (i < len(starts) and starts[i] < end):
            continue
        starts.insert(i, start)
        ends.insert(i, end)
        kept[row] = True
    return kept


def score_floor(detections: Detections) -> float:
    """A score above which every video with detections has some; 0 without detections.

    Half the lowest of the videos' top scores.
    """
    best = np.full(len(detections.videos), -np.inf)
    np.maximum.at(best, detections.video, detections.score)
    found = best[np.isfinite(best)]
    return max(0.0, float(found.min()) / 2) if len(found) else 0.0
