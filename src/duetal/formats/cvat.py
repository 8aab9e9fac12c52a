"""CVAT: tracks of objects, and labels of single pictures of a video, in its own XML.

    <annotations><version>1.1</version>
      <meta><task><id>3</id><source>v1.mp4</source>
        <frame_filter>step=5</frame_filter><labels><label><name>run</name>…</task></meta>
      <track id="0" label="run">
        <box frame="75" outside="0" …><attribute name="action">run</attribute></box> …
        <box frame="185" outside="1" …/></track>
      <image id="75" name="frame_000075"><tag label="run"/><box label="ball" …/></image>

A track ("CVAT for video 1.1") is there from the first shape that is not `outside` until one that is
or, without one, until its last picture ends. In "CVAT for images 1.1" pictures have labels; those
that follow each other with the same one are a segment, and a single one is a moment. The video's
own pictures are counted, from 0, so that seconds need its rate, and when its first one is shown.
https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from xml.sax.xmlreader import AttributesImpl

from duetal.core.annotations import Annotations
from duetal.core.errors import DuetalError, Report, raise_error, reporting
from duetal.core.video_names import is_media, video_name
from duetal.formats.marked import Marked, MarkedVideo, Reading
from duetal.formats.media import files_per_video
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions
from duetal.formats.xml_reading import XmlReader, read_xml

SUFFIX = ".xml"
_SHAPES = frozenset(
    {"box", "polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton"}
)
_UNITS = ("task", "job")
_STEP = re.compile(r"step\s*=\s*([0-9]{1,9})")
_PICTURE = re.compile(r"frame_([0-9]{1,9})(?:\.[a-z]+)?$", re.IGNORECASE)
#: The value of an attribute that nobody has set.
_UNSET = ("", "__undefined__")


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read an export "CVAT for video" or "CVAT for images", or each `.xml` in a folder.

    A video's name is that of the task's source or, without one, the task's. The option `videos`
    or `fps` is needed. With the option `tier`, an attribute's value is the label, not that of track
    or picture.

    Raises:
        DuetalError: no such file; not well-formed, with a document type, nested too deeply, or not
            of this form; named by file and line.
        UsageError: the frame rate of a video was not given.
    """
    reading = Reading(path, report, options)
    for file, called in files_per_video(path, SUFFIX):
        with reporting(report):
            content = read_xml(file, _CvatReader(options.tier))
            reading.left_out += content.left_out
            reading.classes += content.classes
            for task in content.tasks.values():
                name = video_name(task.source or task.name or called)
                if name in reading.videos:
                    raise DuetalError(f"{name!r} is annotated twice", file=file)
                reading.add(MarkedVideo(name, list(_intervals(name, task, reading))))
    return reading.annotations()


@dataclass
class _Task:
    name: str = ""
    source: str = ""
    #: Frames from one picture of the task to the next.
    step: int = 1
    #: First frame, the frame after the last, and label.
    spans: list[tuple[int, int, str]] = field(default_factory=list)
    #: The frames of the pictures that have a label.
    pictures: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


def _intervals(name: str, task: _Task, reading: Reading) -> Iterator[Marked]:
    spans = [*task.spans]
    for label, frames in task.pictures.items():
        listed = sorted(frames)
        begin = 0
        for index, frame in enumerate(listed, start=1):
            if index == len(listed) or listed[index] != frame + task.step:
                spans.append((listed[begin], frame + task.step, label))
                begin = index
    first: float
    end: float
    for first, end, label in sorted(spans):
        rate, offset = reading.options.required_clock(name, reading.path)
        if end - first == task.step:
            # A single picture is a moment.
            first = end = (first + end) / 2
        yield Marked(first / rate + offset, end / rate + offset, label)


