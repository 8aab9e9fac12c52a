"""Telling from its content what form a file or folder is of, and reading it."""

from pathlib import Path
from typing import NamedTuple

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats import (
    detection_table,
    elan,
    fiftyone,
    segment_table,
    strong,
    thumos14,
    tsv,
    webvtt_files,
    wtalc,
)
from duetal.formats.forms import FORMS, Format, Kind
from duetal.formats.json_stream import members
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions
from duetal.formats.sniffing import head, json_keys, table_lines

_VIA_KEYS = frozenset({"project", "attribute", "file", "view"})
_BORIS_KEYS = frozenset({"observations", "behaviors_conf", "project_format_version"})


class Guess(NamedTuple):
    """What a file or folder seems to be."""

    format: Format
    kind: Kind


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read the annotation at a path, in any known form.

    Args:
        path: the file or folder.
        options: what the form may need to know that is not in its files.
        report: takes the errors after which reading can go on without a video, row or line.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
        UsageError: the form needs one of the options.
    """
    form = FORMS[guess(path).format]
    return form.read_annotations(path, options=options, report=report)


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read the detections at a path, in any known form.

    Raises:
        DuetalError: nothing there, of no known form, malformed, or of a form without detections.
        UsageError: the form needs one of the options.
    """
    found = guess(path).format
    read = FORMS[found].read_detections
    if read is None:
        raise DuetalError(f"{found} has annotations, not detections", file=path)
    return read(path, options=options)


def guess(path: Path) -> Guess:
    """Tell what form a file or folder is of, from what is in it.

    Raises:
        DuetalError: nothing there, or of no known form.
    """
    if path.is_dir():
        return _guess_folder(path)
    text = head(path)
    if not text:
        raise DuetalError("is empty", file=path)
    if text.startswith("WEBVTT"):
        return Guess(Format.WEBVTT, kind_of(path, Format.WEBVTT))
    if text.startswith("<"):
        if "<ANNOTATION_DOCUMENT" in text:
            return Guess(Format.ELAN, Kind.ANNOTATIONS)
        raise DuetalError("XML, but not ELAN's", file=path)
    if text.startswith(("{", "[")):
        return _guess_json(path, text)
    return _guess_text(path, text)


def kind_of(path: Path, form: Format) -> Kind:
    """Tell whether a file of a known form holds annotations or detections.

    A form that holds both tells by its content: a person's annotation in any Label Studio task, no
    confidence in FiftyOne's labels, a cue without a number in WebVTT.

    Raises:
        DuetalError: the file can't be read.
    """
    if FORMS[form].read_detections is None:
        return Kind.ANNOTATIONS
    if form is Format.THUMOS14:
        is_detections = not path.is_dir()
    elif form is Format.ACTIVITYNET:
        is_detections = "results" in _all_keys(path, head(path))
    elif form is Format.CSV:
        is_detections = "score" in next(table_lines(head(path), ","), [])
    elif form is Format.LABEL_STUDIO:
        tasks = (task for _, task in members(path) if isinstance(task, dict))
        is_detections = not any(task.get("annotations") for task in tasks)
    elif form is Format.FIFTYONE:
        is_detections = '"confidence"' in head(fiftyone.labels_place(path))
    else:
        is_detections = webvtt_files.has_scores(path)
    return Kind.DETECTIONS if is_detections else Kind.ANNOTATIONS


def _guess_folder(path: Path) -> Guess:
    if wtalc.is_wtalc(path):
        return Guess(Format.WTALC, Kind.ANNOTATIONS)
    if thumos14.is_thumos14(path):
        return Guess(Format.THUMOS14, Kind.ANNOTATIONS)
    if (path / fiftyone.FILE_NAME).is_file():
        return Guess(Format.FIFTYONE, kind_of(path, Format.FIFTYONE))
    if any(path.glob(f"*{elan.SUFFIX}")):
        return Guess(Format.ELAN, Kind.ANNOTATIONS)
    if any(path.glob(f"*{webvtt_files.SUFFIX}")):
        return Guess(Format.WEBVTT, kind_of(path, Format.WEBVTT))
    cause = "holds neither the W-TALC pack's annotation (videoname.npy, segments.npy, …) nor "
    cause += "THUMOS text (<Class>_test.txt, …) nor labels.json, *.eaf or *.vtt"
    raise DuetalError(cause, file=path)


def _guess_json(path: Path, text: str) -> Guess:
    if text.startswith("["):
        keys = json_keys(text)
        if "data" in keys:
            return Guess(Format.LABEL_STUDIO, kind_of(path, Format.LABEL_STUDIO))
        raise DuetalError("a JSON list, but not of Label Studio's tasks", file=path)
    keys = _all_keys(path, text)
    if "database" in keys:
        in_strings = '"segment": ["' in text or '"segment":["' in text
        return Guess(Format.BASNET if in_strings else Format.ACTIVITYNET, Kind.ANNOTATIONS)
    if "results" in keys:
        return Guess(Format.ACTIVITYNET, Kind.DETECTIONS)
    if keys >= _VIA_KEYS:
        return Guess(Format.VIA, Kind.ANNOTATIONS)
    if "observations" in keys and keys & (_BORIS_KEYS - {"observations"}):
        return Guess(Format.BORIS, Kind.ANNOTATIONS)
    if "labels" in keys:
        return Guess(Format.FIFTYONE, kind_of(path, Format.FIFTYONE))
    cause = "JSON of no known form: no 'database', 'results', 'labels', 'observations' or 'project'"
    raise DuetalError(cause, file=path)


def _all_keys(path: Path, text: str) -> frozenset[str]:
    """The keys of a JSON object: those at its beginning, where they tell enough, or all."""
    keys = json_keys(text)
    if keys & {"database", "results"} or keys >= _VIA_KEYS:
        return keys
    parts = {"database", "results", "labels", "observations", "metadata", "file", "view"}
    return frozenset(str(place[0]) for place, _ in members(path, parts) if place)


def _guess_text(path: Path, text: str) -> Guess:
    for delimiter in ("\t", ","):
        header = set(next(table_lines(text, delimiter), []))
        if header >= set(strong.HEADER):
            return Guess(Format.STRONG, Kind.ANNOTATIONS)
        if header >= set(tsv.HEADER):
            return Guess(Format.WEAK, Kind.ANNOTATIONS)
        if header >= set(detection_table.HEADER):
            return Guess(Format.CSV, Kind.DETECTIONS)
        if header >= set(segment_table.REQUIRED):
            return Guess(Format.CSV, Kind.ANNOTATIONS)
        for names in table_lines(text, delimiter):
            if "behavior" in names and {"time", "start (s)"} & set(names):
                return Guess(Format.BORIS, Kind.ANNOTATIONS)
    if _is_thumos14_detection(text.partition("\n")[0]):
        return Guess(Format.THUMOS14, Kind.DETECTIONS)
    if path.suffix.lower() in (".tsv", ".csv"):
        # Most likely a table whose header is wrong, about which its reader has more to say.
        return Guess(Format.WEAK, Kind.ANNOTATIONS)
    raise DuetalError(
        "of no known form; annotations are .json, .tsv, .csv, … or a folder", file=path
    )


def _is_thumos14_detection(line: str) -> bool:
    fields = line.split()
    try:
        _, _start, _end, number, _score = fields[0], *map(float, fields[1:])
    except (IndexError, ValueError):
        return False
    return number.is_integer()
