"""Speed of the evaluation: `python benchmarks/evaluation.py [--data FOLDER]`.

Times mAP at THUMOS14's seven tIoU thresholds after parsing, pinned to one core: on real
detections and ground truth where the real data is at hand, on made-up ones of THUMOS14's size
with growing numbers of predictions, and on two cases that are hard by construction. Beside it
runs the loop of the public evaluators (prediction by prediction, threshold by threshold), written
anew without pandas; the public ones are several times slower still.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _detections import REAL_DATA, made_up_annotations, made_up_detections, real
from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.evaluation import evaluate
from duetal.formats import read_detections

PROTOCOL = "seconds"
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=REAL_DATA, help="folder of the real data")
    parser.add_argument("--repeats", type=int, default=5, help="timings to take the least of")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    print(f"{'case':44}{'predictions':>12}{'segments':>10}{'ms':>9}{'us each':>9}{'loop ms':>10}")
    if options.data.is_dir():
        detections, annotations = real(options.data)
        report("real: THUMOS14, first call", detections, annotations, 1)
        report("real: THUMOS14", detections, annotations, options.repeats, loop=True)
        report_reading(options.data / "thumos14" / "detections_train.json", options.repeats)
    annotations = made_up_annotations(videos=210, segments=3311, classes=20)
    for count in (10_000, 20_000, 34_000, 40_000, 80_000, 160_000, 320_000):
        detections = made_up_detections(annotations, count)
        report("made up: THUMOS14's size", detections, annotations, options.repeats)
    annotations = made_up_annotations(videos=1, segments=3000, classes=1)
    detections = made_up_detections(annotations, 30_000)
    report("hard: one video, one class", detections, annotations, options.repeats)
    annotations = made_up_annotations(videos=1, segments=3000, classes=1, spread=0.0)
    detections = made_up_detections(annotations, 30_000)
    report("hard: and every segment overlaps every other", detections, annotations, 2)


def report_reading(path: Path, repeats: int) -> None:
    """Time reading a results file, beside `json.load` and a loop that checks nothing."""

    def bare() -> list[tuple[str, str, float, float, float]]:
        with path.open(encoding="utf-8") as file:
            results = json.load(file)["results"]
        return [
            (name, each["label"], *map(float, each["segment"]), float(each["score"]))
            for name, found in results.items()
            for each in found
        ]

    for name, read in (("reading the file", read_detections), ("json.load and a loop", None)):
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            count = len(bare() if read is None else read(path))
            times.append(time.perf_counter() - began)
        milliseconds = 1e3 * min(times)
        print(f"{name:44}{count:12,}{'':10}{milliseconds:9.1f}{1e3 * milliseconds / count:9.2f}")


def report(
    case: str,
    detections: Detections,
    annotations: Annotations,
    repeats: int,
    *,
    loop: bool = False,
) -> None:
    """Time one case and print its row."""
    seconds = least_seconds(lambda: evaluate(detections, annotations, PROTOCOL), repeats)
    result = evaluate(detections, annotations, PROTOCOL)
    beside = ""
    if loop:
        began = time.perf_counter()
        mean_ap = public_loop(detections, annotations)
        beside = f"{1000 * (time.perf_counter() - began):10.0f}"
        np.testing.assert_allclose(mean_ap, result.mean_ap, atol=1e-9, rtol=0)
    assert result.predictions
    print(
        f"{case:44}{result.predictions:12,}{result.segments:10,}{1000 * seconds:9.1f}"
        f"{1e6 * seconds / result.predictions:9.2f}{beside}",
        flush=True,
    )


def least_seconds(function: Callable[[], object], repeats: int) -> float:
    """The least wall time of a call: other programs only ever add to it."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def public_loop(detections: Detections, annotations: Annotations) -> NDArray[np.float64]:
    """(K,) mAP by the public evaluators' loop: for every prediction, for every threshold."""
    wanted = {detections.videos[index] for index in np.unique(detections.video)}
    truth: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for video in annotations:
        for segment in (video.segments or ()) if video.name in wanted else ():
            by_video = truth.setdefault(segment.label, {})
            by_video.setdefault(video.name, []).append((segment.start, segment.end))
    columns = (detections.video, detections.label, detections.start, detections.end)
    rows = list(zip(*columns, detections.score, strict=True))
    aps = []
    for label, by_video in truth.items():
        mine = [row for row in rows if detections.classes[row[1]] == label]
        order = np.argsort([row[4] for row in mine], kind="stable")[::-1]
        ranked = [(detections.videos[mine[i][0]], mine[i][2], mine[i][3]) for i in order]
        aps.append(public_loop_of_class(by_video, ranked))
    return np.asarray(np.mean(aps, axis=0), dtype=np.float64)


def public_loop_of_class(
    by_video: dict[str, list[tuple[float, float]]], ranked: list[tuple[str, float, float]]
) -> list[float]:
    """(K,) AP of one class, its predictions given surest first."""
    positives = sum(len(segments) for segments in by_video.values())
    truth = {video: np.array(segments) for video, segments in by_video.items()}
    taken = {video: np.zeros((len(TIOU), len(rows)), dtype=bool) for video, rows in truth.items()}
    hits = np.zeros((len(TIOU), len(ranked)))
    for row, (video, start, end) in enumerate(ranked):
        if video not in truth:
            continue
        segments = truth[video]
        shared = np.minimum(end, segments[:, 1]) - np.maximum(start, segments[:, 0])
        shared = shared.clip(0)
        overlap = shared / ((segments[:, 1] - segments[:, 0]) + (end - start) - shared)
        best_first = np.argsort(overlap, kind="stable")[::-1]
        for k, threshold in enumerate(TIOU):
            for index in best_first:
                if overlap[index] < threshold:
                    break
                if not taken[video][k, index]:
                    taken[video][k, index] = True
                    hits[k, row] = 1
                    break
    return [interpolated_area(each, positives) for each in hits]


def interpolated_area(hits: NDArray[np.float64], positives: int) -> float:
    """Area under the precision-recall curve of PASCAL VOC 2011."""
    true = np.cumsum(hits)
    precision = np.hstack([[0], true / np.arange(1, len(hits) + 1), [0]])
    recall = np.hstack([[0], true / positives, [1]])
    for index in range(len(precision) - 1)[::-1]:
        precision[index] = max(precision[index], precision[index + 1])
    rises = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[rises] - recall[rises - 1]) * precision[rises]))


if __name__ == "__main__":
    main()
