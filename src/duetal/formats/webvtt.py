"""WebVTT: the intervals of each video as subtitles that every player shows.

    WEBVTT

    00:00:03.200 --> 00:00:06.400
    HighJump 0.873

A file is a video, and named after it; an annotation of several is a folder. A cue's text is the
label; where every cue ends in a number, that is the score of a detection, to four significant
digits. Times are to the millisecond. What means something in a cue (`&`, `<`, `>`, a line's end) is
a character reference. https://www.w3.org/TR/webvtt1/
"""

import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from sys import intern

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.core.files import write_text
from duetal.formats.delimited import read_lines
from duetal.formats.marked import (
    Content,
    Marked,
    MarkedVideo,
    Reading,
    detection_rows,
    of_milliseconds,
)
from duetal.formats.media import file_per_video, files_per_video

SUFFIX = ".vtt"
_TIME = r"(?:(\d{2,9}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t]+(\S.*))?", re.ASCII)
_VOICE = re.compile(r"<v[.\s]")
_TAG = re.compile(r"<[^>]*>")
#: Blocks that are no cues: remarks and looks.
_OTHER_BLOCKS = ("NOTE", "STYLE", "REGION")
#: A line's end inside a label would end its line of text, and two of them the cue.
_LINE_ENDS = str.maketrans({"\n": "&#10;", "\r": "&#13;"})


def read_annotations(path: Path, *, report: Report = raise_error) -> Annotations:
    """Read one file, or each in a folder; a file's name is the video's.

    Raises:
        DuetalError: no such file, not WebVTT, or a cue without text or with impossible times; named
            by file and line.
    """
    reading = _read(Reading(path, report))
    found = (one for video in reading.videos.values() for one in video.intervals or ())
    reading.left_out["scores"] = sum(one.score is not None for one in found)
    return reading.annotations()


def read_detections(path: Path) -> Detections:
    """Read the cues as detections; raises what `read_annotations` does.

    Those without a score are left out, and counted.
    """
    return _read(Reading(path)).detections()


def write(path: Path, content: Content) -> None:
    """Write a folder of files or, where the path ends in `.vtt`, the only video; scores beside.

    Raises:
        DuetalError: several videos for one file, or a file can't be written.
    """
    for place, video in file_per_video(path, SUFFIX, content):
        write_text(place, _document(sorted(video.intervals or (), key=lambda one: one.start)))


def write_video(path: Path, detections: Detections, video: str) -> None:
    """Write the detections of one video, atomically, by start; of equal starts the best first.

    A video without detections becomes a file without cues.

    Raises:
        DuetalError: a value that is not finite, or the file can't be written.
    """
    detections.require_finite()
    names = np.array([name == video for name in detections.videos], dtype=np.bool_)
    chosen = detections.take(names[detections.video])
    chosen = chosen.take(np.lexsort((-chosen.score, chosen.start)))
    rows = detection_rows(chosen)
    text = _document(Marked(start, end, label, score) for _, label, start, end, score in rows)
    # Half a surrogate pair, which a label read from JSON can hold, has no bytes in UTF-8.
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))


def has_scores(path: Path) -> bool:
    """Whether there are cues, and each ends in a number; as far as the files can be read.

    Raises:
        DuetalError: no such file in the folder.
    """
    found = False
    for file, _ in files_per_video(path, SUFFIX):
        # Reading the cues reports what is wrong.
        with suppress(DuetalError):
            for _, _, text in _cues(file, Counter()):
                if parse_cue_text(text) is None:
                    return False
                found = True
    return found


def _document(intervals: Iterable[Marked]) -> str:
    return "\n\n".join(["WEBVTT", *map(cue, intervals)]) + "\n"


def cue(one: Marked) -> str:
    """A cue without identifier or settings; it has to begin at 0 or later and have a length."""
    first = max(0, round(1000 * one.start))
    last = max(first + 1, round(1000 * one.end))
    return f"{timestamp(first)} --> {timestamp(last)}\n{cue_text(one.label, one.score)}"


