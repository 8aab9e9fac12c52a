"""ActivityNet JSON: annotations (`database`) and detections (`results`).

ActivityNet 1.2 and 1.3 come in it, and most other datasets of the field were converted to it.
Segments are `[start, end]` in seconds. BaS-Net's `gt.json`, which many weakly supervised methods
read, has them as strings, and no durations.

    {"version": "VERSION 1.3", "taxonomy": [], "database": {
      "v1": {"duration": 14.07, "subset": "training", "url": "…",
             "annotations": [{"label": "Diving", "segment": [0.01, 12.6]}]}}}
    {"version": "VERSION 1.3", "external_data": {}, "results": {
      "v1": [{"label": "Diving", "score": 0.87, "segment": [0.5, 12.0]}]}}
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.core.files import write_json
from duetal.formats.json_values import (
    FAULTS,
    a_list,
    a_number,
    a_string,
    an_object,
    consumed,
    faults_at,
    located,
    read_document,
)
from duetal.formats.marked import (
    Marked,
    MarkedVideo,
    as_detections,
    counted,
    detection_rows,
    facts_object,
    facts_text,
)
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

#: What is read of a video, an annotation and a detection. Other members of a video are kept as
#: facts; those of an annotation and a detection are counted as left out.
_VIDEO_KEYS = frozenset({"subset", "duration", "annotations"})
_ANNOTATION_KEYS = frozenset({"label", "segment"})
_DETECTION_KEYS = frozenset({"label", "segment", "score"})


class Results(NamedTuple):
    """A results file: the detections, and what else the file holds about them."""

    detections: Detections
    external_data: Mapping[str, Any]


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read an annotation file.

    Subset names stay as the file spells them, segments in the file's order and with the file's
    values: whether they lie inside the video, or have a length at all, is for the caller to judge.
    Classes are sorted by name.

    Raises:
        DuetalError: not JSON or not of this form, or a video listed twice; names the video and
            the annotation at fault.
    """
    videos: dict[str, VideoAnnotation] = {}
    left_out: Counter[str] = Counter()
    document, database = _document(path, "database", report)
    for name in list(database):
        with reporting(report):
            videos[name] = _read_video(name, database.pop(name), path, left_out)
    classes = sorted({label for video in videos.values() for label in video.labels})
    facts = facts_text(document)
    return Annotations(videos, tuple(classes), path, left_out=counted(left_out), facts=facts)


