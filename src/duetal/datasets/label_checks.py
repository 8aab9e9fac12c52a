"""The checks of what is known of the videos: classes and segments."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.datasets.dataset import classes_without_video
from duetal.datasets.problems import Problem, Report


def check_classes(
    classes: Sequence[str],
    train_labels: Mapping[str, tuple[str, ...]],
    source: Path,
    report: Report,
) -> None:
    """Every class needs a training video.

    Args:
        classes: the class list.
        train_labels: of the training videos that have features.
        source: the dataset.
        report: takes the problems.
    """
    if not train_labels:
        cause = "no training video with labels and features"
        report(Problem.fatal(DuetalError(cause, file=source)))
        return
    for label in classes_without_video(classes, train_labels.values()):
        report(Problem.fatal(DuetalError(f"class {label!r} has no training video", file=source)))


def check_segments(
    annotations: Annotations, lengths: Mapping[str, int], grid: TimeGrid, report: Report
) -> None:
    """Warn of segments that are empty or lie outside their video.

    Warnings, because the field's own annotations have them. A segment may end one snippet after
    the video: durations are rounded.

    Args:
        annotations: the segments.
        lengths: T of the videos that have features, for those without an annotated duration.
        grid: the time grid.
        report: takes the problems.
    """
    for video in annotations:
        duration = video.duration
        if duration is None:
            length = lengths.get(video.name)
            duration = math.inf if length is None else (length + 1) * grid.seconds_per_snippet
        for number, segment in enumerate(video.segments or ()):
            span = f"{segment.label} from {segment.start:g} to {segment.end:g} s"
            cause = None
            if not (math.isfinite(segment.start) and math.isfinite(segment.end)):
                cause = f"{span}: not a finite time"
            elif segment.end <= segment.start:
                cause = f"{span} is empty"
            elif segment.start < 0:
                cause = f"{span} begins before the video"
            elif segment.end > duration + grid.seconds_per_snippet:
                cause = f"{span} is out of range: the video lasts {duration:g} s"
            if cause is not None:
                place = f"video {video.name!r}, segment {number}"
                report(Problem.warning(cause, annotations.source, place))
