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
from duetal.formats import (
    csv_table,
    cvat,
    desed,
    elan,
    fiftyone,
    label_studio,
    thumos14,
    webvtt,
    wtalc,
)
from duetal.formats.delimited import DELIMITERS, SEPARATOR_LINE, delimiter_of, head
from duetal.formats.forms import FORMS, ContentKind, Format
from duetal.formats.json_values import read_document
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

_JSON_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]', re.DOTALL)
#: The videos of ActivityNet's form with nothing around them.
_BARE = re.compile(r'\{\s*"(?:[^"\\]|\\.)*+"\s*:\s*(\[|\{)')
_VIA_KEYS = frozenset({"project", "attribute", "file", "view"})
_BORIS_KEYS = frozenset({"observations", "behaviors_conf", "project_format_version"})


class Guess(NamedTuple):
    """What a file or folder seems to be."""

    format: Format
    kind: ContentKind


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read the annotation at a path, in any known form; arguments as of `forms.ReadAnnotations`.

    Raises:
        DuetalError: nothing there, of no known form, or malformed.
        UsageError: the form needs one of the options.
    """
    return FORMS[form_of(path)].read_annotations(path, options=options, report=report)


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read the detections at a path, in any known form.

    Raises:
        DuetalError: nothing there, of no known form, malformed, or of a form without detections.
        UsageError: the form needs one of the options.
    """
    found = form_of(path)
    read = FORMS[found].read_detections
    if read is None:
        raise DuetalError(f"{found} has annotations, not detections", file=path)
    return read(path, options=options)


def guess(path: Path) -> Guess:
    """Recognise the form and kind of a file or folder; raises what `form_of` does."""
    form = form_of(path)
    return Guess(form, kind_of(path, form))


def form_of(path: Path) -> Format:
    """Recognise the form of a file or folder by what is in it.

    Raises:
        DuetalError: nothing there, or of no known form.
    """
    if path.is_dir():
        return _form_of_folder(path)
    text = head(path)
    if not text:
        raise DuetalError("is empty", file=path)
    if text.startswith("WEBVTT"):
        return Format.WEBVTT
    if text.startswith("<"):
        if "<ANNOTATION_DOCUMENT" in text:
            return Format.ELAN
        if re.search(r"<annotations[\s>]", text):
            return Format.CVAT
        raise DuetalError("XML, but neither ELAN's nor CVAT's", file=path)
    if text.startswith(("{", "[")):
        return _form_of_json(path, text)
    return _form_of_text(path, text)


def kind_of(path: Path, form: Format, options: FormatOptions = DEFAULT_OPTIONS) -> ContentKind:
    """Recognise whether a file of a known form holds annotations or detections.

    Of a form that holds both, annotations are a person's annotation in any Label Studio task, no
    confidence in FiftyOne's labels (of the field that the option `tier` names, if it does), a cue
    without a number in WebVTT.

    Raises:
        DuetalError: the file can't be read.
    """
    if FORMS[form].read_detections is None:
        return ContentKind.ANNOTATIONS
    if form is Format.THUMOS14:
        is_detections = not path.is_dir()
    elif form is Format.ACTIVITYNET:
        text = head(path)
        keys = _all_keys(path, text)
        bare = _BARE.match(text)
        is_detections = "database" not in keys
        is_detections &= "results" in keys or (bare is not None and bare[1] == "[")
    elif form is Format.CSV:
        header = next(_table_lines(head(path), delimiter_of(path)), [])
        is_detections = "score" in header
    elif form is Format.LABEL_STUDIO:
        tasks = read_document(path) if head(path).startswith("[") else []
        is_detections = any(isinstance(task, dict) and "data" in task for task in tasks)
        is_detections &= not any(
            task.get("annotations") for task in tasks if isinstance(task, dict)
        )
    elif form is Format.FIFTYONE:
        is_detections = fiftyone.has_scores(path, options.tier)
    else:
        is_detections = webvtt.has_scores(path)
    return ContentKind.DETECTIONS if is_detections else ContentKind.ANNOTATIONS


