"""FiftyOne's temporal detections: the `labels.json` of a FiftyOneTemporalDetectionDataset.

    {"classes": ["Diving", "HighJump"],
     "labels": {"v1": [{"label": 0, "timestamps": [0.5, 12.0], "confidence": 0.87}],
                "v2": [{"label": 1, "support": [1, 300]}],
                "v3": null}}

A key is the video's file name without suffix. Times are `timestamps` in seconds, or `support`: the
first and last frame, counted from 1; a single frame is a moment. Without `classes`, or where they
are `null`, as the library writes them unless it is told them, a label is the class itself. A video
of `null` has not been labelled. Where a label stands in the place of the list, it is about the
video as a whole, and the segments are unknown.

Or the `samples.json` of a FiftyOneDataset, the library's own form, whose samples have any fields:

    {"samples": [{"filepath": "data/v1.mp4",
      "metadata": {"_cls": "VideoMetadata", "frame_rate": 25.0, "duration": 14.0, …},
      "predictions": {"_cls": "TemporalDetections", "detections": [{"_cls": "TemporalDetection",
        "label": "Diving", "support": [14, 300], "confidence": 0.87}]},
      "kind": {"_cls": "Classification", "label": "Diving"}}]}

https://docs.voxel51.com/user_guide/export_datasets.html
"""

import re
from pathlib import Path
from sys import intern
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import Report, UsageError, raise_error, unknown
from duetal.core.files import write_json
from duetal.core.video_names import video_name
from duetal.formats.delimited import head
from duetal.formats.json_values import (
    a_list,
    a_string,
    an_object,
    consumed,
    drained,
    finite,
    optional,
    read_document,
    shortened,
)
from duetal.formats.marked import Content, Marked, MarkedVideo, Reading, marked
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions, frames_of, seconds_of

#: Of the two forms, in a dataset's folder.
FILE_NAMES = ("labels.json", "samples.json")
_SAMPLES = re.compile(r'\{\s*"samples"\s*:\s*\[')
_TEMPORAL = ("TemporalDetections", "TemporalDetection")
_OF_VIDEOS = ("Classifications", "Classification")
_KEYS = frozenset({"label", "timestamps", "support", "confidence", "_cls", "_id"})


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read a `labels.json` or `samples.json`, or the folder that holds one.

    Confidences are left out, and so are videos without labels. Frames become seconds by the
    options `videos` and `fps`, or by the metadata of a sample. Of a sample's fields of temporal
    detections, the option `tier` names the one to read; without it, it is the only one, or the only
    one that has no confidences. Where there is none, or where it is named, a field of
    classifications gives the labels of videos whose segments are unknown.

    Raises:
        DuetalError: not JSON or not of this form, or a label outside the classes; names the video
            and the detection.
        UsageError: times are frames, and their rate is not known; or several fields may hold the
            labels, or there is none of the name given.
    """
    reading = _read(path, options, report, scored=False)
    found = (one for video in reading.videos.values() for one in video.intervals or ())
    reading.left_out["confidence"] = sum(one.score is not None for one in found)
    return reading.annotations()


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read labels as detections with their confidences; raises what `read_annotations` does.

    Of several fields, the only one that has confidences is read.
    """
    return _read(path, options, raise_error, scored=True).detections()


