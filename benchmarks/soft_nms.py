"""Speed of soft-NMS, and of the whole way from probabilities to detections.

    OMP_NUM_THREADS=1 python benchmarks/soft_nms.py

Prints, for proposals as a video makes them and for random intervals, the milliseconds of `soft_nms`
beside those of the textbook loop in numpy, after checking that both keep the same proposals in the
same order with the same scores; then the seconds to localize 210 videos of THUMOS14's lengths.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from duetal.core.grid import TimeGrid
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import (
    find_intervals,
    highest_inside,
    localize_video,
    stretch,
)
from duetal.localization.soft_nms import NmsMethod, soft_nms

Floats = NDArray[np.float64]
Proposals = tuple[Floats, Floats, Floats]

SIGMA = 0.3
IOU_THRESHOLD = 0.5
METHODS: tuple[NmsMethod, ...] = ("gaussian", "linear", "hard")
SETTINGS = LocalizationSettings()


def score_curves(length: int, classes: int, rng: np.random.Generator) -> Floats:
    """(T, K) probabilities: noise smoothed over a few seconds, actions on a third of the video."""
    kernel = np.hanning(11)
    noise = rng.standard_normal((length + len(kernel) - 1, classes))
    smooth = np.column_stack([np.convolve(column, kernel, "valid") for column in noise.T])
    return np.asarray(1 / (1 + np.exp(1.5 - 3 * smooth / smooth.std())))


def from_curves(count: int, rng: np.random.Generator) -> Proposals:
    """Proposals from nine thresholds over one score curve, long enough to give `count`."""
    curve = score_curves(4 * count, 1, rng)[:, 0]
    first, stop = find_intervals(stretch(curve), SETTINGS.thresholds)
    assert len(first) >= count
    first, stop = first[:count], stop[:count]
    grid = TimeGrid()
    return grid.start(first), grid.start(stop), highest_inside(curve, first, stop)


def random_short(count: int, rng: np.random.Generator) -> Proposals:
    """Uniform starts in 1,000 seconds, uniform lengths of 1 to 100 seconds."""
    start = rng.uniform(0, 1000, count)
    return start, start + rng.uniform(1, 100, count), rng.uniform(0, 1, count)


def random_long(count: int, rng: np.random.Generator) -> Proposals:
    """Both ends uniform in 1,000 seconds: two of three pairs overlap."""
    ends = np.sort(rng.uniform(0, 1000, (2, count)), axis=0)
    return ends[0], ends[1], rng.uniform(0, 1, count)


def textbook(
    proposals: Proposals, method: NmsMethod, min_score: float
) -> tuple[NDArray[np.int64], Floats]:
    """The usual loop: pick the highest, decay the rest, drop what falls below, repeat."""
    start, end, score = proposals
    index = np.flatnonzero(score >= min_score)
    start, end, score = start[index], end[index], score[index]
    kept_index, kept_score = [], []
    while len(index):
        best = int(np.argmax(score))
        kept_index.append(index[best])
        kept_score.append(score[best])
        inter = np.minimum(end[best], end) - np.maximum(start[best], start)
        inter = np.maximum(inter, 0)
        iou = inter / ((end[best] - start[best]) + (end - start) - inter)
        if method == "gaussian":
            score = score * np.exp(-(iou**2) / SIGMA)
        elif method == "linear":
            score = score * np.where(iou > IOU_THRESHOLD, 1 - iou, 1)
        left = score >= min_score
        if method == "hard":
            left &= iou <= IOU_THRESHOLD
        left[best] = False
        start, end, score, index = start[left], end[left], score[left], index[left]
    return np.array(kept_index), np.array(kept_score)


def milliseconds(function: Callable[[], object], repeats: int) -> float:
    """The shortest of a few timings in processor time, so that other programs hardly count."""
    timings = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        timings.append(time.process_time() - began)
    return 1000 * min(timings)


def compare(name: str, proposals: Proposals, method: NmsMethod, min_score: float) -> None:
    """Check one case against the textbook loop, time both and print a line."""

    def ours() -> tuple[NDArray[np.int64], Floats]:
        return soft_nms(
            *proposals,
            method=method,
            sigma=SIGMA,
            iou_threshold=IOU_THRESHOLD,
            min_score=min_score,
        )

    index, score = ours()
    expected_index, expected_score = textbook(proposals, method, min_score)
    same = np.array_equal(index, expected_index) and np.allclose(score, expected_score, atol=1e-6)
    fast = milliseconds(ours, 5)
    slow = milliseconds(lambda: textbook(proposals, method, min_score), 1)
    print(
        f"{name:<12} {len(proposals[0]):>9,} {method:<9} {min_score:>9} {len(index):>7,}"
        f" {fast:>9.2f} {slow:>9.1f} {slow / fast:>6.0f}x  {'yes' if same else 'NO'}"
    )


def localize_thumos14(classes_per_video: int) -> None:
    """Time the whole localization of 210 videos, median 240 snippets, the longest 2,700."""
    rng = np.random.default_rng(0)
    lengths = np.clip(np.exp(rng.normal(np.log(240), 0.8, 210)), 15, 2700).astype(int)
    lengths[0] = 2700
    scores = [score_curves(length, 20, rng).astype(np.float32) for length in lengths]
    present = np.arange(20) < classes_per_video
    video_scores = np.where(present, 0.8, 0.05)

    def run() -> int:
        return sum(len(localize_video(s, video_scores, TimeGrid(), SETTINGS)) for s in scores)

    print(
        f"210 videos, {lengths.sum():,} snippets, {classes_per_video:>2} of 20 classes each: "
        f"{run():,} detections in {milliseconds(run, 3) / 1000:.3f} s"
    )


def main() -> None:
    """Print all figures."""
    began = time.perf_counter()
    soft_nms([0.0], [1.0], [0.5])
    print(f"first call (imports numba, loads or compiles): {time.perf_counter() - began:.2f} s\n")
    print(
        f"{'proposals':<12} {'count':>9} {'method':<9} {'min_score':>9} {'kept':>7}"
        f" {'ms':>9} {'textbook':>9} {'ratio':>7}  same"
    )
    for make in (from_curves, random_short, random_long):
        for count in (2_000, 20_000):
            proposals = make(count, np.random.default_rng(0))
            for min_score in (0.001, 0.0):
                for method in METHODS:
                    compare(make.__name__, proposals, method, min_score)
    print()
    for classes_per_video in (1, 3, 20):
        localize_thumos14(classes_per_video)


if __name__ == "__main__":
    main()
