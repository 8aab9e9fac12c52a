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

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from sys import intern
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring
from xml.sax.xmlreader import AttributesImpl

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, UsageError, raise_error, reporting
from duetal.core.files import write_text
from duetal.core.video_names import is_audio, video_name
from duetal.formats.marked import Content, Marked, MarkedVideo, Reading, lanes, of_milliseconds
from duetal.formats.media import file_per_video, files_per_video, media_place
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions
from duetal.formats.xml_reading import XmlReader, read_xml

SUFFIX = ".eaf"
#: Tiers that hang on each other; people have a few.
_DEEPEST = 200
_VALUES = frozenset({"CVE_VALUE", "CV_ENTRY"})
_ROOT = {
    "AUTHOR": "duetal",
    "DATE": "1970-01-01T00:00:00+00:00",
    "FORMAT": "3.0",
    "VERSION": "3.0",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
}
_TYPE = {
    "CONTROLLED_VOCABULARY_REF": "actions",
    "GRAPHIC_REFERENCES": "false",
    "LINGUISTIC_TYPE_ID": "action",
    "TIME_ALIGNABLE": "true",
}
_LANGUAGE = {
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001",
    "LANG_ID": "und",
    "LANG_LABEL": "undetermined (und)",
}
_MIME_TYPES = {".mp4": "video/mp4", ".wav": "audio/x-wav", ".mpg": "video/mpeg"}
#: What the further tiers of a class are called.
_FURTHER = re.compile(r" \([0-9]+\)'*$")
#: The characters that XML 1.0 can't hold.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Aligned(NamedTuple):
    """An annotation with times in milliseconds, where these are known."""

    tier: str
    first: float | None
    last: float | None
    text: str


