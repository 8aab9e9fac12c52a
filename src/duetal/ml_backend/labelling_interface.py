"""A project's labelling interface: its video, its frame rate, and the controls that hold labels.

    <View>
      <Video name="video" value="$video" frameRate="$fps"/>
      <TimelineLabels name="timelineLabels" toName="video"><Label value="Diving"/></TimelineLabels>
      <Choices name="kind" toName="video" choice="multiple"><Choice value="Diving"/></Choices>
    </View>

Label Studio counts the frames of a region at the rate of its interface, and not at the video's own.
The rate is a number, or a key of the task's data; where there is none, it is 24.
https://labelstud.io/tags/video, https://labelstud.io/tags/timelinelabels
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.xmlreader import AttributesImpl

from duetal.core.errors import DuetalError, unknown
from duetal.core.video_names import composed
from duetal.formats.xml_reading import XmlReader, read_xml_text

#: What error messages call the interface.
SOURCE = "labelling interface"
#: Frames per second where the interface, or the task, gives none.
USUAL_RATE = 24.0
#: Characters of the largest interface that is read.
_MOST = 2**20
#: Labels that are named of those that don't fit.
_NAMED = 5
#: The tags that hold labels, and those of each label.
_CONTROLS = {"TimelineLabels": "Label", "Choices": "Choice"}


@dataclass(frozen=True)
class Control:
    """A control whose labels are classes."""

    name: str
    to_name: str
    labels: tuple[str, ...]  #: Those that are classes of the run.
    several: bool = True  #: Whether several may be chosen.


@dataclass(frozen=True)
class LabellingInterface:
    """What of an interface a run can fill in."""

    #: The keys of the task's data that hold the video and, if so, the frame rate.
    video: str
    rate: float | str
    timeline: Control | None
    choices: Control | None
    #: What does not fit the run, one line each.
    notes: tuple[str, ...] = ()

    def rate_of(self, data: Mapping[str, Any]) -> float:
        """Frames per second in the results of a task with this data."""
        if not isinstance(self.rate, str):
            return self.rate
        return _rate(data.get(self.rate)) or USUAL_RATE


def read_interface(text: str, classes: Sequence[str]) -> LabellingInterface:
    """Read an interface, for a run of these classes.

    Raises:
        DuetalError: not XML, or with a document type; no video, no control of it that has labels,
            or none of the labels is a class.
    """
    if len(text) > _MOST:
        raise DuetalError(f"is too large: {len(text):,} characters", file=SOURCE)
    read = read_xml_text(text, _Reader(), SOURCE)
    videos = {tag.attrs.get("name", ""): tag for tag in read.videos}
    if not videos:
        raise DuetalError("has no <Video> tag: duetal finds actions in videos", file=SOURCE)
    notes: list[str] = []
    found = {kind: _control(read.tags, kind, videos, classes, notes) for kind in _CONTROLS}
    timeline, choices = found["TimelineLabels"], found["Choices"]
    first = timeline or choices
    if first is None:
        cause = "has neither <TimelineLabels> nor <Choices> for its <Video>"
        raise DuetalError(cause, file=SOURCE)
    if timeline and choices and timeline.to_name != choices.to_name:
        notes.append(f"<Choices name={choices.name!r}> is of another <Video>, so left alone")
        choices = None
    if not any(control and control.labels for control in (timeline, choices)):
        known = ", ".join(map(repr, classes[:5]))
        raise DuetalError(f"none of its labels is a class of the run ({known}, …)", file=SOURCE)
    video = videos[first.to_name].attrs
    value, given = video.get("value", ""), video.get("frameRate", str(USUAL_RATE))
    rate: float | str | None = given[1:] if given[:1] == "$" else _rate(given)
    if not value.startswith("$") or not rate:
        wrong = f"value={value!r}" if rate else f"frameRate={given!r}"
        raise DuetalError(f"<Video {wrong:.80}> is not understood", file=SOURCE)
    return LabellingInterface(value[1:], rate, timeline, choices, tuple(notes))


@dataclass
class _Tag:
    kind: str
    attrs: dict[str, str]
    #: Its labels as results have them.
    labels: list[str] = field(default_factory=list)


class _Reader(XmlReader):
    def __init__(self) -> None:
        super().__init__("View", "Label Studio's form")
        self.videos: list[_Tag] = []
        self.tags: list[_Tag] = []
        self._open: list[_Tag] = []

    def begin(self, name: str, attrs: AttributesImpl) -> None:
        about = {key: str(attrs[key]) for key in attrs.getNames()}
        if name == "Video":
            self.videos.append(_Tag(name, about))
        elif name in _CONTROLS:
            self._open.append(_Tag(name, about))
            self.tags.append(self._open[-1])
        elif self._open and name == _CONTROLS[self._open[-1].kind]:
            label = about.get("alias") or about.get("value")
            if label:
                self._open[-1].labels.append(composed(label))

    def end(self, name: str, text: str) -> None:
        if name in _CONTROLS:
            self._open.pop()


def _control(
    tags: Sequence[_Tag],
    kind: str,
    videos: Mapping[str, _Tag],
    classes: Sequence[str],
    notes: list[str],
) -> Control | None:
    """The control of a kind that has the most of the classes; notes tell what does not fit."""
    own = [
        tag
        for tag in tags
        if tag.kind == kind
        and tag.attrs.get("toName") in videos
        and tag.attrs.get("perRegion", "false").lower() != "true"
    ]
    if not own:
        return None
    best = max(own, key=lambda tag: len({*tag.labels} & {*classes}))
    called = f"<{kind} name={best.attrs.get('name', '')!r}>"
    notes += [f"{called} is used, and {len(own) - 1} more left alone"] if len(own) > 1 else []
    foreign = [label for label in dict.fromkeys(best.labels) if label not in classes]
    for label in foreign[:_NAMED]:
        notes.append(f"{called}: {unknown('class', label[:80], classes)}; it is not predicted")
    if len(foreign) > _NAMED:
        notes.append(f"{called}: {len(foreign) - _NAMED:,} more labels are no classes of the run")
    if lacking := [name for name in classes if name not in best.labels]:
        named = ", ".join(map(repr, lacking[:_NAMED])) + (", …" if len(lacking) > _NAMED else "")
        notes.append(f"{called} has no label for {len(lacking):,} classes of the run: {named}")
    several = kind != "Choices" or best.attrs.get("choice", "single") == "multiple"
    known = tuple(label for label in best.labels if label in classes)
    return Control(best.attrs.get("name", ""), best.attrs["toName"], known, several)


def _rate(given: Any) -> float | None:
    """A frame rate; below 1 it is the seconds of a frame. None where it is none."""
    try:
        rate = float(given)
    except (TypeError, ValueError):
        return None
    rate = 1 / rate if 0 < rate < 1 else rate
    return rate if math.isfinite(rate) and 1 <= rate < 1e6 else None
