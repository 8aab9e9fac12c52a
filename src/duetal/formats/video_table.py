"""Own videos and their labels, as one writes them down: a table of two columns, or three.

    video,labels,split
    monday/dive_1.mp4,Diving,train
    both_3.mp4,"Diving, High jump",train
    jump_2.mp4,High jump; Running,test

Between columns are commas, tabs or semicolons, whichever the header has; between labels a comma (in
quotes, where commas are between columns too) or a semicolon. A video may have a row for each of
its labels instead. The columns may stand in any order and
may be called otherwise, as DESED's `filename` and `event_labels` are. It differs from
`duetal.formats.desed` in that it names files, and may give their split.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from sys import intern
from typing import NoReturn

from duetal.core.errors import DuetalError, raise_error, unknown
from duetal.core.video_names import composed
from duetal.formats.delimited import delimiter_of, read_cells, read_rows

#: What each column may be called; messages use the first name.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "video": ("video", "videos", "filename", "file_name", "file", "name"),
    "labels": ("labels", "label", "event_labels", "classes", "class"),
    "split": ("split", "subset", "set"),
}
_REQUIRED = ("video", "labels")


class Split(StrEnum):
    """What a video is for."""

    TRAIN = "train"
    TEST = "test"


#: How the names of a split begin: training; test, validation, evaluation.
_BEGINNINGS = {"train": Split.TRAIN, "test": Split.TEST, "val": Split.TEST, "eval": Split.TEST}


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """A row of the table."""

    #: The video's file, path or name, as it was written.
    video: str
    #: Sorted, each once; none where nothing of interest happens.
    labels: tuple[str, ...]
    #: None in a table of two columns.
    split: Split | None
    #: The row's line, for messages.
    place: str


def read_video_table(path: Path) -> tuple[LabelledVideo, ...]:
    """Read a table of videos, their labels and perhaps their split.

    Raises:
        DuetalError: unreadable, other columns, a row of another number of them, no video in a row,
            an unknown split, or a split for some rows alone; names the line.
    """
    delimiter = delimiter_of(path)
    _, columns = next(read_cells(path, delimiter), (1, []))
    names = _column_names([name.strip().lower() for name in columns], path)

    def report(error: DuetalError) -> NoReturn:
        hint = " (several labels go in quotes, or with semicolons between)"
        raise DuetalError(f"{error.cause}{hint}", file=path, place=error.place)

    reported = report if delimiter == "," else raise_error
    rows = read_rows(path, delimiter, list(names.values()), report=reported)
    videos = _united((_labelled_video(place, cells, names, path) for place, cells in rows), path)
    if not videos:
        raise DuetalError("names no video", file=path)
    if any(video.split for video in videos):
        for video in videos:
            if video.split is None:
                raise DuetalError("no split, and other rows have one", file=path, place=video.place)
    return videos


def _united(rows: Iterable[LabelledVideo], path: Path) -> tuple[LabelledVideo, ...]:
    """Each video once, where rows of the same video and split have a label each."""
    united: dict[tuple[str, Split | None], LabelledVideo] = {}
    for row in rows:
        first = united.setdefault((row.video, row.split), row)
        if first is not row and not (first.labels and row.labels):
            cause = f"{row.video!r} is listed twice, and not each time with a label"
            raise DuetalError(cause, file=path, place=row.place)
        labels = tuple(sorted({*first.labels, *row.labels}))
        united[row.video, row.split] = replace(first, labels=labels)
    return tuple(united.values())


def _column_names(columns: Sequence[str], path: Path) -> dict[str, str]:
    """What each column is called here, by the name that messages use."""
    meanings = {name: meaning for meaning, names in COLUMNS.items() for name in names}
    found: dict[str, str] = {}
    for column in columns:
        meaning = meanings.get(column)
        if meaning is None or meaning in found:
            cause = "expected a header with the columns 'video', 'labels' and, if wanted, 'split'"
            cause += f"; found {column!r}" if meaning is None else f"; two are {meaning}"
            raise DuetalError(cause, file=path, place="line 1")
        found[meaning] = column
    for meaning in _REQUIRED:
        if meaning not in found:
            cause = f"expected a header with the columns 'video' and 'labels'; {meaning!r} is not"
            raise DuetalError(f"{cause} there", file=path, place="line 1")
    return found


def _labelled_video(
    place: str, cells: Mapping[str, str], names: Mapping[str, str], path: Path
) -> LabelledVideo:
    video = cells[names["video"]]
    if not video:
        raise DuetalError("no video", file=path, place=place)
    labels = {" ".join(label.split()) for label in re.split("[,;]", cells[names["labels"]])} - {""}
    split = _split(cells[names["split"]], path, place) if "split" in names else None
    return LabelledVideo(video, tuple(sorted(map(intern, map(composed, labels)))), split, place)


def _split(name: str, path: Path, place: str) -> Split | None:
    if not name:
        return None
    for beginning, split in _BEGINNINGS.items():
        if name.lower().startswith(beginning):
            return split
    known = [split.value for split in Split]
    raise DuetalError(unknown("split", name, known), file=path, place=place)
