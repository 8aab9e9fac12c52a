"""Speed of `duetal compare`: `python benchmarks/comparison.py [--data FOLDER]`.

A paired bootstrap of 1,000 resamples between two methods at THUMOS14's seven tIoU thresholds,
after parsing, pinned to one core: on real detections where the real data is at hand, otherwise on
made-up ones of their number. Beside it the plain way for a few resamples: each a dataset of its
own, in which videos stand several times, evaluated anew.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _detections import REAL_DATA, made_up_annotations, made_up_detections, real
from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.evaluation import evaluate, protocol_named
from duetal.evaluation.comparison import Contender, compare

PROTOCOL = protocol_named("seconds")
DRAWS = 1000
PLAIN_DRAWS = 3


def main() -> None:
    """Run both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=REAL_DATA, help="folder of the real data")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    if options.data.is_dir():
        first, annotations = real(options.data)
        case = "real detections"
    else:
        annotations = made_up_annotations(videos=210, segments=3311, classes=20)
        first, case = made_up_detections(annotations, 34_000), "made-up detections"
    generator = np.random.default_rng(0)
    second = replace(first, score=first.score * generator.uniform(0.5, 1.5, size=len(first)))
    contenders = [Contender("first", (first,)), Contender("second", (second,))]
    compare(contenders, annotations, PROTOCOL, draws=100)  # compiled, files in the cache

    began = time.perf_counter()
    result = compare(contenders, annotations, PROTOCOL, draws=DRAWS)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    for draw in range(PLAIN_DRAWS):
        weights = np.random.default_rng(draw).multinomial(len(annotations), _even(annotations))
        for detections in (first, second):
            evaluate(*repeated(detections, annotations, weights), PROTOCOL)
    plain = (time.perf_counter() - began) * DRAWS / PLAIN_DRAWS
    print(
        f"{case}: two methods of {len(first):,} predictions, {result.videos:,} videos, "
        f"{DRAWS:,} resamples: {seconds:.1f} s; each resample evaluated anew would take "
        f"{plain:.0f} s, {plain / seconds:.0f} times as long"
    )


def _even(annotations: Annotations) -> NDArray[np.float64]:
    return np.full(len(annotations), 1 / len(annotations))


def repeated(
    detections: Detections, annotations: Annotations, weights: NDArray[np.int64]
) -> tuple[Detections, Annotations]:
    """The dataset in which every video stands as often as its weight says."""
    videos, rows = {}, []
    of_video = {name: [] for name in detections.videos}  # type: dict[str, list[int]]
    for row, video in enumerate(detections.video.tolist()):
        of_video[detections.videos[video]].append(row)
    for video, weight in zip(annotations, weights.tolist(), strict=True):
        for copy in range(weight):
            name = f"{video.name}-{copy}"
            videos[name] = replace(video, name=name, subset="test")
            rows += [
                (
                    name,
                    detections.classes[detections.label[row]],
                    float(detections.start[row]),
                    float(detections.end[row]),
                    float(detections.score[row]),
                )
                for row in of_video.get(video.name, ())
            ]
    return Detections.from_rows(rows), Annotations(videos, annotations.classes)


if __name__ == "__main__":
    main()