class _Hanging(NamedTuple):
    """An annotation that has its time from the one above it."""

    tier: str
    above: str
    text: str


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read one `.eaf` file, or each in a folder.

    A video's name is that of its first media file that is no sound, of the video that the sound was
    extracted from, or else of the `.eaf`; times are those of that file. An interval's label is its
    text or, where it has none, that of the annotation associated with it or, where its tier has no
    such, its tier. Left out are other annotations that hang on others, and those that are not
    aligned with the time line. The option `tier` is the only tier to read, with times of its own or
    associated with one that has; default all that have times.

    Raises:
        DuetalError: no such file; not well-formed, with a document type, nested too deeply, or not
            of this form; named by file and line.
        UsageError: the text of several tiers may be the label.
    """
    reading = Reading(path, report, options)
    for file, called in files_per_video(path, SUFFIX):
        with reporting(report):
            content = read_xml(file, _ElanReader(options.tier))
            if options.tier is not None and not content.has_tier:
                content.left_out[f"files without the tier {options.tier!r}"] += 1
            name = content.name or called
            if name in reading.videos:
                raise DuetalError(f"{name!r} is annotated in a file before", file=file)
            reading.add(MarkedVideo(name, content.intervals))
            reading.classes += content.vocabulary
            reading.left_out += content.left_out
    return reading.annotations()


def write(path: Path, content: Content, *, options: FormatOptions = DEFAULT_OPTIONS) -> None:
    """Write a folder of `.eaf` files or, where the path ends in `.eaf`, the only video.

    The classes become the vocabulary that ELAN offers for an interval's text. Times are rounded to
    milliseconds; the scores of detections have no place. The options `media_root` and
    `media_suffix` give where ELAN finds the videos.

    Raises:
        DuetalError: several videos for one file, a name or class with a character that XML can't
            hold, or a file can't be written.
    """
    for place, video in file_per_video(path, SUFFIX, content):
        write_text(place, _document(video, content.classes, options, place))


class _ElanReader(XmlReader):
    def __init__(self, chosen: str | None):
        super().__init__("ANNOTATION_DOCUMENT", "ELAN's form")
        #: Of the video that is annotated.
        self.name: str | None = None
        self.vocabulary: dict[str, None] = {}
        self.intervals: list[Marked] = []
        self.left_out: Counter[str] = Counter()
        self.has_tier = False
        self._chosen = chosen
        self._media: list[AttributesImpl] = []
        self._slots: dict[str, float | None] = {}
        self._tier = ""
        #: The key of the annotation that is being read, and what is known of it.
        self._begun: tuple[str, _Aligned | _Hanging] | None = None
        self._aligned: dict[str, _Aligned] = {}
        self._hanging: dict[str, _Hanging] = {}
        self._type_of_tier: dict[str, str] = {}
        self._associations: set[str] = set()

    def begin(self, name: str, attrs: AttributesImpl) -> None:
        """Take what is needed of an element's attributes."""
        if name == "HEADER" and attrs.get("TIME_UNITS", "milliseconds") != "milliseconds":
            raise ValueError(f"times in {attrs['TIME_UNITS'][:40]!r} instead of milliseconds")
        if name == "MEDIA_DESCRIPTOR":
            self._media.append(attrs.copy())
        elif name == "TIME_SLOT":
            value = attrs.get("TIME_VALUE")
            self._slots[attrs["TIME_SLOT_ID"]] = None if value is None else float(int(value))
        elif name == "TIER":
            self._tier = attrs["TIER_ID"]
            self._type_of_tier[self._tier] = attrs.get("LINGUISTIC_TYPE_REF", "")
            self.left_out["participants of tiers"] += bool(attrs.get("PARTICIPANT"))
            self.has_tier |= self._tier == self._chosen
        elif name in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            # One that no other can hang on needs no identifier.
            key = attrs.get("ANNOTATION_ID") or f" {len(self._aligned) + len(self._hanging)}"
            if name == "REF_ANNOTATION":
                self._begun = key, _Hanging(self._tier, attrs["ANNOTATION_REF"], "")
            else:
                ends = (attrs["TIME_SLOT_REF1"], attrs["TIME_SLOT_REF2"])
                first, last = (self._slots[slot] for slot in ends)
                self._begun = key, _Aligned(self._tier, first, last, "")
        elif name == "LINGUISTIC_TYPE" and attrs.get("CONSTRAINTS") == "Symbolic_Association":
            self._associations.add(attrs["LINGUISTIC_TYPE_ID"])

    def end(self, name: str, text: str) -> None:
        """Take an element's text where it is a label."""
        if name in _VALUES and text:
            self.vocabulary[text] = None
        elif name == "ANNOTATION_VALUE" and self._begun is not None:
            key, one = self._begun
            self._begun = None
            if isinstance(one, _Aligned):
                self._aligned[key] = one._replace(text=intern(text))
            else:
                self._hanging[key] = one._replace(text=intern(text))

    def endDocument(self) -> None:  # noqa: N802
        """Bring together what the file has in several places."""
        offset = self._choose_media()
        labels = self._associated()
        described = {self._aligned[key].tier for key in labels}
        for key, (tier, first, last, text) in self._aligned.items():
            label = labels.get(key) or text
            if self._chosen not in (None, tier) and key not in labels:
                self.left_out["annotations of other tiers"] += 1
            elif first is None or last is None:
                self.left_out["annotations that are not aligned"] += 1
            elif not label and tier in described:
                self.left_out["intervals without a label"] += 1
            else:
                times = of_milliseconds((first + offset) / 1000, (last + offset) / 1000)
                self.intervals.append(Marked(*times, label or self._class_of(tier)))

    def _class_of(self, tier: str) -> str:
        """The class that a tier is of: of "Diving (2)", where further ones lie, "Diving"."""
        base = _FURTHER.sub("", tier)
        return base if base in self.vocabulary and tier not in self.vocabulary else tier

    def _choose_media(self) -> float:
        """Take the video's name; gives by how many milliseconds it begins before the time line."""
        if not self._media:
            return 0.0
        self.left_out["further media files"] += len(self._media) - 1
        chosen = next((one for one in self._media if not _is_sound(one)), self._media[0])
        place = chosen.get("MEDIA_URL") or chosen.get("RELATIVE_MEDIA_URL")
        if _is_sound(chosen):
            place = chosen.get("EXTRACTED_FROM") or place
        self.name = video_name(place) if place else None
        return float(int(chosen.get("TIME_ORIGIN", "0")))

    def _associated(self) -> dict[str, str]:
        """The label of aligned annotations, by their keys, that those associated with them give."""
        labels: dict[str, str] = {}
        tiers: dict[str, str] = {}
        for tier, above, text in self._hanging.values():
            key = self._aligned_above(above) if self._is_association(tier) else None
            wanted = self._chosen == tier
            if self._chosen is None and key is not None:
                wanted = not self._aligned[key].text
            if key is None or not wanted or not text:
                self.left_out["annotations that hang on others"] += 1
                continue
            other = tiers.setdefault(key, tier)
            if other != tier:
                raise UsageError(f"which tier holds the labels: {other!r}, {tier!r}? (--tier)")
            labels[key] = text
        return labels

    def _is_association(self, tier: str) -> bool:
        return self._type_of_tier.get(tier) in self._associations

    def _aligned_above(self, key: str) -> str | None:
        """The aligned annotation that one hangs on, perhaps through others of the same time."""
        for _ in range(_DEEPEST):
            if key in self._aligned:
                return key
            above = self._hanging[key]
            if not self._is_association(above.tier):
                return None
            key = above.above
        raise ValueError(f"the annotation {key[:40]!r} hangs on itself")


