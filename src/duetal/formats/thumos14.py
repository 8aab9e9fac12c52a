"""The text form in which the THUMOS'14 challenge gave its temporal annotation.

A folder of one file per class, `<Class>_val.txt` and `<Class>_test.txt`, each line
`video  start end` (one or two spaces, seconds), beside `Ambiguous_val.txt` and
`Ambiguous_test.txt` (intervals in which a detection is neither right nor wrong) and
`detclasslist.txt` (`<number> <Class>`). It says nothing of durations.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError, Report, UsageError, raise_error
from duetal.core.files import write_text
from duetal.formats import delimited
from duetal.formats.json_values import shortened
from duetal.formats.media import safe_file_name
from duetal.formats.memory import (
    CLASS,
    ITEM,
    LIST,
    NUMBER,
    PLACE,
    SEGMENT,
    VIDEO,
    Memory,
    string_size,
)
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


@dataclass(slots=True)
class _Video:
    subset: str
    segments: list[Segment] = field(default_factory=list)
    ambiguous: list[Segment] = field(default_factory=list)


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
        DuetalError: no such file in the folder, or a malformed line, named by file and number; or
            more memory than is allowed.
    """
    files = {
        path: match
        for path in sorted(folder.glob("*.txt"))
        if (match := _FILE_NAME.fullmatch(path.name))
    }
    memory = Memory(*files)
    report = memory.reporting(report)
    videos: dict[str, _Video] = {}
    for path, match in files.items():
        label = match["label"]
        for name, segment in read_segments(path, label, memory, report):
            if name not in videos:
                memory.keep(string_size(name) + VIDEO + PLACE + ITEM + LIST)
                videos[name] = _Video(_SUBSETS[match["subset"]])
            video = videos[name]
            (video.ambiguous if label == AMBIGUOUS else video.segments).append(segment)
    found = {match["label"] for match in files.values()} - {AMBIGUOUS}
    classes = _read_classes(folder, found)
    known = {name: _annotation(name, videos.pop(name), memory) for name in sorted(videos)}
    return Annotations(known, classes, folder)


def _annotation(name: str, video: _Video, memory: Memory) -> VideoAnnotation:
    return VideoAnnotation(
        name,
        video.subset,
        labels=memory.keep_labels(segment.label for segment in video.segments),
        segments=tuple(video.segments),
        ambiguous=tuple(video.ambiguous),
    )


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
    path: Path, label: str, memory: Memory, report: Report = raise_error
) -> Iterator[tuple[str, Segment]]:
    """Read one file of `video start end` lines as segments of the given class.

    Args:
        path: the file.
        label: the class.
        memory: what reading may take; each segment is counted, not its video.
        report: takes the error of each malformed line.

    Raises:
        DuetalError: unreadable, or a line that is not a name and two numbers; or more memory than
            is allowed.
    """
    memory.file = path
    for number, line in enumerate(delimited.read_lines(path), start=1):
        memory.line = number
        # No more fields than show that there are too many.
        fields = line.split(maxsplit=3)
        if not fields:
            continue
        try:
            name, start, end = fields
            segment = Segment(float(start), float(end), label)
        except ValueError:
            cause = f"expected 'video start end', found {shortened(line.strip())}"
            report(DuetalError(cause, file=path, place=f"line {number}"))
        else:
            memory.keep(SEGMENT)
            yield name, segment


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends.

    Raises:
        DuetalError: missing, unreadable, or not UTF-8; or more memory than is allowed.
    """
    memory = Memory(path)
    found = []
    for line in delimited.read_lines(path):
        memory.line += 1
        content = line.rstrip("\r\n")
        memory.keep(ITEM + (string_size(content) + PLACE if content else 0))
        found.append(content)
    return found


def read_class_list(path: Path) -> dict[str, int]:
    """Read a `detclasslist.txt`: the classes in its order, with their numbers.

    Raises:
        DuetalError: unreadable, or a line that is not a number and a class; or more memory than is
            allowed.
    """
    memory = Memory(path)
    classes: dict[str, int] = {}
    for number, line in enumerate(delimited.read_lines(path), start=1):
        memory.line = number
        fields = line.strip().split(maxsplit=1)
        if fields and (len(fields) != 2 or not re.fullmatch("[0-9]{1,9}", fields[0])):
            cause = f"expected 'number class', found {shortened(line.strip())}"
            raise DuetalError(cause, file=path, place=f"line {number}")
        if fields:
            memory.keep(string_size(fields[1]) + 2 * PLACE + CLASS + NUMBER)
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