def write_annotations(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write an annotation file, atomically; what only this package knows of is left out.

    A video whose segments are unknown (weak labels) has its labels written without `segment`.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    database = {video.name: _video_entry(video) for video in annotations}
    document = {"version": "duetal", "taxonomy": []} | facts_object(annotations.facts)
    write_json(path, document | {"database": database}, indent=None)


def write_string_annotations(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write BaS-Net's ground truth, atomically: times as strings, no durations.

    Raises:
        DuetalError: a video whose segments are unknown, which the form can't state, or the file
            can't be written.
    """
    database = {}
    for video in annotations:
        if video.segments is None:
            cause = "cannot write: its segments are unknown, and the form has segments alone"
            raise DuetalError(cause, file=path, place=f"video {video.name!r}")
        listed = [{"segment": [str(s.start), str(s.end)], "label": s.label} for s in video.segments]
        database[video.name] = {"subset": video.subset or "", "annotations": listed}
    write_json(path, {"database": database}, indent=None)


def read_results(path: Path) -> Results:
    """Read a results file as `read_detections` does, and give its `external_data` beside it."""
    detections = read_detections(path)
    return Results(detections, detections.external_data)


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read a results file: its detections, in the file's order, and its `external_data`.

    Raises:
        DuetalError: not JSON or not of this form, or a segment or score that is not a finite
            number; names the video and the detection at fault.
    """
    left_out: Counter[str] = Counter()
    document, results = _document(path, "results", raise_error)
    videos = [
        MarkedVideo(name, _read_detections(name, results.pop(name), path, left_out))
        for name in list(results)
    ]
    found = document.pop("external_data", None)
    external = found if isinstance(found, dict) else {}
    left_out.update(key for key, value in document.items() if key != "version" and value)
    return replace(as_detections(videos, path, left_out=left_out), external_data=external)


def write_detections(
    path: Path,
    detections: Detections,
    *,
    options: FormatOptions = DEFAULT_OPTIONS,
    version: str = "duetal",
    external_data: Mapping[str, Any] | None = None,
) -> None:
    """Write a results file, atomically: every looked-at video, its detections in row order.

    Args:
        path: the file.
        detections: in seconds.
        options: not used.
        version: the file's `version`, by custom the dataset's name.
        external_data: facts about how the detections came to be instead of those that they carry;
            `selection` is the rule that chose the checkpoint, shown by `duetal evaluate`.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in detections.videos}
    for video, label, start, end, score in detection_rows(detections):
        results[video].append({"label": label, "score": score, "segment": [start, end]})
    external = detections.external_data if external_data is None else external_data
    document = {"version": version, "external_data": dict(external), "results": results}
    write_json(path, document, indent=None)


def _document(path: Path, key: str, report: Report) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the file holds beside its object `key`, and that object."""
    document = read_document(path, report)
    entries = document.pop(key, None) if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        raise DuetalError(f"not of ActivityNet's form: no object {key!r}", file=path)
    return document, entries


def _read_video(name: str, entry: Any, path: Path, left_out: Counter[str]) -> VideoAnnotation:
    place = f"video {name!r}"
    if not isinstance(entry, dict):
        raise DuetalError("expected an object", file=path, place=place)
    labels = set()
    segments = []
    with faults_at(path, place):
        listed = a_list(entry.get("annotations", []), "'annotations'")
        subset = entry.get("subset")
        subset = None if subset is None else a_string(subset, "'subset'")
    with faults_at(path, f"{place}, 'duration'"):
        duration = None if entry.get("duration") is None else a_number(entry["duration"])
    count = len(listed)
    for index, annotation in consumed(listed):
        try:
            label = intern(a_string(an_object(annotation)["label"], "'label'"))
            labels.add(label)
            if "segment" in annotation:
                segments.append(Segment(*_segment(annotation["segment"]), label))
        except FAULTS as error:
            raise located(error, path, f"{place}, annotation {index}") from error
        left_out.update(annotation.keys() - _ANNOTATION_KEYS)
    if segments and len(segments) != count:
        raise DuetalError("some annotations have a segment, others none", file=path, place=place)
    facts = facts_text({key: entry[key] for key in entry if key not in _VIDEO_KEYS})
    known = tuple(segments) if segments or not count else None
    return VideoAnnotation(name, subset, duration, tuple(sorted(labels)), known, facts=facts)


def _read_detections(video: str, entries: Any, path: Path, left_out: Counter[str]) -> list[Marked]:
    if not isinstance(entries, list):
        raise DuetalError("expected a list of detections", file=path, place=f"video {video!r}")
    intervals = []
    for index, entry in consumed(entries):
        try:
            start, end = _segment(an_object(entry)["segment"])
            label = intern(a_string(entry["label"], "'label'"))
            intervals.append(Marked(start, end, label, a_number(entry["score"])))
        except FAULTS as error:
            raise located(error, path, f"video {video!r}, detection {index}") from error
        if len(entry) > len(_DETECTION_KEYS):
            left_out.update(entry.keys() - _DETECTION_KEYS)
    return intervals


def _video_entry(video: VideoAnnotation) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = [{"label": label} for label in video.labels]
    if video.segments is not None:
        annotations = [{"segment": [s.start, s.end], "label": s.label} for s in video.segments]
    entry = {"duration": video.duration, "subset": video.subset, "annotations": annotations}
    known = {key: value for key, value in entry.items() if value is not None}
    return facts_object(video.facts) | known


def _segment(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("'segment' is not a pair [start, end]")
    return a_number(value[0]), a_number(value[1])
