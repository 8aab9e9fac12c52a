"""FiftyOne's temporal detections: the `labels.json` of a FiftyOneTemporalDetectionDataset.

    {"classes": ["Diving", "HighJump"],
     "labels": {"v1": [{"label": 0, "timestamps": [0.5, 12.0], "confidence": 0.87}],
                "v2": [{"label": 1, "support": [1, 300]}],
                "v3": null}}

A key is the video's file name without suffix. Times are `timestamps` in seconds, or `support`: the
first and last frame, counted from 1. Without `classes` a label is the class itself. A video of
`null` has not been labelled. Where a label stands in the place of the list, as in a dataset of
classifications, it is about the video as a whole, and the segments are unknown.
https://docs.voxel51.com/user_guide/export_datasets.html
"""

from pathlib import Path
from sys import intern
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import Report, raise_error
from duetal.core.files import write_json
from duetal.core.video_names import video_name
from duetal.formats.json_values import a_list, a_string, drained, finite, optional, shortened
from duetal.formats.marked import Content, Marked, MarkedVideo, Reading, marked
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions, seconds_of

FILE_NAME = "labels.json"
_KEYS = frozenset({"label", "timestamps", "support", "confidence"})


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read a `labels.json`, or the folder that holds it; the option `fps` is needed for frames.

    Confidences are left out, and so are videos without labels.

    Raises:
        DuetalError: not JSON or not of this form, or a label outside the classes; names the video
            and the detection.
        UsageError: times are frames, and `fps` was not given.
    """
    reading = _read(path, options, report)
    found = (one for video in reading.videos.values() for one in video.intervals or ())
    reading.left_out["confidence"] = sum(one.score is not None for one in found)
    return reading.annotations()


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read labels as detections with their confidences; raises what `read_annotations` does."""
    return _read(path, options, raise_error).detections()


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
        video.name: None if video.intervals is None else list(map(entry, video.intervals))
        for video in marked(content)
    }
    document = {"classes": list(content.classes), "labels": labels}
    write_json(labels_place(path), document, indent=None)


def labels_place(path: Path) -> Path:
    """Where the labels lie: in the file itself, or in the folder of the dataset."""
    return path / FILE_NAME if path.is_dir() else path


def _read(path: Path, options: FormatOptions, report: Report) -> Reading:
    reading = Reading(labels_place(path), report, options)
    document, labels = reading.objects("of FiftyOne's form", "labels")
    numbered = "classes" in document
    if numbered:
        with reading.faults_at("classes"):
            listed = a_list(document.pop("classes"), "'classes'")
            reading.classes = [a_string(label, "a class") for label in listed]
    reading.left_out.update(document.keys())

    def detection(entry: dict[str, Any]) -> Marked:
        reading.left_out.update(key for key in entry.keys() - _KEYS if entry[key])
        label = _class_of(entry["label"], reading, numbered=numbered)
        score = optional(entry.get("confidence"), finite)
        return Marked(*_times(entry, reading), label, score)

    for key, entries in drained(labels):
        if entries is None:
            reading.left_out["videos without labels"] += 1
            continue
        with reading.going_on(f"video {key!r}"):
            # What was said of the video as a whole, in a dataset of classifications.
            said = entries if isinstance(entries, list) else [entries]
            if said and all(isinstance(one, str | int) for one in said):
                labels_of = [_class_of(one, reading, numbered=numbered) for one in said]
                reading.add(MarkedVideo(video_name(key), None, labels=labels_of))
                continue
            found = reading.each(a_list(entries), f"video {key!r}, detection", detection)
            reading.add(MarkedVideo(video_name(key), list(found)))
    return reading


def _class_of(label: Any, reading: Reading, *, numbered: bool) -> str:
    if not numbered and type(label) is int:
        return reading.options.label(label)
    return _label(label, reading.classes if numbered else None)


def _times(entry: dict[str, Any], reading: Reading) -> tuple[float, float]:
    if entry.get("timestamps") is not None:
        start, end = a_list(entry["timestamps"], "'timestamps'")
        return finite(start), finite(end)
    first, last = map(finite, a_list(entry["support"], "'support'"))
    return seconds_of(first, last, reading.options.required_fps(reading.path))


def _label(label: Any, classes: list[str] | None) -> str:
    """The class of a label: its number in the classes or, without them, the class itself."""
    if classes is None and isinstance(label, str):
        return intern(label)
    if classes is not None and type(label) is int and 0 <= label < len(classes):
        return intern(classes[label])
    what = "name" if classes is None else "number"
    raise ValueError(f"{shortened(label)} is the {what} of no class")