def _is_sound(media: AttributesImpl) -> bool:
    place = media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL") or ""
    return media.get("MIME_TYPE", "").startswith("audio/") or is_audio(place)


def _document(
    video: MarkedVideo, classes: Sequence[str], options: FormatOptions, path: Path
) -> str:
    """The text of a video's `.eaf`; `path` is where it goes, for the error message."""
    for text in (video.name, *classes):
        if _IMPOSSIBLE.search(text):
            cause = f"cannot write: {text!r} has a character that XML can't hold"
            raise DuetalError(cause, file=path)
    root = Element("ANNOTATION_DOCUMENT", _ROOT)
    header = SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    place = media_place(video.name, options, path)
    mime_type = _MIME_TYPES.get(options.media_suffix.lower(), "unknown")
    media = SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=place, MIME_TYPE=mime_type)
    if not options.media_root:
        media.set("RELATIVE_MEDIA_URL", f"./{place}")
    time_order = SubElement(root, "TIME_ORDER")
    slots = _add_tiers(root, video.intervals or ())
    for time, number in sorted((time, number) for number, time in enumerate(slots, start=1)):
        slot = {"TIME_SLOT_ID": f"ts{number}", "TIME_VALUE": str(time)}
        SubElement(time_order, "TIME_SLOT", slot)
    SubElement(root, "LINGUISTIC_TYPE", _TYPE)
    SubElement(root, "LANGUAGE", _LANGUAGE)
    vocabulary = SubElement(root, "CONTROLLED_VOCABULARY", CV_ID="actions")
    SubElement(vocabulary, "DESCRIPTION", LANG_REF="und")
    for number, label in enumerate(classes):
        entry = SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=f"c{number}")
        SubElement(entry, "CVE_VALUE", LANG_REF="und").text = label
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _add_tiers(root: Element, intervals: Iterable[Marked]) -> list[int]:
    """Add a tier per class, more where its intervals overlap; gives the times of the slots."""
    by_label: defaultdict[str, list[Marked]] = defaultdict(list)
    for one in intervals:
        by_label[one.label].append(one)
    slots: list[int] = []
    names: set[str] = set()
    for label, intervals_of_label in by_label.items():
        for index, lane in enumerate(lanes(intervals_of_label), start=1):
            name = label if index == 1 else f"{label} ({index})"
            while name in names:
                name += "'"
            names.add(name)
            tier = SubElement(root, "TIER", LINGUISTIC_TYPE_REF="action", TIER_ID=name)
            for start, end in lane:
                slots += (start, end)
                number = len(slots)
                about = {
                    "ANNOTATION_ID": f"a{number // 2}",
                    "TIME_SLOT_REF1": f"ts{number - 1}",
                    "TIME_SLOT_REF2": f"ts{number}",
                }
                annotation = SubElement(tier, "ANNOTATION")
                aligned = SubElement(annotation, "ALIGNABLE_ANNOTATION", about)
                SubElement(aligned, "ANNOTATION_VALUE").text = label
    return slots
