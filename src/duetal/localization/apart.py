"""Detections that can be said one at a time: the surest of each class that do not overlap."""

from bisect import bisect

import numpy as np
from numpy.typing import NDArray

from duetal.core.detections import Detections


def surest_apart(detections: Detections) -> NDArray[np.bool_]:
    """Which detections are left when, of two of a class that overlap, the surer one speaks.

    Soft-NMS lowers the scores of overlapping detections and keeps them, which a ranking wants and
    a subtitle does not. A detection is taken unless a surer one that was taken overlaps it, so
    that a floor under the scores gives the same before and after.

    Args:
        detections: of any videos.

    Returns:
        (N,) booleans.
    """
    taken = np.zeros(len(detections), dtype=np.bool_)
    # Starts and ends of what was taken, by video and class; apart, both are in order.
    spans: dict[tuple[int, int], tuple[list[float], list[float]]] = {}
    for row in np.argsort(-detections.score, kind="stable"):
        start, end = float(detections.start[row]), float(detections.end[row])
        key = (int(detections.video[row]), int(detections.label[row]))
        starts, ends = spans.setdefault(key, ([], []))
        place = bisect(starts, start)
        if (place and ends[place - 1] > start) or (place < len(starts) and starts[place] < end):
            continue
        starts.insert(place, start)
        ends.insert(place, end)
        taken[row] = True
    return taken


def floor_of_the_surest(detections: Detections) -> float:
    """A floor above which every video with detections still has some: half its surest one's score.

    Of the video whose surest detection scores lowest; 0 where nothing was found.
    """
    best = np.full(len(detections.videos), -np.inf)
    np.maximum.at(best, detections.video, detections.score)
    found = best[np.isfinite(best)]
    return max(0.0, float(found.min()) / 2) if len(found) else 0.0
