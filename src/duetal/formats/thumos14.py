"""The text form in which the THUMOS'14 challenge gave its temporal annotation.

A folder of one file per class, `<Class>_val.txt` and `<Class>_test.txt`, each line
`video  start end` (one or two spaces, seconds), beside `Ambiguous_val.txt` and
`Ambiguous_test.txt` (intervals in which a detection is neither right nor wrong) and
`detclasslist.txt` (`<number> <Class>`). It says nothing of durations.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError, Report, UsageError, raise_error
from duetal.core.files import read_text, write_text
from duetal.formats.delimited import lines
from duetal.formats.media import safe_file_name
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

AMBIGUOUS = "Ambiguous"
_SUBSETS = {"val": "validation", "test": "test"}
_FILE_NAME = re.compile(r"(?P<label>.+)_(?P<subset>val|test)\.txt")
#: The numbers of the detection task's classes, which are those of their videos in UCF101.
CLASS_NUMBERS = {
    "BaseballPitch": 7,
    "BasketballDunk": 9,
    "Billiards": 12,
    "CleanAndJerk": 21,
    "CliffDiving": 22,
    "CricketBowling": 23,
    "CricketShot": 24,
    "Diving": 26,
    "FrisbeeCatch": 31,
    "GolfSwing": 33,
    "HammerThrow": 36,
    "HighJump": 40,
    "JavelinThrow": 45,
    "LongJump": 51,
    "PoleVault": 68,
    "Shotput": 79,
    "SoccerPenalty": 85,
    "TennisSwing": 92,
    "ThrowDiscus": 93,
    "VolleyballSpiking": 97,
}


def is_thumos14(folder: Path) -> bool:
    """Whether a folder holds at least one file named as this form names them."""
    return any(_FILE_NAME.fullmatch(path.name) for path in folder.glob("*.txt"))


def read_annotations(
    folder: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read a folder of THUMOS'14 text.

    Classes are in the order of `detclasslist.txt` or, without one, sorted. A video that only the
    ambiguous list names (`video_test_0001292`) is there, with no segment.

    Args:
        folder: the folder.
        options: not used.
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


def write_annotations(
    folder: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write a folder of THUMOS'14 text, each file atomically; for an empty or new folder.

    The form knows of segments alone: videos without any, durations and video labels are left out.
    The training subset becomes `val`, the half of THUMOS'14 that is trained on.

    Raises:
        DuetalError: a name or class that the form can't hold, or a file can't be written.
        UsageError: a video without a subset, or of another than training, validation and test.
    """
    files: defaultdict[str, list[str]] = defaultdict(list)
    for video in annotations:
        marked = [(s.label, s) for s in video.segments or ()]
        marked += [(AMBIGUOUS, s) for s in video.ambiguous]
        if not marked:
            continue
        half = _half(video, folder)
        require_word(video.name, folder)
        for label, segment in marked:
            line = f"{video.name}  {segment.start!r} {segment.end!r}\n"
            files[f"{label}_{half}.txt"].append(line)
    numbers = CLASS_NUMBERS
    if not CLASS_NUMBERS.keys() >= set(annotations.classes):
        numbers = {label: number for number, label in enumerate(annotations.classes, start=1)}
    for label in annotations.classes:
        if safe_file_name(label, "") != label or label.strip() != label or label == AMBIGUOUS:
            cause = f"cannot write: the class {label!r} can't be part of a file's name"
            raise DuetalError(cause, file=folder)
        files["detclasslist.txt"].append(f"{numbers[label]} {label}\n")
    for name, text in files.items():
        write_text(folder / name, "".join(text))


def require_word(name: str, path: Path) -> None:
    """Check that a video's name is one printable word, which the lines of this form need.

    Raises:
        DuetalError: it is not.
    """
    if name.split() != [name] or not name.isprintable():
        cause = f"cannot write: the form has no room for the video name {name!r}"
        raise DuetalError(cause, file=path)


def _half(video: VideoAnnotation, folder: Path) -> str:
    subset = (video.subset or "").strip().lower()
    for prefix, half in (("test", "test"), ("val", "val"), ("train", "val")):
        if subset.startswith(prefix):
            return half
    cause = f"video {video.name!r} is neither of validation nor of test: give its --subset"
    raise UsageError(cause, file=folder)


def read_segments(
    path: Path, label: str, report: Report = raise_error
) -> Iterator[tuple[str, Segment]]:
    """Read one file of `video start end` lines as segments of the given class.

    Raises:
        DuetalError: unreadable, or a line that is not a name and two numbers.
    """
    for number, line in enumerate(lines(read_text(path)), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            name, start, end = fields
            segment = Segment(float(start), float(end), label)
        except ValueError:
            cause = f"expected 'video start end', found {line.strip()!r}"
            report(DuetalError(cause, file=path, place=f"line {number}"))
        else:
            yield intern(name), segment


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends.

    Raises:
        DuetalError: missing, unreadable, or not UTF-8.
    """
    return [line.rstrip("\r\n") for line in lines(read_text(path))]


def read_class_list(path: Path) -> dict[str, int]:
    """Read a `detclasslist.txt`: the classes in its order, with their numbers.

    Raises:
        DuetalError: unreadable, or a line that is not a number and a class.
    """
    classes: dict[str, int] = {}
    for number, line in enumerate(lines(read_text(path)), start=1):
        fields = line.strip().split(maxsplit=1)
        if fields and (len(fields) != 2 or not re.fullmatch("[0-9]{1,9}", fields[0])):
            cause = f"expected 'number class', found {line.strip()!r}"
            raise DuetalError(cause, file=path, place=f"line {number}")
        if fields:
            classes[fields[1]] = int(fields[0])
    return classes


def _read_classes(folder: Path, found: set[str]) -> tuple[str, ...]:
    if not found:
        raise DuetalError("no <Class>_val.txt or <Class>_test.txt in the folder", file=folder)
    path = folder / "detclasslist.txt"
    if not path.exists():
        return tuple(sorted(found))
    classes = read_class_list(path)
    if found - classes.keys():
        raise DuetalError(f"lacks the class {min(found - classes.keys())!r}", file=path)
    return tuple(classes)