def _form_of_folder(path: Path) -> Format:
    if wtalc.is_wtalc(path):
        return Format.WTALC
    if thumos14.is_thumos14(path):
        return Format.THUMOS14
    if fiftyone.labels_place(path) != path:
        return Format.FIFTYONE
    if any(path.glob(f"*{elan.SUFFIX}")):
        return Format.ELAN
    if any(path.glob(f"*{webvtt.SUFFIX}")):
        return Format.WEBVTT
    if any(path.glob(f"*{cvat.SUFFIX}")):
        return Format.CVAT
    cause = "holds neither the W-TALC pack's annotation (videoname.npy, segments.npy, …) nor "
    cause += (
        "THUMOS text (<Class>_test.txt, …) nor labels.json, samples.json, *.eaf, *.vtt or *.xml"
    )
    raise DuetalError(cause, file=path)


def _form_of_json(path: Path, text: str) -> Format:
    if text.startswith("["):
        if "data" in _json_keys(text) or label_studio.is_row(_json_keys(text)):
            return Format.LABEL_STUDIO
        raise DuetalError("a JSON list, but not of Label Studio's tasks", file=path)
    keys = _all_keys(path, text)
    if "database" in keys:
        in_strings = '"segment": ["' in text or '"segment":["' in text
        return Format.BASNET if in_strings else Format.ACTIVITYNET
    if "results" in keys:
        return Format.ACTIVITYNET
    if keys >= _VIA_KEYS:
        return Format.VIA
    if "observations" in keys and keys & (_BORIS_KEYS - {"observations"}):
        return Format.BORIS
    if keys & {"labels", "samples"}:
        return Format.FIFTYONE
    if _BARE.match(text) and ('"score"' in text or '"annotations"' in text):
        return Format.ACTIVITYNET
    cause = "JSON of no known form: no 'database', 'results', 'labels', 'observations' or 'project'"
    raise DuetalError(cause, file=path)


def _all_keys(path: Path, text: str) -> frozenset[str]:
    """The keys of a JSON object: those at its beginning, where they are enough, or all."""
    keys = _json_keys(text)
    if keys & {"database", "results"} or keys >= _VIA_KEYS:
        return keys
    return frozenset(read_document(path, report=lambda _: None))


def _form_of_text(path: Path, text: str) -> Format:
    has_times = False
    for delimiter in DELIMITERS:
        header = set(next(_table_lines(text, delimiter), []))
        if label_studio.is_row(header):
            return Format.LABEL_STUDIO
        if header >= set(desed.STRONG_HEADER):
            return Format.STRONG
        columns = set(csv_table.columns_of([*header]))
        if columns >= set(csv_table.REQUIRED):
            return Format.CSV
        has_times |= bool(columns & {"start", "end"})
        if set(desed.weak_columns_of([*header])) >= set(desed.WEAK_HEADER):
            return Format.WEAK
        for names in _table_lines(text, delimiter):
            if "behavior" in names and {"time", "start (s)"} & set(names):
                return Format.BORIS
    if _is_thumos14_detection(text.partition("\n")[0]):
        return Format.THUMOS14
    if path.suffix.lower() in (".tsv", ".csv"):
        # Most likely a table whose header is wrong, which its reader describes.
        return Format.CSV if has_times else Format.WEAK
    cause = "of no known form; annotations are .json, .tsv, .csv, … or a folder"
    raise DuetalError(cause, file=path)


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
    """The cells of each line of a table that has some, stripped and in small letters."""
    reader = csv.reader(io.StringIO(SEPARATOR_LINE.sub("", text), newline=""), delimiter=delimiter)
    try:
        for fields in reader:
            if any(map(str.strip, fields)):
                yield [field.strip().lower() for field in fields]
    except csv.Error:
        return
