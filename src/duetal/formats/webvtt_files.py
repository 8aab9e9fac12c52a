"""WebVTT for many videos: a file of cues each, in one folder, named after the video.

    WEBVTT

    00:00:03.200 --> 00:00:06.400
    HighJump

A cue's text is the label; where every cue ends in a number, that is the score of a detection, as
`webvtt` writes it.
"""

import html
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import write_text
from duetal.formats.delimited import read_lines
from duetal.formats.marked import (
    Marked,
    MarkedVideo,
    as_annotations,
    as_detections,
    marked_annotations,
    marked_detections,
)
from duetal.formats.media import named_by_file, safe_file_name
from duetal.formats.memory import (
    CELL,
    LIST,
    MARKED,
    MARKED_CLASS,
    NUMBER,
    PLACE,
    TUPLE,
    VIDEO,
    Memory,
    string_size,
)
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions
from duetal.formats.webvtt import cue, cue_text, parse_cue_text

SUFFIX = ".vtt"
_TIME = r"(?:(\d{2,9}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t].*)?", re.ASCII)
_TAG = re.compile(r"<[^>]*>")
#: Blocks that are no cues: remarks and looks.
_OTHER_BLOCKS = ("NOTE", "STYLE", "REGION")


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read one file, or each in a folder; a file's name is the video's.

    Args:
        path: the file or folder.
        options: not used.
        report: takes the error of each file that is malformed.

    Raises:
        DuetalError: no such file, not WebVTT, or a cue without text or with impossible times; named
            by file and line; or more memory than is allowed.
    """
    videos, scored = _read(path, report)
    left_out = {"scores": sum(len(video.intervals or ()) for video in videos) if scored else 0}
    return as_annotations(videos, path, left_out=left_out)


def read_detections(path: Path, *, options: FormatOptions = DEFAULT_OPTIONS) -> Detections:
    """Read the cues as detections; those without a score are left out, and counted.

    Raises:
        DuetalError: as `read_annotations`.
    """
    videos, _ = _read(path, raise_error)
    return as_detections(videos, path)


def write_annotations(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write a folder of files or, where the path ends in `.vtt`, the only video.

    Raises:
        DuetalError: several videos for one file, or a file can't be written.
    """
    _write(path, marked_annotations(annotations))


def write_detections(
    path: Path, detections: Detections, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write detections with their scores, as `write_annotations`.

    Raises:
        DuetalError: as `write_annotations`.
    """
    _write(path, marked_detections(detections))


def has_scores(path: Path) -> bool:
    """Whether there are cues, and each ends in a number.

    Raises:
        DuetalError: as `read_annotations`.
    """
    return _read(path, raise_error)[1]


def _write(path: Path, videos: Iterable[MarkedVideo]) -> None:
    listed = list(videos)
    alone = path.suffix.lower() == SUFFIX
    if alone and len(listed) != 1:
        cause = f"cannot write: one file is one video, and here are {len(listed)}; name a folder"
        raise DuetalError(cause, file=path)
    for video in listed:
        cues = [
            cue(one.start, one.end, _text(one))
            for one in sorted(video.intervals or (), key=lambda one: one.start)
        ]
        text = "\n\n".join(["WEBVTT", *cues]) + "\n"
        write_text(path if alone else path / safe_file_name(video.name, SUFFIX), text)


def _text(one: Marked) -> str:
    if one.score is not None:
        return cue_text(one.label, one.score)
    return cue_text(one.label, 0.0).removesuffix(" 0")


def _read(path: Path, report: Report) -> tuple[list[MarkedVideo], bool]:
    """The videos, and whether every cue has a score."""
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise DuetalError(f"no *{SUFFIX} in the folder", file=path)
    memory = Memory(*files)
    report = memory.reporting(report)
    scored = _have_scores(files, memory)
    videos = []
    for file in files:
        name = named_by_file(file.stem)
        memory.keep(string_size(name) + VIDEO + 2 * PLACE + LIST + 2 * TUPLE)
        intervals = []
        try:
            for start, end, text in _cues(file, memory):
                memory.keep(MARKED + NUMBER)
                parsed = parse_cue_text(text) if scored else None
                label, score = parsed or (html.unescape(text), None)
                label = memory.keep_label(label, MARKED_CLASS)
                intervals.append(Marked(start, end, label, score))
        except DuetalError as error:
            report(error)
        else:
            videos.append(MarkedVideo(name, intervals))
    return videos, scored


def _have_scores(files: Iterable[Path], memory: Memory) -> bool:
    """Whether there are cues, and each ends in a number; as far as the files can be read."""
    found = False
    for file in files:
        # Whoever reads the cues reports what is wrong.
        with suppress(DuetalError):
            for _, _, text in _cues(file, memory):
                if parse_cue_text(text) is None:
                    return False
                found = True
    return found


def _cues(path: Path, memory: Memory) -> Iterator[tuple[float, float, str]]:
    """Start, end and text of each cue, the text's tags removed, its character references left."""
    memory.file = path
    for first, block in _blocks(path, memory):
        timing = next((i for i, line in enumerate(block[:2]) if "-->" in line), None)
        if timing is None:
            if not block[0].startswith(_OTHER_BLOCKS):
                cause = f"expected a cue's times, found {block[-1][:60]!r}"
                raise DuetalError(cause, file=path, place=f"line {first + len(block) - 1}")
            continue
        place = f"line {first + timing}"
        found = _TIMING.fullmatch(block[timing].strip())
        if found is None:
            cause = f"expected 'hh:mm:ss.mmm --> hh:mm:ss.mmm', found {block[timing][:60]!r}"
            raise DuetalError(cause, file=path, place=place)
        text = _without_tags(" ".join(block[timing + 1 :])).strip()
        if not text:
            raise DuetalError("a cue without text", file=path, place=place)
        yield _seconds(*found.groups()[:4]), _seconds(*found.groups()[4:]), text


def _without_tags(text: str) -> str:
    # Each `<` before the last `>` begins a tag; to look for the end of others takes long.
    end = text.rfind(">") + 1
    return _TAG.sub("", text[:end]) + text[end:]


def _blocks(path: Path, memory: Memory) -> Iterator[tuple[int, list[str]]]:
    """The number of its first line, and the lines, of each block after the header."""
    block: list[str] = []
    header = True
    number = 0
    size = 0
    for number, line in enumerate(read_lines(path), start=1):
        memory.line = number
        line = line.rstrip("\r\n")
        if number == 1 and not re.match(r"WEBVTT(?:[ \t]|$)", line):
            raise DuetalError(
                "not WebVTT: the first line is not 'WEBVTT'", file=path, place="line 1"
            )
        if line.strip():
            # The lines of a block, and then its text, in a few stages.
            size += CELL + 4 * (string_size(line) - string_size(""))
            memory.hold(size)
            block.append(line)
            continue
        if block and not header:
            yield number - len(block), block
        header = False
        block, size = [], 0
    if number == 0:
        raise DuetalError("not WebVTT: the file is empty", file=path)
    if block and not header:
        yield number + 1 - len(block), block


def _seconds(hours: str | None, minutes: str, seconds: str, thousandths: str) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return (1000 * whole + int(thousandths)) / 1000
