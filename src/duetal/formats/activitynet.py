"""ActivityNet JSON: annotations (`database`) and detections (`results`).

ActivityNet 1.2 and 1.3 come in it, and most other datasets of the field were converted to it.
Segments are `[start, end]` in seconds; some files hold them as strings.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import read_json, write_json


class Results(NamedTuple):
    """A results file: the detections, and what else the file says of them."""

    detections: Detections
    external_data: Mapping[str, Any]


def read_annotations(path: Path, *, report: Report = raise_error) -> Annotations:
    """Read an annotation file.

    Subset names stay as the file spells them, segments in the file's order and with the file's
    values: whether they lie inside the video, or have a length at all, is for the caller to judge.
    Classes are sorted by name.

    Args:
        path: the file.
        report: takes the error of each video that is malformed or listed twice.

    Raises:
        DuetalError: not JSON or not of this form, or a video listed twice; names the video and
            the annotation at fault.
    """
    document = read_json(path, unique_keys=True, report=report)
    videos: dict[str, VideoAnnotation] = {}
    for name, entry in _member(document, "database", dict, path).items():
        try:
            videos[name] = _read_video(name, entry, path)
        except DuetalError as error:
            report(error)
    classes = sorted({label for video in videos.values() for label in video.labels})
    return Annotations(videos, tuple(classes), path)


def write_annotations(path: Path, annotations: Annotations) -> None:
    """Write an annotation file, atomically; what only this package knows of is left out.

    A video whose segments are unknown (weak labels) has its labels written without `segment`.

    Raises:
        DuetalError: the file can't be written.
    """
    database = {video.name: _video_entry(video) for video in annotations}
    write_json(path, {"version": "duetal", "taxonomy": [], "database": database}, indent=None)


def read_detections(path: Path) -> Detections:
    """Read the detections of a results file; rows in the file's order.

    Raises:
        DuetalError: as `read_results`.
    """
    return read_results(path).detections


def read_results(path: Path) -> Results:
    """Read a results file: its detections, in the file's order, and its `external_data`.

    Raises:
        DuetalError: not JSON or not of this form, or a segment or score that is not a finite
            number; names the video and the detection at fault.
    """
    document = read_json(path, unique_keys=True)
    results = _member(document, "results", dict, path)
    rows = []
    for video, entries in results.items():
        if not isinstance(entries, list):
            raise DuetalError("expected a list of detections", file=path, place=f"video {video!r}")
        for index, entry in enumerate(entries):
            try:
                start, end = _segment(entry["segment"])
                rows.append((video, _label(entry["label"]), start, end, _number(entry["score"])))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                place = f"video {video!r}, detection {index}"
                raise DuetalError(_cause(error), file=path, place=place) from error
    external = document.get("external_data")
    detections = Detections.from_rows(rows, videos=results, source=path)
    detections.require_finite()
    return Results(detections, external if isinstance(external, dict) else {})


def write_detections(
    path: Path,
    detections: Detections,
    *,
    version: str = "duetal",
    external_data: Mapping[str, Any] | None = None,
) -> None:
    """Write a results file, atomically: every looked-at video, its detections in row order.

    Args:
        path: the file.
        detections: in seconds.
        version: the file's `version`, by custom the dataset's name.
        external_data: facts about how the detections came to be; `selection` is the rule that
            chose the checkpoint, shown by `duetal evaluate`.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    detections.require_finite()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in detections.videos}
    columns = (detections.video, detections.label, detections.start, detections.end)
    rows = zip(*(column.tolist() for column in (*columns, detections.score)), strict=True)
    for video, label, start, end, score in rows:
        entry = {"label": detections.classes[label], "score": score, "segment": [start, end]}
        results[detections.videos[video]].append(entry)
    document = {"version": version, "external_data": dict(external_data or {}), "results": results}
    write_json(path, document, indent=None)


def _read_video(name: str, entry: Any, path: Path) -> VideoAnnotation:
    place = f"video {name!r}"
    if not isinstance(entry, dict):
        raise DuetalError("expected an object", file=path, place=place)
    listed = entry.get("annotations", [])
    if not isinstance(listed, list):
        raise DuetalError("'annotations' is not a list", file=path, place=place)
    labels = set()
    segments = []
    for index, annotation in enumerate(listed):
        try:
            label = _label(annotation["label"])
            labels.add(label)
            if "segment" in annotation:
                segments.append(Segment(*_segment(annotation["segment"]), label))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            where = f"{place}, annotation {index}"
            raise DuetalError(_cause(error), file=path, place=where) from error
    if segments and len(segments) != len(listed):
        raise DuetalError("some annotations have a segment, others none", file=path, place=place)
    subset = entry.get("subset")
    if subset is not None and not isinstance(subset, str):
        raise DuetalError("'subset' is not a string", file=path, place=place)
    try:
        duration = None if entry.get("duration") is None else _number(entry["duration"])
    except (TypeError, ValueError, OverflowError) as error:
        raise DuetalError(f"'duration': {_cause(error)}", file=path, place=place) from error
    known = tuple(segments) if segments or not listed else None
    return VideoAnnotation(name, subset, duration, tuple(sorted(labels)), known)


def _video_entry(video: VideoAnnotation) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = [{"label": label} for label in video.labels]
    if video.segments is not None:
        annotations = [{"segment": [s.start, s.end], "label": s.label} for s in video.segments]
    entry = {"duration": video.duration, "subset": video.subset, "annotations": annotations}
    return {key: value for key, value in entry.items() if value is not None}


def _member(document: Any, key: str, kind: type, path: Path) -> Any:
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, kind):
        raise DuetalError(f"not of ActivityNet's form: no object {key!r}", file=path)
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _segment(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("'segment' is not a pair [start, end]")
    return _number(value[0]), _number(value[1])


def _label(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("'label' is not a string")
    return value


def _cause(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no key {error}"
    return str(error)
