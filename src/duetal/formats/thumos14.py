"""The text forms of the THUMOS'14 challenge: its temporal annotation, and detections.

The annotation is a folder of one file per class, `<Class>_val.txt` and `<Class>_test.txt`, each
line `video  start end` (one or two spaces, seconds), beside `Ambiguous_val.txt` and
`Ambiguous_test.txt` (intervals in which a detection is neither right nor wrong) and
`detclasslist.txt` (`<number> <Class>`). It holds no durations. Detections are a line each:

    video_test_0000004 0.2 1.1 24 0.97

with video, start and end in seconds, the class's number (7 to 97, those of `detclasslist.txt`; not
1 to 20), score. Classes with other numbers need a `detclasslist.txt` beside the file.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from sys import intern

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, UsageError, raise_error
from duetal.core.files import replacing, write_text
from duetal.core.video_names import known_name
from duetal.formats.delimited import read_lines
from duetal.formats.json_values import shortened
from duetal.formats.marked import Marked, MarkedVideo, Reading, detection_rows
from duetal.formats.media import safe_file_name
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

AMBIGUOUS = "Ambiguous"
CLASS_LIST = "detclasslist.txt"
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


def read_annotations(folder: Path, *, report: Report = raise_error) -> Annotations:
    """Read a folder of THUMOS'14 text.

    Classes are in the order of `detclasslist.txt` or, without one, sorted. A video that only the
    ambiguous list names (`video_test_0001292`) is there, with no segment.

    Raises:
        DuetalError: no such file in the folder, or a malformed line, named by file and number.
    """
    reading = Reading(folder, report)
    ambiguous: defaultdict[str, list[Segment]] = defaultdict(list)
    labels = set()
    for path in sorted(folder.glob("*.txt")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            continue
        label = intern(match["label"])
        labels.add(label)
        for name, segment in read_segments(path, label, report):
            if name not in reading.videos:
                reading.add(MarkedVideo(name, [], subset=_SUBSETS[match["subset"]]))
            if label == AMBIGUOUS:
                ambiguous[name].append(segment)
            else:
                reading.intervals_of(name).append(Marked(segment.start, segment.end, label))
    reading.classes = _read_classes(folder, labels - {AMBIGUOUS})
    annotations = reading.annotations()
    videos = {
        name: replace(annotations.videos[name], ambiguous=tuple(ambiguous[name]))
        for name in sorted(annotations.videos)
    }
    return replace(annotations, videos=videos)


def write_annotations(folder: Path, annotations: Annotations) -> None:
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
        _require_one_token(video.name, folder)
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
        files[CLASS_LIST].append(f"{numbers[label]} {label}\n")
    for name, text in files.items():
        write_text(folder / name, "".join(text))


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
    for place, line, fields in _lines(path, most_fields=4):
        try:
            name, start, end = fields
            segment = Segment(float(start), float(end), label)
        except ValueError:
            cause = f"expected 'video start end', found {shortened(line)}"
            report(DuetalError(cause, file=path, place=place))
        else:
            yield known_name(name), segment


def read_class_list(path: Path) -> dict[str, int]:
    """Read a `detclasslist.txt`: the classes in its order, with their numbers.

    Raises:
        DuetalError: unreadable, or a line that is not a number and a class.
    """
    classes: dict[str, int] = {}
    for place, line, fields in _lines(path, most_fields=2):
        if len(fields) != 2 or not re.fullmatch("[0-9]{1,9}", fields[0]):
            cause = f"expected 'number class', found {shortened(line)}"
            raise DuetalError(cause, file=path, place=place)
        classes[fields[1]] = int(fields[0])
    return classes


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read detections; videos and classes are in the order in which they come.

    The numbers of classes are those of the options or, without them, of a list beside the file.

    Raises:
        DuetalError: unreadable, or a line that is not of this form, has an unknown class number,
            or a number that is not finite; named by line.
    """
    beside = path.parent / CLASS_LIST
    numbers = read_class_list(beside) if beside.exists() else CLASS_NUMBERS
    labels = options.classes or {number: label for label, number in numbers.items()}
    detections = Detections.from_rows(_detections(path, labels), source=path)
    detections.require_finite()
    return detections


def write_detections(path: Path, detections: Detections) -> None:
    """Write detections of THUMOS'14's classes, atomically, in row order.

    Raises:
        DuetalError: a value that is not finite, a class that is none of THUMOS'14's twenty, a
            video whose name has spaces, or the file can't be written.
    """
    detections.require_finite()
    for name in detections.videos:
        _require_one_token(name, path)
    for label in detections.classes:
        if label not in CLASS_NUMBERS:
            cause = f"cannot write: {label!r} is none of THUMOS'14's twenty classes"
            raise DuetalError(cause, file=path)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for video, label, start, end, score in detection_rows(detections):
            file.write(f"{video} {start} {end} {CLASS_NUMBERS[label]} {score}\n")


def _require_one_token(name: str, path: Path) -> None:
    """Check that a video's name has no spaces and is printable, as the lines of this form need."""
    if name.split() != [name] or not name.isprintable():
        cause = f"cannot write: the form has no room for the video name {name!r}"
        raise DuetalError(cause, file=path)


def _read_classes(folder: Path, found: set[str]) -> list[str]:
    if not found:
        raise DuetalError("no <Class>_val.txt or <Class>_test.txt in the folder", file=folder)
    path = folder / CLASS_LIST
    if not path.exists():
        return sorted(found)
    classes = read_class_list(path)
    if found - classes.keys():
        raise DuetalError(f"lacks the class {min(found - classes.keys())!r}", file=path)
    return list(classes)


def _detections(
    path: Path, labels: Mapping[int, str]
) -> Iterator[tuple[str, str, float, float, float]]:
    for place, line, fields in _lines(path, most_fields=6):
        try:
            video, start, end, number, score = fields
            label = labels.get(int(number))
            values = float(start), float(end), float(score)
        except ValueError as error:
            cause = f"expected 'video start end class score', found {shortened(line)}"
            raise DuetalError(cause, file=path, place=place) from error
        if label is None:
            cause = f"{number} is the number of no class in the list (--class-list, {CLASS_LIST})"
            raise DuetalError(cause, file=path, place=place)
        yield known_name(video), label, *values


def _lines(path: Path, most_fields: int) -> Iterator[tuple[str, str, list[str]]]:
    """The place of each line that is not empty, its text and fields.

    One field more than there should be shows that there are too many: no more are split off.
    """
    for number, line in enumerate(read_lines(path), start=1):
        text = line.strip()
        if text:
            yield f"line {number}", text, text.split(maxsplit=most_fields - 1)
