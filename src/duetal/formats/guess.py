"""Recognising the form of a file or folder by its content, and reading it."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats import csv_table, desed, elan, fiftyone, thumos14, webvtt, wtalc
from duetal.formats.delimited import head
from duetal.formats.forms import FORMS, ContentKind, Format
from duetal.formats.json_values import read_document
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

_JSON_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]', re.DOTALL)
_VIA_KEYS = frozenset({"project", "attribute", "file", "view"})
_BORIS_KEYS = frozenset({"observations", "behaviors_conf", "project_format_version"})


class Guess(NamedTuple):
    """What a file or folder seems to be."""

    format: Format
    kind: ContentKind


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
    """Recognise the form of a file or folder by what is in it.

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
            return Guess(Format.ELAN, ContentKind.ANNOTATIONS)
        raise DuetalError("XML, but not ELAN's", file=path)
    if text.startswith(("{", "[")):
        return _guess_json(path, text)
    return _guess_text(path, text)


def kind_of(path: Path, form: Format) -> ContentKind:
    """Recognise whether a file of a known form holds annotations or detections.

    Of a form that holds both, annotations are a person's annotation in any Label Studio task, no
    confidence in FiftyOne's labels, a cue without a number in WebVTT.

    Raises:
        DuetalError: the file can't be read.
    """
    if FORMS[form].read_detections is None:
        return ContentKind.ANNOTATIONS
    if form is Format.THUMOS14:
        is_detections = not path.is_dir()
    elif form is Format.ACTIVITYNET:
        is_detections = "results" in _all_keys(path, head(path))
    elif form is Format.CSV:
        is_detections = "score" in next(_table_lines(head(path), ","), [])
    elif form is Format.LABEL_STUDIO:
        tasks = read_document(path)
        is_detections = isinstance(tasks, list) and not any(
            task.get("annotations") for task in tasks if isinstance(task, dict)
        )
    elif form is Format.FIFTYONE:
        is_detections = '"confidence"' in head(fiftyone.labels_place(path))
    else:
        is_detections = webvtt.has_scores(path)
    return ContentKind.DETECTIONS if is_detections else ContentKind.ANNOTATIONS


def _guess_folder(path: Path) -> Guess:
    if wtalc.is_wtalc(path):
        return Guess(Format.WTALC, ContentKind.ANNOTATIONS)
    if thumos14.is_thumos14(path):
        return Guess(Format.THUMOS14, ContentKind.ANNOTATIONS)
    if (path / fiftyone.FILE_NAME).is_file():
        return Guess(Format.FIFTYONE, kind_of(path, Format.FIFTYONE))
    if any(path.glob(f"*{elan.SUFFIX}")):
        return Guess(Format.ELAN, ContentKind.ANNOTATIONS)
    if any(path.glob(f"*{webvtt.SUFFIX}")):
        return Guess(Format.WEBVTT, kind_of(path, Format.WEBVTT))
    cause = "holds neither the W-TALC pack's annotation (videoname.npy, segments.npy, …) nor "
    cause += "THUMOS text (<Class>_test.txt, …) nor labels.json, *.eaf or *.vtt"
    raise DuetalError(cause, file=path)


def _guess_json(path: Path, text: str) -> Guess:
    if text.startswith("["):
        keys = _json_keys(text)
        if "data" in keys:
            return Guess(Format.LABEL_STUDIO, kind_of(path, Format.LABEL_STUDIO))
        raise DuetalError("a JSON list, but not of Label Studio's tasks", file=path)
    keys = _all_keys(path, text)
    if "database" in keys:
        in_strings = '"segment": ["' in text or '"segment":["' in text
        return Guess(Format.BASNET if in_strings else Format.ACTIVITYNET, ContentKind.ANNOTATIONS)
    if "results" in keys:
        return Guess(Format.ACTIVITYNET, ContentKind.DETECTIONS)
    if keys >= _VIA_KEYS:
        return Guess(Format.VIA, ContentKind.ANNOTATIONS)
    if "observations" in keys and keys & (_BORIS_KEYS - {"observations"}):
        return Guess(Format.BORIS, ContentKind.ANNOTATIONS)
    if "labels" in keys:
        return Guess(Format.FIFTYONE, kind_of(path, Format.FIFTYONE))
    cause = "JSON of no known form: no 'database', 'results', 'labels', 'observations' or 'project'"
    raise DuetalError(cause, file=path)


def _all_keys(path: Path, text: str) -> frozenset[str]:
    """The keys of a JSON object: those at its beginning, where they are enough, or all."""
    keys = _json_keys(text)
    if keys & {"database", "results"} or keys >= _VIA_KEYS:
        return keys
    return frozenset(read_document(path, report=lambda _: None))


def _guess_text(path: Path, text: str) -> Guess:
    for delimiter in ("\t", ","):
        header = set(next(_table_lines(text, delimiter), []))
        if header >= set(desed.STRONG_HEADER):
            return Guess(Format.STRONG, ContentKind.ANNOTATIONS)
        if header >= set(desed.WEAK_HEADER):
            return Guess(Format.WEAK, ContentKind.ANNOTATIONS)
        if header >= set(csv_table.DETECTIONS_HEADER):
            return Guess(Format.CSV, ContentKind.DETECTIONS)
        if header >= set(csv_table.REQUIRED):
            return Guess(Format.CSV, ContentKind.ANNOTATIONS)
        for names in _table_lines(text, delimiter):
            if "behavior" in names and {"time", "start (s)"} & set(names):
                return Guess(Format.BORIS, ContentKind.ANNOTATIONS)
    if _is_thumos14_detection(text.partition("\n")[0]):
        return Guess(Format.THUMOS14, ContentKind.DETECTIONS)
    if path.suffix.lower() in (".tsv", ".csv"):
        # Most likely a table whose header is wrong, which its reader describes.
        return Guess(Format.WEAK, ContentKind.ANNOTATIONS)
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


def _json_keys(text: str) -> frozenset[str]:
    """The keys of the object that a JSON text begins with, or of the first one in its list."""
    level = 2 if text.startswith("[") else 1
    depth = 0
    keys = set()
    last = ""
    for token in _JSON_TOKEN.finditer(text):
        sign = token[0]
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
            if level == 2 and depth == 1:
                break
        elif sign == ":" and depth == level:
            keys.add(last)
        last = sign.strip('"')
    return frozenset(keys)


def _table_lines(text: str, delimiter: str) -> Iterator[list[str]]:
    """The cells of each line of a table, stripped and in small letters."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for fields in reader:
            yield [field.strip().lower() for field in fields]
    except csv.Error:
        return
