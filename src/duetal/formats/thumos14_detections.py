"""Detections in the text form that the THUMOS'14 challenge evaluated.

    video_test_0000004 0.2 1.1 24 0.97
    video_test_0000004 7.5 9.0 23 0.41

A line per detection: video, start and end in seconds, the class's number (7 to 97, those of
`detclasslist.txt`; not 1 to 20), score. Classes with other numbers need a `detclasslist.txt` beside
the file.
"""

from collections.abc import Iterator
from pathlib import Path

from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.core.files import replacing
from duetal.formats.delimited import read_lines
from duetal.formats.json_values import shortened
from duetal.formats.memory import DETECTION, Memory
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions
from duetal.formats.thumos14 import CLASS_NUMBERS, read_class_list, require_word


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read detections; videos and classes are in the order in which they come.

    Raises:
        DuetalError: unreadable, or a line that is not of this form, has an unknown class number,
            or a number that is not finite, or more memory than is allowed; named by line.
    """
    memory = Memory(path)
    beside = path.parent / "detclasslist.txt"
    numbers = read_class_list(beside) if beside.exists() else CLASS_NUMBERS
    labels = {number: label for label, number in numbers.items()}
    rows = _rows(path, labels, memory)
    detections = Detections.from_rows(rows, source=path, on_name=memory.keep_name)
    detections.require_finite()
    return detections


def write_detections(
    path: Path, detections: Detections, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write detections of THUMOS'14's classes, atomically, in row order.

    Raises:
        DuetalError: a value that is not finite, a class that is none of THUMOS'14's twenty, a
            video whose name is not one word, or the file can't be written.
    """
    detections.require_finite()
    for name in detections.videos:
        require_word(name, path)
    for label in detections.classes:
        if label not in CLASS_NUMBERS:
            cause = f"cannot write: {label!r} is none of THUMOS'14's twenty classes"
            raise DuetalError(cause, file=path)
    numbers = [CLASS_NUMBERS[label] for label in detections.classes]
    columns = (detections.start, detections.end, detections.score)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for video, label, start, end, score in zip(
            detections.video.tolist(),
            detections.label.tolist(),
            *(column.tolist() for column in columns),
            strict=True,
        ):
            file.write(f"{detections.videos[video]} {start} {end} {numbers[label]} {score}\n")


def _rows(
    path: Path, labels: dict[int, str], memory: Memory
) -> Iterator[tuple[str, str, float, float, float]]:
    for number, line in enumerate(read_lines(path), start=1):
        memory.line = number
        # No more fields than show that there are too many.
        fields = line.split(maxsplit=5)
        if not fields:
            continue
        place = f"line {number}"
        memory.keep(DETECTION)
        try:
            video, start, end, label, score = fields
            times = float(start), float(end)
            known = labels.get(int(label))
            confidence = float(score)
        except ValueError as error:
            cause = f"expected 'video start end class score', found {shortened(line.strip())}"
            raise DuetalError(cause, file=path, place=place) from error
        if known is None:
            cause = f"{label} is the number of no class in detclasslist.txt"
            raise DuetalError(cause, file=path, place=place)
        yield video, known, *times, confidence