def timestamp(milliseconds: int) -> str:
    """`hh:mm:ss.mmm`, with more digits of hours where they are needed."""
    minutes, rest = divmod(milliseconds, 60_000)
    seconds, thousandths = divmod(rest, 1000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}"


def cue_text(label: str, score: float | None) -> str:
    """The text of a cue: a label, and the score of a detection."""
    text = html.escape(label, quote=False).translate(_LINE_ENDS)
    return text if score is None else f"{text} {score:.4g}"


def parse_cue_text(text: str) -> tuple[str, float] | None:
    """Label and score of a cue's text; None where it ends in no number."""
    label, space, last = text.rpartition(" ")
    try:
        score = float(last)
    except ValueError:
        return None
    if not space or not math.isfinite(score):
        return None
    return html.unescape(label), score


def _read(reading: Reading) -> Reading:
    scored = has_scores(reading.path)
    for file, name in files_per_video(reading.path, SUFFIX):
        intervals = []
        with reporting(reading.report):
            for start, end, text in _cues(file, reading.left_out):
                parsed = parse_cue_text(text) if scored else None
                label, score = parsed or (html.unescape(text), None)
                intervals.append(Marked(*of_milliseconds(start, end), intern(label), score))
            reading.add(MarkedVideo(name, intervals))
    return reading


def _cues(path: Path, left_out: Counter[str]) -> Iterator[tuple[float, float, str]]:
    """Start, end and text of each cue, the text's tags removed, its character references left.

    What else the file holds is counted.
    """
    for first, block in _blocks(path, left_out):
        timing = next((i for i, line in enumerate(block[:2]) if "-->" in line), None)
        if timing is None:
            kind = block[0].split(maxsplit=1)[0]
            left_out[f"{kind} blocks"] += 1
            if not block[0].startswith(_OTHER_BLOCKS):
                cause = f"expected a cue's times, found {block[-1][:60]!r}"
                raise DuetalError(cause, file=path, place=f"line {first + len(block) - 1}")
            continue
        place = f"line {first + timing}"
        found = _TIMING.fullmatch(block[timing].strip())
        if found is None:
            cause = f"expected 'hh:mm:ss.mmm --> hh:mm:ss.mmm', found {block[timing][:60]!r}"
            raise DuetalError(cause, file=path, place=place)
        written = " ".join(block[timing + 1 :])
        left_out["voices of cues"] += bool(_VOICE.search(written))
        text = _without_tags(written).strip()
        left_out["tags in cues"] += len(written.strip()) > len(text) and not _VOICE.search(written)
        left_out["settings of cues"] += found[9] is not None
        left_out["identifiers of cues"] += timing == 1 and not block[0].strip().isdecimal()
        if not text:
            raise DuetalError("a cue without text", file=path, place=place)
        yield _seconds(*found.groups()[:4]), _seconds(*found.groups()[4:8]), text


def _without_tags(text: str) -> str:
    # Each `<` before the last `>` begins a tag; to look for the end of others takes long.
    end = text.rfind(">") + 1
    return _TAG.sub("", text[:end]) + text[end:]


def _blocks(path: Path, left_out: Counter[str]) -> Iterator[tuple[int, list[str]]]:
    """The number of its first line, and the lines, of each block after the header."""
    block: list[str] = []
    header = True
    number = 0
    for number, line in enumerate(read_lines(path), start=1):
        line = line.rstrip("\r\n")
        if number == 1 and not re.match(r"WEBVTT(?:[ \t]|$)", line):
            raise DuetalError(
                "not WebVTT: the first line is not 'WEBVTT'", file=path, place="line 1"
            )
        if header and line.strip():
            left_out["lines of the header"] += number > 1 or line.strip() != "WEBVTT"
        if line.strip():
            block.append(line)
            continue
        if block and not header:
            yield number - len(block), block
        header = False
        block = []
    if number == 0:
        raise DuetalError("not WebVTT: the file is empty", file=path)
    if block and not header:
        yield number + 1 - len(block), block


def _seconds(hours: str | None, minutes: str, seconds: str, thousandths: str) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return (1000 * whole + int(thousandths)) / 1000
