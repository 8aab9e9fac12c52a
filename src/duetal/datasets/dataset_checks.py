"""The checks of a dataset: its features, its classes and its segments."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.core.url_paths import UrlPath
from duetal.datasets.problems import OnProblem, Problem, reporting
from duetal.features.arrays import FeatureArray
from duetal.features.reading_ahead import READERS
from duetal.features.streams import FeaturePart

#: How far T may be from that of the duration: snippets, and share of T; the larger one counts.
#: Extractors drop or pad the last window, and durations are rounded: two snippets mean nothing.
SLIGHTLY_OFF = (2, 0.02)
#: Beyond this the features are of another grid (made at 30 frames per second instead of 25, T is
#: 20 % off) or of another video, and every segment would be misplaced.
WILDLY_OFF = (8, 0.1)

#: Values in memory at once while an array is searched for NaN: 16 MB as float32.
_CHUNK_VALUES = 4_000_000

#: Wraps a sequence of names that is worked through, to show progress.
Track = Callable[[Sequence[str]], Iterable[str]]


def check_features(
    parts: Sequence[FeaturePart], names: Sequence[str], track: Track, report: OnProblem
) -> dict[str, int]:
    """Read all features of the named videos, a chunk at a time.

    Returns:
        T of each video whose features are there and can be opened in every part.
    """
    widths = [_usual_width(part, names) for part in parts]
    lengths: dict[str, int] = {}

    def check(name: str) -> tuple[list[FeatureArray], list[Problem]]:
        found: list[Problem] = []
        return _check_video(parts, widths, name, found.append), found

    # Of an object store many are read at once, of a disk one after the other.
    remote = any(isinstance(part.place, UrlPath) for part in parts)
    with ThreadPoolExecutor(READERS) as pool:
        checked = pool.map(check, names) if remote else map(check, names)
        for name, (arrays, problems) in zip(track(names), checked, strict=True):
            for problem in problems:
                report(problem)
            if arrays and len(arrays) == len(parts):
                lengths[name] = arrays[0].header.length
    return lengths


def _check_video(
    parts: Sequence[FeaturePart], widths: Sequence[int], name: str, report: OnProblem
) -> list[FeatureArray]:
    """Read all features of a video; its arrays that can be opened."""
    arrays: list[FeatureArray] = []
    for part, width in zip(parts, widths, strict=True):
        with reporting(report):
            array = part.open(name)
            arrays.append(array)
            if array.header.dim != width:
                cause = f"C = {array.header.dim}, but most {part.title} features have {width}"
                report(Problem.fatal(cause, array.path, array.place))
            _check_values(array)
    for array in arrays[1:]:
        if array.header.length != (length := arrays[0].header.length):
            cause = f"T = {array.header.length}, but {arrays[0].path} has T = {length}"
            report(Problem.fatal(cause, array.path, f"video {name!r}"))
    return arrays


def _usual_width(part: FeaturePart, names: Iterable[str]) -> int:
    """C of most of the videos; 0 when none can be opened."""
    widths: Counter[int] = Counter()
    for name in names:
        # What can't be opened is reported when its values are read.
        with reporting(lambda problem: None):
            widths[part.open(name).header.dim] += 1
    return widths.most_common(1)[0][0] if widths else 0


def _check_values(array: FeatureArray) -> None:
    """Search an array for values that are not finite in float32.

    Raises:
        DuetalError: unreadable, or how many snippets are affected and which is the first.
    """
    length, width = array.header.length, array.header.dim
    step = max(1, _CHUNK_VALUES // width)
    affected, first = 0, None
    for start in range(0, length, step):
        with np.errstate(over="ignore"):
            values = array.rows(start, min(start + step, length)).astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        affected += len(bad)
        if first is None and len(bad):
            first = start + int(bad[0])
    if first is not None:
        cause = f"NaN or infinity in {affected} of {length} snippets"
        place = "" if array.place is None else f"{array.place}, "
        raise DuetalError(cause, file=array.path, place=f"{place}snippet {first}")


def check_durations(
    annotations: Annotations,
    part: FeaturePart,
    lengths: dict[str, int],
    grid: TimeGrid,
    report: OnProblem,
) -> None:
    """Compare T with the annotated durations, where there are any."""
    # The records themselves would take gigabytes of many videos.
    offsets = {name: record.offset for name, record in part.records(lengths)}
    for name, length in lengths.items():
        video = annotations.videos.get(name)
        if video is None or video.duration is None:
            continue
        place = f"video {name!r}"
        if not 0 < video.duration < float("inf"):
            report(Problem.fatal(f"a duration of {video.duration} s", annotations.source, place))
            continue
        # The pictures may begin late.
        expected = grid.length(video.duration - offsets.get(name, 0))
        off = abs(length - expected)
        cause = (
            f"T = {length}, but {video.duration:g} s at {grid.fps:g} frames per second, stride "
            f"{grid.stride} and window {grid.window} make {expected}"
        )
        path = part.open(name).path
        if off > _allowed(WILDLY_OFF, expected):
            report(Problem.fatal(cause, path, place))
        elif off > _allowed(SLIGHTLY_OFF, expected):
            report(Problem.warning(cause, path, place))


def _allowed(tolerance: tuple[int, float], expected: int) -> float:
    snippets, share = tolerance
    return max(snippets, share * expected)


def check_strays(parts: Sequence[FeaturePart], annotations: Annotations, report: OnProblem) -> None:
    """Warn of features that belong to no annotated video."""
    for part in parts:
        strays = [name for name in part.entries if name not in annotations.videos]
        if strays:
            cause = (
                f"{part.title} features of {len(strays)} videos that are not annotated, "
                f"{strays[0]!r} the first"
            )
            report(Problem.warning(cause, part.place))


def check_segments(
    annotations: Annotations, lengths: Mapping[str, int], grid: TimeGrid, report: OnProblem
) -> None:
    """Warn of segments that are empty, reversed, or lie outside their video.

    Warnings, because the field's own annotations have them. A segment may end one snippet after
    the video: durations are rounded. Without an annotated duration, T (`lengths`) is the video's.
    """
    for video in annotations:
        duration = video.duration
        if duration is None:
            length = lengths.get(video.name)
            duration = math.inf if length is None else grid.longest(length)
        for number, segment in enumerate(video.segments or ()):
            span = f"{segment.label} from {segment.start:g} to {segment.end:g} s"
            cause = None
            if not (math.isfinite(segment.start) and math.isfinite(segment.end)):
                cause = f"{span}: not a finite time"
            elif segment.end < segment.start:
                cause = f"{span} ends before it begins"
            elif segment.end == segment.start:
                cause = f"{span} has no length"
            elif segment.start < 0:
                cause = f"{span} begins before the video"
            elif segment.end > duration + grid.seconds_per_snippet:
                cause = f"{span} is out of range: the video lasts {duration:g} s"
            if cause is not None:
                place = f"video {video.name!r}, segment {number}"
                report(Problem.warning(cause, annotations.source, place))
