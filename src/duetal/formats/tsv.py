"""Weak labels as a table of two columns, the form of DESED and DCASE.

    filename	event_labels
    video_validation_0000051	Billiards
    video_validation_0000171.mp4	CricketBowling,CricketShot

Tab-separated, or comma-separated with the labels quoted. A file suffix (`.mp4`, `.wav`) is not
part of a video's name.
"""

import csv
import re
from pathlib import Path

from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.formats.thumos14 import read_lines

HEADER = ["filename", "event_labels"]
#: Suffixes of media and of feature files; another dot may well belong to the name.
_SUFFIX = re.compile(
    r"\.(mp4|mkv|avi|webm|mov|m4v|mpg|mpeg|flv|wmv|ts|wav|flac|mp3|ogg|m4a|npy|npz)$", re.IGNORECASE
)


def read_annotations(
    path: Path, *, subset: str | None = "training", report: Report = raise_error
) -> Annotations:
    """Read weak labels; no video has segments.

    Args:
        path: a `.csv` file is comma-separated, any other tab-separated.
        subset: what to call the split, which such a table does not name.
        report: takes the error of each row that can't be used.

    Raises:
        DuetalError: no header, a row of other than two columns, an empty name, or a name that
            was there before; named by line.
    """
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    lines = read_lines(path)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    videos: dict[str, VideoAnnotation] = {}
    try:
        for fields in reader:
            place = f"line {reader.line_num}"
            if reader.line_num == 1:
                _check_header(fields, path)
            elif any(field.strip() for field in fields):
                try:
                    video = _video(fields, subset, path, place)
                    if video.name in videos:
                        cause = f"{video.name!r} is listed twice"
                        raise DuetalError(cause, file=path, place=place)
                    videos[video.name] = video
                except DuetalError as error:
                    report(error)
    except csv.Error as error:
        raise DuetalError(str(error), file=path, place=f"line {reader.line_num}") from error
    if not lines:
        _check_header([], path)
    classes = sorted({label for video in videos.values() for label in video.labels})
    return Annotations(videos, tuple(classes), path)


def _check_header(fields: list[str], path: Path) -> None:
    if [field.strip().lower() for field in fields] != HEADER:
        separator = "a comma" if path.suffix.lower() == ".csv" else "a tab"
        cause = f"expected the header 'filename', {separator}, 'event_labels'"
        raise DuetalError(cause, file=path, place="line 1")


def _video(fields: list[str], subset: str | None, path: Path, place: str) -> VideoAnnotation:
    if len(fields) != 2:
        cause = f"expected 2 columns (filename, event_labels), found {len(fields)}"
        raise DuetalError(cause, file=path, place=place)
    name = _SUFFIX.sub("", fields[0].strip())
    if not name:
        raise DuetalError("no file name", file=path, place=place)
    labels = {label.strip() for label in fields[1].split(",")} - {""}
    return VideoAnnotation(name, subset, labels=tuple(sorted(labels)))