def write(path: Path, content: Content, *, options: FormatOptions = DEFAULT_OPTIONS) -> None:
    """Write a `labels.json` with the confidences of detections, atomically.

    Where the options `videos` or `fps` give the video's frame rate, `support` is beside the
    seconds, and counts for the library; else it makes frames of the seconds itself.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    numbers = {label: number for number, label in enumerate(content.classes)}

    def entry(name: str, one: Marked) -> dict[str, Any]:
        value = {"label": numbers[one.label], "timestamps": [one.start, one.end]}
        if (clock := options.clock(name)) is not None:
            value["support"] = frames_of(one.start, one.end, clock.rate)
        return value if one.score is None else {**value, "confidence": one.score}

    labels = {
        video.name: None
        if video.intervals is None
        else [entry(video.name, one) for one in video.intervals]
        for video in marked(content)
    }
    document = {"classes": list(content.classes), "labels": labels}
    write_json(path / FILE_NAMES[0] if path.is_dir() else path, document, indent=None)


def labels_place(path: Path) -> Path:
    """Where the labels lie: in the file itself, or in the folder of the dataset."""
    if not path.is_dir():
        return path
    return next((path / name for name in FILE_NAMES if (path / name).is_file()), path)


def has_scores(path: Path, field: str | None = None) -> bool:
    """Whether labels have confidences: those of a field or, without one, of any.

    Raises:
        DuetalError: the file can't be read.
    """
    place = labels_place(path)
    text = head(place)
    if not _SAMPLES.match(text):
        return '"confidence"' in text
    fields = _fields(read_document(place, report=lambda _: None)["samples"])
    return any(fields.values()) if field is None else bool(fields.get(field))


def _read(path: Path, options: FormatOptions, report: Report, *, scored: bool) -> Reading:
    reading = Reading(labels_place(path), report, options)
    if _SAMPLES.match(head(reading.path)):
        _read_samples(reading, scored=scored)
    else:
        _read_labels(reading)
    return reading


def _read_labels(reading: Reading) -> None:
    document, labels = reading.objects("of FiftyOne's form", "labels")
    listed = document.pop("classes", None)
    numbered = listed is not None
    if numbered:
        with reading.faults_at("classes"):
            names = a_list(listed, "'classes'")
            reading.classes = [a_string(label, "a class") for label in names]
    reading.left_out.update(document.keys())
    for key, entries in drained(labels):
        if entries is None:
            reading.left_out["videos without labels"] += 1
            continue
        with reading.going_on(f"video {key!r}"):
            name = video_name(key)
            # What was said of the video as a whole, in a dataset of classifications.
            said = entries if isinstance(entries, list) else [entries]
            if said and all(isinstance(one, str | int) for one in said):
                labels_of = [_class_of(one, reading, numbered=numbered) for one in said]
                reading.add(MarkedVideo(name, None, labels=labels_of))
                continue
            place = f"video {key!r}, detection"
            found = _detections(a_list(entries), name, place, reading, numbered=numbered)
            reading.add(MarkedVideo(name, found))


def _detections(
    entries: list[Any],
    name: str,
    place: str,
    reading: Reading,
    *,
    numbered: bool = False,
    rate: float | None = None,
) -> list[Marked]:
    """The temporal detections of a video, whose frame rate its sample may give."""

    def detection(entry: dict[str, Any]) -> Marked:
        reading.left_out.update(key for key in entry.keys() - _KEYS if entry[key])
        label = _class_of(entry["label"], reading, numbered=numbered)
        score = optional(entry.get("confidence"), finite)
        if entry.get("timestamps") is not None:
            start, end = map(finite, a_list(entry["timestamps"], "'timestamps'"))
        else:
            first, last = map(finite, a_list(entry["support"], "'support'"))
            own = rate or reading.options.required_clock(name, reading.path).rate
            start, end = seconds_of(first, last, own)
        return Marked(start, end, label, score)

    return list(reading.each(entries, place, detection))


def _read_samples(reading: Reading, *, scored: bool) -> None:
    document = reading.document()
    with reading.faults_at("samples"):
        samples = a_list(an_object(document).pop("samples"), "'samples'")
    field, others = _field(samples, reading, scored=scored)
    for index, value in consumed(samples):
        with reading.going_on(f"sample {index}"):
            sample = an_object(value)
            name = video_name(a_string(sample["filepath"], "'filepath'"))
            metadata = an_object(sample.get("metadata") or {}, "'metadata'")
            rate = optional(metadata.get("frame_rate"), finite)
            if rate is not None and rate <= 0:
                raise ValueError(f"{rate} frames per second")
            duration = optional(metadata.get("duration"), finite)
            reading.left_out["tags"] += bool(sample.get("tags"))
            reading.left_out.update(key for key in others if sample.get(key) is not None)
            if field is None or sample.get(field) is None:
                reading.left_out["videos without labels"] += 1
                continue
            label = an_object(sample[field], repr(field))
            kind = a_string(label["_cls"], "'_cls'")
            # A list of labels is under its kind's name; a label can stand alone as well.
            member = "detections" if kind in _TEMPORAL else "classifications"
            listed = a_list(label[member], repr(member)) if kind.endswith("s") else [label]
            if kind in _TEMPORAL:
                place = f"sample {index}, detection"
                found = _detections(listed, name, place, reading, rate=rate)
                reading.add(MarkedVideo(name, found, duration))
            else:
                said = [_class_of(an_object(one)["label"], reading) for one in listed]
                reading.add(MarkedVideo(name, None if said else [], duration, labels=said))


def _field(samples: list[Any], reading: Reading, *, scored: bool) -> tuple[str | None, list[str]]:
    """The field that holds the labels, if any does; and the other fields of labels."""
    found = _fields(samples)
    chosen = reading.options.tier
    if chosen is not None:
        if chosen not in found:
            raise UsageError(unknown("field", chosen, found), file=reading.path)
    else:
        temporal = [field for field, has_scores in found.items() if has_scores is not None]
        fitting = [field for field in temporal if found[field] is scored]
        candidates = fitting or temporal or [*found]
        if len(candidates) > 1:
            listed = ", ".join(map(repr, candidates))
            raise UsageError(f"which field holds the labels: {listed}? (--tier)", file=reading.path)
        chosen = next(iter(candidates), None)
    return chosen, [field for field in found if field != chosen]


def _fields(samples: Any) -> dict[str, bool | None]:
    """The fields of labels: whether any has a confidence; None where they are of whole videos."""
    found: dict[str, bool | None] = {}
    for sample in samples if isinstance(samples, list) else ():
        for field, label in sample.items() if isinstance(sample, dict) else ():
            kind = label.get("_cls") if isinstance(label, dict) else None
            if kind in _TEMPORAL:
                listed = label.get("detections", [label])
                found[field] = found.get(field) or any(
                    isinstance(one, dict) and one.get("confidence") is not None
                    for one in (listed if isinstance(listed, list) else ())
                )
            elif kind in _OF_VIDEOS:
                found.setdefault(field, None)
    return found


def _class_of(label: Any, reading: Reading, *, numbered: bool = False) -> str:
    """The class of a label: its number in the classes or, without them, the class itself."""
    if numbered:
        if type(label) is int and 0 <= label < len(reading.classes):
            return intern(reading.classes[label])
        raise ValueError(f"{shortened(label)} is the number of no class")
    if type(label) is int or isinstance(label, str):
        return reading.options.label(label)
    raise ValueError(f"{shortened(label)} is the name of no class")
