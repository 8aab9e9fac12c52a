"""FiftyOne's temporal detections: the `labels.json` of a FiftyOneTemporalDetectionDataset.

    {"classes": ["Diving", "HighJump"],
     "labels": {"v1": [{"label": 0, "timestamps": [0.5, 12.0], "confidence": 0.87}],
                "v2": [{"label": 1, "support": [1, 300]}],
                "v3": null}}

A key is the video's file name without suffix. Times are `timestamps` in seconds, or `support`: the
first and last frame, counted from 1. Without `classes` a label is the class itself. A video of
`null` has not been labelled. https://docs.voxel51.com/user_guide/export_datasets.html
"""

from collections import Counter
from pathlib import Path
from sys import intern
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import write_json
from duetal.formats.frames import seconds_of
from duetal.formats.json_stream import members
from duetal.formats.json_values import (
    FAULTS,
    a_finite_number,
    a_list,
    a_string,
    an_object,
    consumed,
    located,
    shortened,
)
from duetal.formats.marked import (
    Marked,
    MarkedVideo,
    as_annotations,
    as_detections,
    marked_annotations,
    marked_detections,
)
from duetal.formats.media import video_name
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

FILE_NAME = "labels.json"
_KEYS = frozenset({"label", "timestamps", "support", "confidence"})


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read labels as annotations; confidences are left out, and so are videos without labels.

    Args:
        path: the `labels.json`, or the folder that holds it.
        options: `fps` where times are frames.
        report: takes the error of each video that is malformed or listed twice.

    Raises:
        DuetalError: not JSON or not of this form, or a label outside the classes; names the video
            and the detection.
        UsageError: times are frames, and `fps` was not given.
    """
    videos, classes, left_out = _read(path, options, report)
    scored = (one for video in videos for one in video.intervals or () if one.score is not None)
    left_out["confidence"] = sum(1 for _ in scored)
    return as_annotations(videos, path, classes=classes, left_out=left_out)


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read labels as detections, whose scores are their confidences.

    Raises:
        DuetalError: as `read_annotations`.
        UsageError: likewise.
    """
    videos, classes, left_out = _read(path, options, raise_error)
    return as_detections(videos, path, classes=classes, left_out=left_out)


def write_annotations(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write labels with timestamps, atomically.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    _write(path, list(marked_annotations(annotations)), annotations.classes)


def write_detections(
    path: Path, detections: Detections, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write labels with timestamps and confidences, atomically.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    _write(path, list(marked_detections(detections)), detections.classes)


def labels_place(path: Path) -> Path:
    """Where the labels lie: in the file itself, or in the folder of the dataset."""
    return path / FILE_NAME if path.is_dir() else path


def _write(path: Path, videos: list[MarkedVideo], classes: tuple[str, ...]) -> None:
    numbers = {label: number for number, label in enumerate(classes)}

    def entry(one: Marked) -> dict[str, Any]:
        value = {"label": numbers[one.label], "timestamps": [one.start, one.end]}
        return value if one.score is None else {**value, "confidence": one.score}

    labels = {
        video.name: None if video.intervals is None else [entry(one) for one in video.intervals]
        for video in videos
    }
    place = labels_place(path)
    write_json(place, {"classes": list(classes), "labels": labels}, indent=None)


def _read(
    path: Path, options: FormatOptions, report: Report
) -> tuple[list[MarkedVideo], list[str], Counter[str]]:
    place = labels_place(path)
    # The classes come first or last: labels are numbers until the file has been read.
    classes: list[str] | None = None
    videos: dict[str, list[tuple[Any, ...]]] = {}
    left_out: Counter[str] = Counter()
    found = False
    for keys, value in members(place, {"labels"}, report=report):
        if keys == ("labels",):
            found = isinstance(value, dict)
        elif keys == ("classes",):
            classes = _classes(value, place)
        elif len(keys) == 2 and value is None:
            left_out["videos without labels"] += 1
        elif len(keys) == 2:
            try:
                name, intervals = _video(str(keys[1]), value, place, options, left_out)
                if name in videos:
                    raise DuetalError(f"{name!r} is listed twice", file=place)
                videos[name] = intervals
            except DuetalError as error:
                report(error)
        elif keys and isinstance(keys[0], str):
            left_out[keys[0]] += 1
    if not found:
        raise DuetalError("not of FiftyOne's form: no object 'labels'", file=place)
    marked = []
    for name in list(videos):
        try:
            marked.append(_named(name, videos.pop(name), classes, place))
        except DuetalError as error:
            report(error)
    return marked, classes or [], left_out


def _classes(value: Any, path: Path) -> list[str]:
    try:
        return [a_string(label, "a class") for label in a_list(value, "'classes'")]
    except TypeError as error:
        raise located(error, path, "classes") from error


def _video(
    key: str, entries: Any, path: Path, options: FormatOptions, left_out: Counter[str]
) -> tuple[str, list[tuple[Any, ...]]]:
    """A video's name and its intervals as (start, end, label as it stands, confidence)."""
    place = f"video {key!r}"
    intervals = []
    try:
        name = video_name(key)
        listed = a_list(entries)
    except FAULTS as error:
        raise located(error, path, place) from error
    for index, entry in consumed(listed):
        try:
            label = an_object(entry)["label"]
            confidence = entry.get("confidence")
            score = None if confidence is None else a_finite_number(confidence)
            intervals.append((*_times(entry, path, options), label, score))
        except FAULTS as error:
            raise located(error, path, f"{place}, detection {index}") from error
        if len(entry) > 2:
            left_out.update(key for key in entry.keys() - _KEYS if entry[key])
    return name, intervals


def _times(entry: dict[str, Any], path: Path, options: FormatOptions) -> tuple[float, float]:
    if entry.get("timestamps") is not None:
        start, end = a_list(entry["timestamps"], "'timestamps'")
        return a_finite_number(start), a_finite_number(end)
    first, last = a_list(entry["support"], "'support'")
    fps = options.required_fps(path)
    return seconds_of(a_finite_number(first), a_finite_number(last), fps)


def _named(
    name: str, intervals: list[tuple[Any, ...]], classes: list[str] | None, path: Path
) -> MarkedVideo:
    marked = []
    for index, (start, end, label, score) in enumerate(intervals):
        if classes is None:
            known = label if isinstance(label, str) else None
        else:
            in_range = type(label) is int and 0 <= label < len(classes)
            known = classes[label] if in_range else None
        if known is None:
            what = "name" if classes is None else "number"
            cause = f"{shortened(label)} is the {what} of no class"
            place = f"video {name!r}, detection {index}"
            raise DuetalError(cause, file=path, place=place)
        marked.append(Marked(start, end, intern(known), score))
    return MarkedVideo(name, marked)
