"""Writing ELAN's XML: one video as an annotation document of format 3.0."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from duetal.core.errors import DuetalError
from duetal.formats.marked import Marked, MarkedVideo
from duetal.formats.media import media_place
from duetal.formats.options import FormatOptions

_ROOT = (
    '<ANNOTATION_DOCUMENT AUTHOR="duetal" DATE="1970-01-01T00:00:00+00:00" FORMAT="3.0" '
    'VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
)
_TYPE = (
    '  <LINGUISTIC_TYPE CONTROLLED_VOCABULARY_REF="actions" GRAPHIC_REFERENCES="false" '
    'LINGUISTIC_TYPE_ID="action" TIME_ALIGNABLE="true"/>'
)
_LANGUAGE = (
    '  <LANGUAGE LANG_DEF="http://cdb.iso.org/lg/CDB-00130975-001" LANG_ID="und" '
    'LANG_LABEL="undetermined (und)"/>'
)
_MIME_TYPES = {".mp4": "video/mp4", ".wav": "audio/x-wav", ".mpg": "video/mpeg"}
#: What XML 1.0 has no way to say.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(video: MarkedVideo, classes: Sequence[str], options: FormatOptions, path: Path) -> str:
    """The text of a video's `.eaf`.

    Args:
        video: in seconds; ELAN's time line begins at 0 and has whole milliseconds.
        classes: the vocabulary for the labels.
        options: where ELAN finds the video.
        path: where the text goes, for the error message.

    Raises:
        DuetalError: the video's name or a class has a character that XML can't hold.
    """
    for text in (video.name, *classes):
        if _IMPOSSIBLE.search(text):
            cause = f"cannot write: {text!r} has a character that XML can't hold"
            raise DuetalError(cause, file=path)
    slots: list[int] = []
    tiers = "\n".join(_tiers(video.intervals or (), slots))
    time_order = "\n".join(
        f'    <TIME_SLOT TIME_SLOT_ID="ts{number}" TIME_VALUE="{time}"/>'
        for time, number in sorted((time, number) for number, time in enumerate(slots, start=1))
    )
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            _ROOT,
            *_header(video.name, options, path),
            f"  <TIME_ORDER>\n{time_order}\n  </TIME_ORDER>",
            *([tiers] if tiers else []),
            _TYPE,
            _LANGUAGE,
            *_vocabulary(classes),
            "</ANNOTATION_DOCUMENT>\n",
        ]
    )


def _header(name: str, options: FormatOptions, path: Path) -> Iterator[str]:
    place = media_place(name, options, path)
    relative = "" if options.media_root else f" RELATIVE_MEDIA_URL={quoteattr(f'./{place}')}"
    mime_type = _MIME_TYPES.get(options.media_suffix.lower(), "unknown")
    yield '  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">'
    yield (
        f"    <MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(place)} "
        f"MIME_TYPE={quoteattr(mime_type)}"
        f"{relative}/>"
    )
    yield "  </HEADER>"


def _tiers(intervals: Iterable[Marked], slots: list[int]) -> Iterator[str]:
    """A tier per class, more where its intervals overlap; each interval adds two time slots."""
    by_label: dict[str, list[Marked]] = {}
    for one in intervals:
        by_label.setdefault(one.label, []).append(one)
    names: set[str] = set()
    numbers = count(1)
    for label, marked in by_label.items():
        for index, lane in enumerate(_lanes(marked), start=1):
            name = label if index == 1 else f"{label} ({index})"
            while name in names:
                name += "'"
            names.add(name)
            yield f'  <TIER LINGUISTIC_TYPE_REF="action" TIER_ID={quoteattr(name)}>'
            for start, end in lane:
                slots += (start, end)
                yield _annotation(f"a{next(numbers)}", len(slots), label)
            yield "  </TIER>"


def _lanes(intervals: Iterable[Marked]) -> list[list[tuple[int, int]]]:
    """Milliseconds of intervals, by start, on as few tiers as hold them without overlap."""
    lanes: list[list[tuple[int, int]]] = []
    for start, end in sorted(
        (_milliseconds(one.start), _milliseconds(one.end)) for one in intervals
    ):
        lane = next((lane for lane in lanes if lane[-1][1] <= start), None)
        if lane is None:
            lane = []
            lanes.append(lane)
        lane.append((start, max(end, start + 1)))
    return lanes


def _milliseconds(seconds: float) -> int:
    return max(0, round(1000 * seconds))


def _annotation(identifier: str, slot: int, label: str) -> str:
    return (
        "    <ANNOTATION>\n"
        f'      <ALIGNABLE_ANNOTATION ANNOTATION_ID="{identifier}" '
        f'TIME_SLOT_REF1="ts{slot - 1}" TIME_SLOT_REF2="ts{slot}">\n'
        f"        <ANNOTATION_VALUE>{escape(label)}</ANNOTATION_VALUE>\n"
        "      </ALIGNABLE_ANNOTATION>\n"
        "    </ANNOTATION>"
    )


def _vocabulary(classes: Iterable[str]) -> Iterator[str]:
    yield '  <CONTROLLED_VOCABULARY CV_ID="actions">'
    yield '    <DESCRIPTION LANG_REF="und"/>'
    for number, label in enumerate(classes):
        yield f'    <CV_ENTRY_ML CVE_ID="c{number}">'
        yield f'      <CVE_VALUE LANG_REF="und">{escape(label)}</CVE_VALUE>'
        yield "    </CV_ENTRY_ML>"
    yield "  </CONTROLLED_VOCABULARY>"
