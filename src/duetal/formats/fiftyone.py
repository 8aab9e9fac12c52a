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
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.core.files import write_json
from duetal.formats.json_values import (
    FAULTS,
    a_finite_number,
    a_list,
    a_string,
    an_object,
    consumed,
    located,
    read_document,
    shortened,
)
from duetal.formats.marked import (
    Content,
    Marked,
    MarkedVideo,
    as_annotations,
    as_detections,
    marked,
)
from duetal.formats.media import video_name
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions, seconds_of

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
    """Read labels as detections with their confidences; raises what `read_annotations` does."""
    videos, classes, left_out = _read(path, options, raise_error)
    return as_detections(videos, path, classes=classes, left_out=left_out)


def write(path: Path, content: Content, *, options: FormatOptions = DEFAULT_OPTIONS) -> None:
    """Write labels with timestamps and the confidences of detections, atomically.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    numbers = {label: number for number, label in enumerate(content.classes)}

    def entry(one: Marked) -> dict[str, Any]:
        value = {"label": numbers[one.label], "timestamps": [one.start, one.end]}
        return value if one.score is None else {**value, "confidence": one.score}

    labels = {
        video.name: None if video.intervals is None else [entry(one) for one in video.intervals]
        for video in marked(content)
    }
    document = {"classes": list(content.classes), "labels": labels}
    write_json(labels_place(path), document, indent=None)


def labels_place(path: Path) -> Path:
    """Where the labels lie: in the file itself, or in the folder of the dataset."""
    return path / FILE_NAME if path.is_dir() else path


def _read(
    path: Path, options: FormatOptions, report: Report
) -> tuple[list[MarkedVideo], list[str], Counter[str]]:
    place = labels_place(path)
    document = read_document(place, report)
    labels = document.pop("labels", None) if isinstance(document, dict) else None
    if not isinstance(labels, dict):
        raise DuetalError("not of FiftyOne's form: no object 'labels'", file=place)
    classes = _classes(document.pop("classes"), place) if "classes" in document else None
    left_out = Counter(document.keys())
    videos: dict[str, MarkedVideo] = {}
    for key in list(labels):
        entries = labels.pop(key)
        if entries is None:
            left_out["videos without labels"] += 1
            continue
        with reporting(report):
            video = _video(key, entries, classes, place, options, left_out)
            if video.name in videos:
                raise DuetalError(f"{video.name!r} is listed twice", file=place)
            videos[video.name] = video
    return list(videos.values()), classes or [], left_out


def _classes(value: Any, path: Path) -> list[str]:
    try:
        return [a_string(label, "a class") for label in a_list(value, "'classes'")]
    except TypeError as error:
        raise located(error, path, "classes") from error


def _video(
    key: str,
    entries: Any,
    classes: list[str] | None,
    path: Path,
    options: FormatOptions,
    left_out: Counter[str],
) -> MarkedVideo:
    place = f"video {key!r}"
    intervals = []
    try:
        name = video_name(key)
        listed = a_list(entries)
    except FAULTS as error:
        raise located(error, path, place) from error
    for index, entry in consumed(listed):
        try:
            label = _label(an_object(entry)["label"], classes)
            confidence = entry.get("confidence")
            score = None if confidence is None else a_finite_number(confidence)
            intervals.append(Marked(*_times(entry, path, options), label, score))
        except FAULTS as error:
            raise located(error, path, f"{place}, detection {index}") from error
        left_out.update(key for key in entry.keys() - _KEYS if entry[key])
    return MarkedVideo(name, intervals)


def _times(entry: dict[str, Any], path: Path, options: FormatOptions) -> tuple[float, float]:
    if entry.get("timestamps") is not None:
        start, end = a_list(entry["timestamps"], "'timestamps'")
        return a_finite_number(start), a_finite_number(end)
    first, last = a_list(entry["support"], "'support'")
    fps = options.required_fps(path)
    return seconds_of(a_finite_number(first), a_finite_number(last), fps)


def _label(label: Any, classes: list[str] | None) -> str:
    """The class of a label: its number in the classes or, without them, the class itself."""
    if classes is None and isinstance(label, str):
        return intern(label)
    if classes is not None and type(label) is int and 0 <= label < len(classes):
        return intern(classes[label])
    raise ValueError(
        f"{shortened(label)} is the {'name' if classes is None else 'number'} of no class"
    )
