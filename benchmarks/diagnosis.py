"""Speed of `duetal diagnose`: `python benchmarks/diagnosis.py [--data FOLDER]`.

The whole diagnosis (kinds of error at seven tIoU thresholds, mAP without each kind, sensitivity,
calibration) after parsing, pinned to one core, beside one evaluation of the same predictions: on
real detections where the real data is at hand, and on made-up ones.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from _detections import REAL_DATA, made_up_annotations, made_up_detections, real
from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.evaluation import evaluate, protocol_named
from duetal.evaluation.diagnosis import diagnose

PROTOCOL = protocol_named("seconds")


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=REAL_DATA, help="folder of the real data")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    print(f"{'case':28}{'predictions':>12}{'diagnosis ms':>14}{'evaluation ms':>15}")
    if options.data.is_dir():
        report("real: THUMOS14", *real(options.data))
    annotations = made_up_annotations(videos=210, segments=3311, classes=20)
    for count in (31_000, 62_000, 124_000):
        report("made up: THUMOS14's size", made_up_detections(annotations, count), annotations)


def report(case: str, detections: Detections, annotations: Annotations) -> None:
    """Time one case and print its row."""
    diagnosis = least_ms(lambda: diagnose(detections, annotations, PROTOCOL))
    evaluation = least_ms(lambda: evaluate(detections, annotations, PROTOCOL))
    print(f"{case:28}{len(detections):12,}{diagnosis:14.0f}{evaluation:15.1f}", flush=True)


def least_ms(function: Callable[[], object]) -> float:
    """The least of three wall times: other programs only ever add to it."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


if __name__ == "__main__":
    main()
