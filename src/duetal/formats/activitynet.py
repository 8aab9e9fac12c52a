"""ActivityNet JSON: annotations (`database`) and detections (`results`).

ActivityNet 1.2 and 1.3 come in it, and most other datasets of the field were converted to it.
Segments are `[start, end]` in seconds. BaS-Net's `gt.json`, which many weakly supervised methods
read, has them as strings, and no durations.

    {"version": "VERSION 1.3", "taxonomy": [], "database": {
      "v1": {"duration": 14.07, "subset": "training", "url": "…",
             "annotations": [{"label": "Diving", "segment": [0.01, 12.6]}]}}}
    {"version": "VERSION 1.3", "external_data": {}, "results": {
      "v1": [{"label": "Diving", "score": 0.87, "segment": [0.5, 12.0]}]}}

Some methods leave out what is around the videos, number the classes (`"label": 3`, `"label_id"`),
or have `"t-start"` and `"t-end"`, or `"start"` and `"end"`, in the place of a segment.
"""

import json
from array import array
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np

from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import read_text, refuse_large, write_json
from duetal.core.video_names import composed, known_name
from duetal.formats.json_values import FAULTS, a_list, a_number, a_string, drained, optional
from duetal.formats.marked import Marked, MarkedVideo, Reading, detection_rows, facts_of, facts_text
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

#: What is read of a video, an annotation and a detection. Other members of a video are kept as
#: facts; those of an annotation and a detection are counted as left out.
_TIME_KEYS = (("t-start", "t-end"), ("t_start", "t_end"), ("start", "end"))
_VIDEO_KEYS = frozenset({"subset", "duration", "annotations"})
_ANNOTATION_KEYS = frozenset({"label", "segment"})
_DETECTION_KEYS = frozenset({"label", "segment", "score"})


def is_bare_database(document: Any) -> bool:
    """Whether JSON is the videos of an annotation themselves, with nothing around."""
    return (
        isinstance(document, dict)
        and bool(document)
        and all(isinstance(one, dict) and "annotations" in one for one in document.values())
    )


def is_bare_results(document: Any) -> bool:
    """Whether JSON is the detections of each video themselves, with nothing around."""
    lists = document.values() if isinstance(document, dict) else ()
    return all(isinstance(one, list) for one in lists) and any(
        isinstance(entry, dict) and "score" in entry for one in lists for entry in one
    )


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
    reading = Reading(path, report, options)
    form = "of ActivityNet's form"
    document, database = reading.objects(form, "database", bare=is_bare_database)
    for name, entry in drained(database):
        with reading.going_on(f"video {name!r}"):
            reading.add(_read_video(reading.named(name), entry, reading))
    return replace(reading.annotations(), facts=facts_text(document))


def write_annotations(path: Path, annotations: Annotations) -> None:
    """Write an annotation file, atomically; what only this package knows of is left out.

    A video whose segments are unknown (weak labels) has its labels written without `segment`.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    database = {video.name: _video_entry(video) for video in annotations}
    document = {"version": "duetal", "taxonomy": []} | facts_of(annotations.facts)
    write_json(path, document | {"database": database}, indent=None)


def write_string_annotations(path: Path, annotations: Annotations) -> None:
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


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read a results file: its detections, in the file's order, and its `external_data`.

    Raises:
        DuetalError: not JSON or not of this form, or a segment or score that is not a finite
            number; names the video and the detection at fault.
    """
    if options == DEFAULT_OPTIONS and (plain := _read_plain(path)) is not None:
        return plain
    reading = Reading(path, options=options)

    def detection(entry: dict[str, Any]) -> Marked:
        times = _times(entry)
        if entry.keys() != _DETECTION_KEYS:
            reading.left_out.update(entry.keys() - _read_of(entry, _DETECTION_KEYS))
        start, end = _segment(entry["segment"]) if times is None else times
        label = options.label(_label_of(entry))
        return Marked(start, end, label, a_number(entry["score"]))

    form = "of ActivityNet's form"
    document, results = reading.objects(form, "results", bare=is_bare_results)
    for name, entries in drained(results):
        with reading.going_on(f"video {name!r}"):
            if not isinstance(entries, list):
                raise ValueError("expected a list of detections")
            found = reading.each(entries, f"video {name!r}, detection", detection)
            reading.add(MarkedVideo(reading.named(name), list(found)))
    external = document.pop("external_data", None)
    reading.left_out.update(key for key, value in document.items() if key != "version" and value)
    external = external if isinstance(external, dict) else {}
    return replace(reading.detections(), external_data=external)


