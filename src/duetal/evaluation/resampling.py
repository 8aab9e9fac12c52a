"""mAP of reweighted videos: every resample of a bootstrap from one matching of the predictions.

The match of a prediction depends on its own video alone, so that resampling videos changes no
match, only how often each counts. mAP under weights is the mAP of the dataset in which every video
occurs as many times as its weight.
"""

import numpy as np

from duetal.core.array_types import Bools, Floats, Ints
from duetal.core.compiled import compiled
from duetal.evaluation.considered import Considered
from duetal.evaluation.mean_ap import rank


class Resampler:
    """AP of what a protocol compares, as a function of the videos' weights."""

    def __init__(self, considered: Considered):
        truth = considered.truth
        ranking = rank(truth, considered.detections, considered.protocol.tiou)
        # A prediction in a video that the ground truth lacks is false in every resample: its video
        # is one past the last, whose weight is always 1.
        self._video = np.where(ranking.video < 0, len(truth.videos), ranking.video)
        self._bounds = ranking.bounds
        self._matched = np.ascontiguousarray((ranking.matched >= 0).T)
        self._positives = np.zeros((len(truth.classes), len(truth.videos) + 1), dtype=np.int64)
        np.add.at(self._positives, (truth.label, truth.video), 1)

    def average_precision(self, weights: Ints) -> Floats:
        """(C, K) AP in [0, 1] of each class at each threshold, under (V,) weights of the videos.

        NaN for a class without a segment in the videos that count.
        """
        counts = np.append(weights, 1).astype(np.int64)
        positives = self._positives @ counts
        ap = _weighted(self._video, self._bounds, self._matched, positives, counts)
        return np.asarray(ap, dtype=np.float64)


@compiled("float64[:, ::1](int64[::1], int64[::1], boolean[:, ::1], int64[::1], int64[::1])")
def _weighted(video: Ints, bounds: Ints, matched: Bools, positives: Ints, weights: Ints) -> Floats:
    """(C, K) interpolated AP of weighted predictions.

    A true positive of weight w is w true positives in a row. The precision after the last of them
    is the highest of theirs, so that one alone decides the interpolation.

    Args:
        video: (N,) of the predictions, class by class, by falling score.
        bounds: (C + 1,) where each class begins and ends.
        matched: (K, N) whether each is a true positive.
        positives: (C,) weighted segments to find.
        weights: (V,) of the videos.
    """
    classes, thresholds = len(bounds) - 1, len(matched)
    ap = np.full((classes, thresholds), np.nan)
    counted = np.empty(len(video), dtype=np.int64)
    for c in range(classes):
        if positives[c] == 0:
            continue
        total = 0
        for row in range(bounds[c], bounds[c + 1]):
            total += weights[video[row]]
            counted[row] = total
        for k in range(thresholds):
            true = 0
            for row in range(bounds[c], bounds[c + 1]):
                if matched[k, row]:
                    true += weights[video[row]]
            area, envelope = 0.0, 0.0
            for row in range(bounds[c + 1] - 1, bounds[c] - 1, -1):
                weight = weights[video[row]]
                if matched[k, row] and weight > 0:
                    envelope = max(envelope, true / counted[row])
                    area += weight * envelope
                    true -= weight
            ap[c, k] = area / positives[c]
    return ap
