"""The text form in which the THUMOS'14 challenge gave its temporal annotation.

A folder of one file per class, `<Class>_val.txt` and `<Class>_test.txt`, each line
`video  start end` (one or two spaces, seconds), beside `Ambiguous_val.txt` and
`Ambiguous_test.txt` (intervals in which a detection is neither right nor wrong) and
`detclasslist.txt` (`<number> <Class>`). It says nothing of durations.
"""

import re
from collections import defaultdict
from pathlib import Path

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError, Report, raise_error

AMBIGUOUS = "Ambiguous"
_SUBSETS = {"val": "validation", "test": "test"}
_FILE_NAME = re.compile(r"(?P<label>.+)_(?P<subset>val|test)\.txt")


def is_thumos14(folder: Path) -> bool:
    """Whether a folder holds at least one file named as this form names them."""
    return any(_FILE_NAME.fullmatch(path.name) for path in folder.glob("*.txt"))


def read_annotations(folder: Path, *, report: Report = raise_error) -> Annotations:
    """Read a folder of THUMOS'14 text.

    Classes are in the order of `detclasslist.txt` or, without one, sorted. A video that only the
    ambiguous list names (`video_test_0001292`) is there, with no segment.

    Args:
        folder: the folder.
        report: takes the error of each malformed line.

    Raises:
        DuetalError: no such file in the folder, or a malformed line, named by file and number.
    """
    subsets: dict[str, str] = {}
    segments: defaultdict[str, list[Segment]] = defaultdict(list)
    ambiguous: defaultdict[str, list[Segment]] = defaultdict(list)
    found = set()
    for path in sorted(folder.glob("*.txt")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            continue
        label = match["label"]
        found.add(label)
        for name, segment in read_segments(path, label, report):
            subsets.setdefault(name, _SUBSETS[match["subset"]])
            (ambiguous if label == AMBIGUOUS else segments)[name].append(segment)
    classes = _read_classes(folder, found - {AMBIGUOUS})
    videos = {
        name: VideoAnnotation(
            name,
            subsets[name],
            labels=tuple(sorted({segment.label for segment in segments[name]})),
            segments=tuple(segments[name]),
            ambiguous=tuple(ambiguous[name]),
        )
        for name in sorted(subsets)
    }
    return Annotations(videos, classes, folder)


def read_segments(
    path: Path, label: str, report: Report = raise_error
) -> list[tuple[str, Segment]]:
    """Read one file of `video start end` lines as segments of the given class.

    Raises:
        DuetalError: unreadable, or a line that is not a name and two numbers.
    """
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            name, start, end = fields
            rows.append((name, Segment(float(start), float(end), label)))
        except ValueError:
            cause = f"expected 'video start end', found {line.strip()!r}"
            report(DuetalError(cause, file=path, place=f"line {number}"))
    return rows


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends.

    Raises:
        DuetalError: missing, unreadable, or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DuetalError("no such file", file=path) from error
    except OSError as error:
        raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise DuetalError("not UTF-8 text", file=path, place=f"byte {error.start}") from error


def _read_classes(folder: Path, found: set[str]) -> tuple[str, ...]:
    if not found:
        raise DuetalError("no <Class>_val.txt or <Class>_test.txt in the folder", file=folder)
    path = folder / "detclasslist.txt"
    if not path.exists():
        return tuple(sorted(found))
    classes: dict[str, None] = {}
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if fields and (len(fields) != 2 or not fields[0].isdecimal()):
            cause = f"expected 'number class', found {line.strip()!r}"
            raise DuetalError(cause, file=path, place=f"line {number}")
        classes.update(dict.fromkeys(fields[1:]))
    if found - classes.keys():
        raise DuetalError(f"lacks the class {min(found - classes.keys())!r}", file=path)
    return tuple(classes)