def _read_plain(path: Path) -> Detections | None:
    """A results file that holds what it should and nothing else, in a third of the time.

    None of any other file, in which `read_detections` then finds what is wrong or left out.
    """
    refuse_large(path)
    text = read_text(path)
    # A key that is there twice leaves a colon too many.
    colons = text.count(":")
    try:
        document = json.loads(text)
        del text
        members = len(document)
        results = document.pop("results")
        external = document.pop("external_data", {})
        if not isinstance(external, dict):
            return None
        members += len(results) + _members(external)
        if not document.keys() <= {"version"} or not isinstance(results, dict):
            return None
        videos = tuple(results)
        classes: dict[str, int] = {}
        video, label = array("q"), array("q")
        times = array("d"), array("d"), array("d")
        for number, name in enumerate(videos):
            entries = results.pop(name)
            if not isinstance(entries, list):
                return None
            members += 3 * len(entries)
            rows = [(e["label"], *e["segment"], e["score"]) for e in entries if len(e) == 3]
            columns: list[tuple[Any, ...]] = [*zip(*rows, strict=True)] or [()] * 4
            labels = columns.pop(0)
            if len(rows) < len(entries) or not set(map(type, labels)) <= {str}:
                return None
            for kept, values in zip(times, columns, strict=True):
                if not set(map(type, values)) <= {float, int}:
                    return None
                kept.extend(values)
            video.extend([number] * len(rows))
            label.extend([classes.setdefault(each, len(classes)) for each in labels])
    except (*FAULTS, AttributeError, IndexError, RecursionError):
        return None
    if members != colons:
        return None
    video_of, label_of = (np.frombuffer(column, dtype=np.int64) for column in (video, label))
    start, end, score = (np.frombuffer(column, dtype=np.float64) for column in times)
    if not (np.isfinite(start).all() and np.isfinite(end).all() and np.isfinite(score).all()):
        return None
    names = tuple(intern(composed(label)) for label in classes)
    if len(set(names)) < len(names) or tuple(map(known_name, videos)) != videos:
        return None
    return Detections(videos, names, video_of, label_of, start, end, score, path, external)


def _members(value: Any) -> int:
    """How many keys the objects in a value have."""
    if isinstance(value, dict):
        return len(value) + sum(map(_members, value.values()))
    return sum(map(_members, value)) if isinstance(value, list) else 0


def write_detections(
    path: Path,
    detections: Detections,
    *,
    version: str = "duetal",
    external_data: Mapping[str, Any] | None = None,
) -> None:
    """Write a results file, atomically: every looked-at video, its detections in row order.

    The version is by custom the dataset's name. External data is facts about how the detections
    came to be, instead of those that they carry; `selection` is the rule that chose the checkpoint,
    shown by `duetal evaluate`.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in detections.videos}
    for video, label, start, end, score in detection_rows(detections):
        results[video].append({"label": label, "score": score, "segment": [start, end]})
    external = detections.external_data if external_data is None else external_data
    document = {"version": version, "external_data": dict(external), "results": results}
    write_json(path, document, indent=None)


def _read_video(name: str, entry: Any, reading: Reading) -> MarkedVideo:
    if not isinstance(entry, dict):
        raise ValueError("expected an object")
    labels = set()
    segments = []

    def take(annotation: dict[str, Any]) -> None:
        reading.left_out.update(annotation.keys() - _read_of(annotation, _ANNOTATION_KEYS))
        label = reading.options.label(_label_of(annotation))
        labels.add(label)
        times = _times(annotation)
        if times is not None:
            segments.append(Marked(*times, label))

    subset = optional(entry.get("subset"), a_string, "'subset'")
    with reading.faults_at(f"video {name!r}, 'duration'"):
        duration = optional(entry.get("duration"), a_number)
    listed = a_list(entry.get("annotations", []), "'annotations'")
    count = sum(1 for _ in reading.each(listed, f"video {name!r}, annotation", take))
    if segments and len(segments) != count:
        raise ValueError("some annotations have a segment, others none")
    facts = facts_text({key: entry[key] for key in entry if key not in _VIDEO_KEYS})
    known = segments if segments or not count else None
    return MarkedVideo(name, known, duration, subset, list(labels), facts)


def _video_entry(video: VideoAnnotation) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = [{"label": label} for label in video.labels]
    if video.segments is not None:
        annotations = [{"segment": [s.start, s.end], "label": s.label} for s in video.segments]
    entry = {"duration": video.duration, "subset": video.subset, "annotations": annotations}
    known = {key: value for key, value in entry.items() if value is not None}
    return facts_of(video.facts) | known


def _label_of(entry: dict[str, Any]) -> Any:
    return entry["label"] if "label" in entry or "label_id" not in entry else entry["label_id"]


def _time_keys(entry: dict[str, Any]) -> tuple[str, str] | None:
    return next((keys for keys in _TIME_KEYS if entry.keys() >= {*keys}), None)


def _times(entry: dict[str, Any]) -> tuple[float, float] | None:
    if "segment" in entry:
        return _segment(entry["segment"])
    keys = _time_keys(entry)
    return None if keys is None else (a_number(entry[keys[0]]), a_number(entry[keys[1]]))


def _read_of(entry: dict[str, Any], keys: frozenset[str]) -> frozenset[str]:
    """What is read of an annotation or detection, in the keys that it has."""
    if "label" not in entry:
        keys |= {"label_id"}
    return keys if "segment" in entry else keys | {*(_time_keys(entry) or ())}


def _segment(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("'segment' is not a pair [start, end]")
    return a_number(value[0]), a_number(value[1])
