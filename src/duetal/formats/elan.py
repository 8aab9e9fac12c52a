"""ELAN (`.eaf`): the annotation of one video as tiers of intervals, in XML.

    <ANNOTATION_DOCUMENT FORMAT="3.0" …>
      <HEADER TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///clips/v1.mp4" …/></HEADER>
      <TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="3200"/> …</TIME_ORDER>
      <TIER TIER_ID="Diving" LINGUISTIC_TYPE_REF="action">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1"
            TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>Diving</ANNOTATION_VALUE>…

Intervals of one tier can't overlap, so each class has a tier of its own, and more where its own
intervals do. A video is a file; an annotation of several, a folder.
https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, Report, raise_error
from duetal.core.files import write_text
from duetal.formats.elan_document import document
from duetal.formats.marked import (
    Marked,
    MarkedVideo,
    as_annotations,
    marked_annotations,
    marked_detections,
)
from duetal.formats.media import named_by_file, safe_file_name, video_name
from duetal.formats.memory import (
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
from duetal.formats.xml_events import read_elements

SUFFIX = ".eaf"
_VALUES = frozenset({"CVE_VALUE", "CV_ENTRY"})


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read one `.eaf` file, or each in a folder.

    A video's name is that of its media file, or else of the `.eaf`. An interval's label is its
    text or, where it has none, its tier. Left out are intervals that hang on others (of dependent
    tiers without times) and those that are not aligned with the time line.

    Args:
        path: the file or folder.
        options: `tier` is the only tier to read; default all that have times.
        report: takes the error of each file that is malformed, or of a video that was there before.

    Raises:
        DuetalError: no such file; not well-formed, with a document type, or not of this form; named
            by file and line; or more memory than is allowed.
    """
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise DuetalError(f"no *{SUFFIX} in the folder", file=path)
    memory = Memory(*files)
    report = memory.reporting(report)
    videos: dict[str, MarkedVideo] = {}
    classes: dict[str, None] = {}
    left_out: Counter[str] = Counter()
    for file in files:
        try:
            content = _read_file(file, options, memory)
            name = content.media or named_by_file(file.stem)
            memory.keep(string_size(name) + VIDEO + PLACE + LIST + 2 * TUPLE)
            if name in videos:
                raise DuetalError(f"{name!r} is annotated in a file before", file=file)
            videos[name] = MarkedVideo(name, content.intervals)
        except DuetalError as error:
            report(error)
            continue
        classes.update(dict.fromkeys(content.vocabulary))
        left_out.update(content.left_out)
    return as_annotations(videos.values(), path, classes=classes, left_out=left_out)


def write_annotations(
    path: Path, annotations: Annotations, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write a folder of `.eaf` files or, where the path ends in `.eaf`, the only video.

    The classes become the vocabulary that ELAN offers for an interval's text. Times are rounded to
    milliseconds.

    Args:
        path: the folder or file.
        annotations: in seconds.
        options: `media_root` and `media_suffix` say where ELAN finds the videos.

    Raises:
        DuetalError: several videos for one file, a name or class with a character that XML can't
            hold, or a file can't be written.
    """
    _write(path, marked_annotations(annotations), annotations.classes, options)


def write_detections(
    path: Path, detections: Detections, *, options: FormatOptions = DEFAULT_OPTIONS
) -> None:
    """Write detections to correct, as `write_annotations`; there is no place for their scores.

    Raises:
        DuetalError: as `write_annotations`.
    """
    _write(path, marked_detections(detections), detections.classes, options)


def _write(
    path: Path, videos: Iterable[MarkedVideo], classes: tuple[str, ...], options: FormatOptions
) -> None:
    listed = list(videos)
    if path.suffix.lower() == SUFFIX and len(listed) != 1:
        cause = f"cannot write: one file is one video, and here are {len(listed)}; name a folder"
        raise DuetalError(cause, file=path)
    for video in listed:
        alone = path.suffix.lower() == SUFFIX
        place = path if alone else path / safe_file_name(video.name, SUFFIX)
        write_text(place, document(video, classes, options, place))


@dataclass
class _Content:
    """What is read of a file, element by element."""

    memory: Memory
    chosen: str | None
    media: str | None = None
    offset: float = 0.0
    slots: dict[str, float | None] = field(default_factory=dict)
    vocabulary: dict[str, None] = field(default_factory=dict)
    intervals: list[Marked] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    tier: str = ""
    has_chosen: bool = False
    ends: tuple[str, str] | None = None


def _read_file(path: Path, options: FormatOptions, memory: Memory) -> _Content:
    memory.file = path
    content = _Content(memory, options.tier)
    root = False

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal root
        if not root and name != "ANNOTATION_DOCUMENT":
            raise ValueError(f"not of ELAN's form: it begins with {name[:40]!r}")
        root = True
        _start(content, name, attributes)

    def end(name: str, text: str) -> None:
        _end(content, name, text)

    read_elements(path, start, end, memory)
    if options.tier is not None and not content.has_chosen:
        content.left_out[f"files without the tier {options.tier!r}"] += 1
    return content


def _start(content: _Content, name: str, attributes: Mapping[str, str]) -> None:
    if name == "HEADER" and attributes.get("TIME_UNITS", "milliseconds") != "milliseconds":
        raise ValueError(f"times in {attributes['TIME_UNITS'][:40]!r} instead of milliseconds")
    if name == "MEDIA_DESCRIPTOR" and content.media is None:
        place = attributes.get("MEDIA_URL") or attributes.get("RELATIVE_MEDIA_URL")
        content.media = video_name(place) if place else None
        # The media begins so many milliseconds before the time line does.
        content.offset = float(int(attributes.get("TIME_ORIGIN", "0")))
    elif name == "MEDIA_DESCRIPTOR":
        content.left_out["further media files"] += 1
    elif name == "TIME_SLOT":
        value = attributes.get("TIME_VALUE")
        slot = attributes["TIME_SLOT_ID"]
        content.memory.keep(string_size(slot) + PLACE + NUMBER)
        content.slots[slot] = None if value is None else float(int(value))
    elif name == "TIER":
        content.tier = attributes["TIER_ID"]
        content.has_chosen |= content.tier == content.chosen
    elif name == "ALIGNABLE_ANNOTATION":
        content.ends = (attributes["TIME_SLOT_REF1"], attributes["TIME_SLOT_REF2"])
    elif name == "REF_ANNOTATION":
        content.left_out["annotations that hang on others"] += 1


def _end(content: _Content, name: str, text: str) -> None:
    if name in _VALUES and text.strip():
        # In the vocabularies of this file and of all.
        label = content.memory.keep_label(text.strip(), MARKED_CLASS + 2 * PLACE)
        content.vocabulary[label] = None
    elif name == "ANNOTATION_VALUE" and content.ends is not None:
        first, last = (content.slots[slot] for slot in content.ends)
        content.ends = None
        if content.chosen not in (None, content.tier):
            content.left_out["annotations of other tiers"] += 1
        elif first is None or last is None:
            content.left_out["annotations that are not aligned"] += 1
        else:
            start, end = (first + content.offset) / 1000, (last + content.offset) / 1000
            label = content.memory.keep_label(text.strip() or content.tier, MARKED_CLASS)
            content.memory.keep(MARKED)
            content.intervals.append(Marked(start, end, label))