class _CvatReader(XmlReader):
    def __init__(self, attribute: str | None):
        super().__init__("annotations", "CVAT's form")
        self.tasks: dict[str, _Task] = {}
        self.classes: dict[str, None] = {}
        self.left_out: Counter[str] = Counter()
        self._attribute = attribute
        self._path: list[str] = []
        self._task = _Task()
        self._about: dict[str, str] = {}
        #: The label of the track or of a thing in a picture, and of the shape that is being read.
        self._label = ""
        self._key = ""
        self._frame = 0
        self._outside = False
        self._shape_label: str | None = None
        #: Of the track: each shape's frame, with its label where it is not outside.
        self._shapes: list[tuple[int, str]] = []

    def begin(self, name: str, attrs: AttributesImpl) -> None:
        """Take what is needed of an element's attributes."""
        self._path.append(name)
        if name == "attribute":
            self._key = attrs.get("name", "")
        elif name in _UNITS and "meta" in self._path:
            self._about = {}
        elif name == "track":
            self._task = self._task_of(attrs)
            self._label = intern(attrs["label"])
            self._shapes = []
        elif name == "image":
            self._task = self._task_of(attrs)
            found = _PICTURE.search(attrs.get("name", ""))
            if not found and not is_media(self._task.source):
                raise ValueError("is of pictures, not of a video")
            self._frame = int(found[1] if found else attrs["id"])
        elif name == "tag" or (name in _SHAPES and self._path[-2] != "skeleton"):
            self._begin_label(attrs)

    def _begin_label(self, attrs: AttributesImpl) -> None:
        if "image" not in self._path:
            self._frame = int(attrs["frame"])
        if "track" not in self._path:
            self._label = intern(attrs["label"])
        self.left_out["positions of shapes"] += self._path[-1] != "tag"
        self._outside = attrs.get("outside", "0") == "1"
        self._shape_label = self._label if self._attribute is None else ""

    def end(self, name: str, text: str) -> None:
        """Take an element's text where it is needed."""
        self._path.pop()
        if self._path[-1:] and self._path[-1] in _UNITS and "meta" in self._path:
            self._about[name] = text
        if name in _UNITS and "meta" in self._path:
            self._end_task()
        elif name == "source" and self._path[-1] == "meta" and len(self.tasks) == 1:
            # Older exports have it beside the task.
            only = next(iter(self.tasks.values()))
            only.source = only.source or text
        elif name == "name" and self._path[-1:] == ["label"] and self._attribute is None:
            self.classes[intern(text)] = None
        elif name == "attribute" and self._shape_label is not None:
            if self._key == self._attribute:
                self._shape_label = "" if text in _UNSET else intern(text)
            elif text not in _UNSET:
                self.left_out["values of attributes"] += 1
        elif (name in _SHAPES or name == "tag") and self._shape_label is not None:
            if not (name in _SHAPES and self._path[-1] == "skeleton"):
                self._end_label()
        elif name == "track":
            self._end_track()

    def _end_task(self) -> None:
        about = self._about
        step = _STEP.search(about.get("frame_filter", ""))
        task = _Task(about.get("name", ""), about.get("source", ""), int(step[1]) if step else 1)
        self.tasks[about.get("id", "")] = task

    def _task_of(self, attrs: AttributesImpl) -> _Task:
        """The task of a track or picture: the one that it names, or the only one."""
        key = attrs.get("task_id")
        if key in self.tasks:
            return self.tasks[key]
        if len(self.tasks) > 1:
            raise ValueError("does not say of which task it is")
        return next(iter(self.tasks.values()), None) or self.tasks.setdefault("", _Task())

    def _end_label(self) -> None:
        label, self._shape_label = self._shape_label or "", None
        if "track" in self._path:
            self._shapes.append((self._frame, "" if self._outside else label))
        elif label:
            self._task.pictures[label].add(self._frame)

    def _end_track(self) -> None:
        """Make segments of the shapes of a track: each from a label until another, or none."""
        shapes = sorted(self._shapes, key=lambda shape: shape[0])
        start, current = 0, ""
        for frame, label in [*shapes, *((f + self._task.step, "") for f, _ in shapes[-1:])]:
            if label == current:
                continue
            if current:
                self._task.spans.append((start, frame, current))
            start, current = frame, label
