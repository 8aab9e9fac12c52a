"""VIA 3 (VGG Image Annotator): a project of videos with temporal segments.

    {"project": {"vid_list": ["1"], …}, "config": {…},
     "attribute": {"1": {"aname": "action", "anchor_id": "FILE1_Z2_XY0", "type": 4,
                         "options": {"Diving": "Diving"}, …}},
     "file": {"1": {"fid": "1", "fname": "v1.mp4", "type": 4, "loc": 1, "src": ""}},
     "view": {"1": {"fid_list": ["1"]}},
     "metadata": {"1_mR8ks-Aa": {"vid": "1", "flg": 0, "z": [7.2, 11.6], "xy": [],
                                 "av": {"1": "Diving"}}}}

A metadata entry with two times `z` and no shape `xy` is a segment in seconds; its label is the
value `av` of an attribute of temporal segments (anchor `FILE1_Z2_XY0`): a key of the attribute's
options, or text. One without times has values of attributes of files (anchor `FILE1_Z0_XY0`).
https://gitlab.com/vgg/via/-/blob/master/via-3.x.y/CodeDoc.md
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any

from duetal.core.annotations import Annotations
from duetal.core.errors import Report, UsageError, raise_error, unknown
from duetal.core.files import write_json
from duetal.core.video_names import video_name
from duetal.formats.json_values import a_list, a_string, an_object, drained, finite
from duetal.formats.marked import Content, Marked, MarkedVideo, Reading, marked
from duetal.formats.media import media_place
from duetal.formats.options import DEFAULT_OPTIONS, FormatOptions

#: Of segments, and of points in time.
_TIME_ANCHORS = ("FILE1_Z2_XY0", "FILE1_Z1_XY0")
_FILE_ANCHORS = ("FILE1_Z0_XY0", "FILEN_Z0_XY0")
_OTHER_ATTRIBUTES = "attributes of other things than segments"
_OTHER_REMARKS = "regions and remarks on files"
_CHECKBOX, _SELECT = 2, 4
_VIDEO = 4
_LOCAL, _HTTP, _FILE = 1, 2, 3
_DELETED = 1
_PARTS = ("attribute", "file", "view", "metadata")


@dataclass
class _Attribute:
    name: str
    options: dict[str, str]
    kind: Any
    #: Whether it is about whole files, not about segments of them.
    of_files: bool


@dataclass
class _ViaProject:
    """What was read of a project: names of files, files of views, segments of views."""

    attributes: dict[str, _Attribute] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    views: dict[str, list[str]] = field(default_factory=dict)
    segments: dict[str, list[tuple[float, float, dict[str, Any]]]] = field(default_factory=dict)
    #: The values of attributes of files, by view.
    remarks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def read_annotations(
    path: Path, *, options: FormatOptions = DEFAULT_OPTIONS, report: Report = raise_error
) -> Annotations:
    """Read a project's temporal segments; regions and the like are left out.

    A point in time is a segment of no length.

    Where there are no segments, the values of an attribute of files are the labels of videos whose
    segments are unknown. The option `tier` names the attribute that holds the labels, where several
    are in use, or that of files where there are segments, too: a class without any then occurs at
    times that are unknown.

    Raises:
        DuetalError: not JSON or not of this form; names the part at fault.
        UsageError: several attributes may hold the labels, or there is none of the name given.
    """
    reading = Reading(path, report, options)
    project = _ViaProject()
    _, *parts = reading.objects("a VIA 3 project", *_PARTS)
    for part, members in zip(_PARTS, parts, strict=True):
        for key, value in drained(members):
            with reading.going_on(f"{part} {key!r}"):
                _add(project, part, key, an_object(value), reading.left_out)
    chosen, of_files = _label_attributes(project, path, options.tier)
    others = sum(one.of_files for key, one in project.attributes.items() if key != of_files)
    reading.left_out[_OTHER_ATTRIBUTES] += others
    for view, files in project.views.items():
        with reading.going_on(f"view {view!r}"):
            video = _video(view, files, project, chosen, reading.left_out)
            labels = _labels_of_file(view, project, of_files, reading.left_out)
            if not video.intervals and labels is None:
                reading.left_out["videos without labels"] += 1
                continue
            video.say(labels or [], reading.left_out)
            if video.name in reading.videos:
                raise ValueError(f"{video.name!r} is in two views")
            reading.add(video)
    reading.left_out["segments of no view"] += sum(map(len, project.segments.values()))
    for key in filter(None, (chosen, of_files)):
        reading.classes += project.attributes[key].options.values()
    return reading.partial_annotations()


def write(path: Path, content: Content, *, options: FormatOptions = DEFAULT_OPTIONS) -> None:
    """Write a project, atomically: a view per video, and a list of the classes to choose from.

    The scores of detections have no place. The options `media_root` and `media_suffix` give where
    VIA finds the videos; without a root it asks for each file, by name.

    Raises:
        DuetalError: a number that is not finite, or the file can't be written.
    """
    files: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    root = options.media_root
    location = _LOCAL if not root else _HTTP if root.startswith("http") else _FILE
    for number, video in enumerate(marked(content), start=1):
        place = media_place(video.name, options, path)
        name = f"{video.name}{options.media_suffix}"
        files[str(number)] = {
            "fid": str(number),
            "fname": name if location == _LOCAL else place,
            "type": _VIDEO,
            "loc": location,
            "src": "" if location == _LOCAL else place,
        }
        for index, one in enumerate(video.intervals or ()):
            about = {"vid": str(number), "flg": 0, "av": {"1": one.label}}
            metadata[f"{number}_{index:08}"] = {**about, "z": [one.start, one.end], "xy": []}
    attribute = {
        "aname": "action",
        "anchor_id": _TIME_ANCHORS[0],
        "type": _SELECT,
        "desc": "",
        "options": {label: label for label in content.classes},
        "default_option_id": "",
    }
    document = {
        "project": _PROJECT | {"pname": path.stem, "vid_list": list(files)},
        "config": _CONFIG,
        "attribute": {"1": attribute},
        "file": files,
        "metadata": metadata,
        "view": {number: {"fid_list": [number]} for number in files},
    }
    write_json(path, document, indent=None)


#: The identifiers in underscores mark the project as unknown to any server.
_PROJECT: dict[str, Any] = {
    "pid": "__VIA_PROJECT_ID__",
    "rev": "__VIA_PROJECT_REV_ID__",
    "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
    "creator": "duetal",
    "created": 0,
    "data_format_version": "3.1.1",
}
_CONFIG = {
    "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
    "ui": {
        "file_content_align": "center",
        "file_metadata_editor_visible": True,
        "spatial_metadata_editor_visible": False,
        "temporal_segment_metadata_editor_visible": True,
        "spatial_region_label_attribute_id": "",
        "gtimeline_visible_row_count": "4",
    },
}


def _add(
    project: _ViaProject, part: str, key: str, value: dict[str, Any], left_out: Counter[str]
) -> None:
    """Take what is needed of one member of a project's part."""
    if part == "file":
        place = value.get("fname") or value.get("src")
        project.files[key] = video_name(a_string(place, "'fname'"))
    elif part == "view":
        project.views[key] = [str(one) for one in a_list(value["fid_list"], "'fid_list'")]
    elif part == "attribute" and value.get("anchor_id") in (*_TIME_ANCHORS, *_FILE_ANCHORS):
        listed = an_object(value.get("options") or {}, "'options'")
        options = {option: a_string(label, "an option") for option, label in listed.items()}
        project.attributes[key] = _Attribute(
            a_string(value["aname"], "'aname'"),
            options,
            value.get("type"),
            value["anchor_id"] in _FILE_ANCHORS,
        )
    elif part == "attribute":
        left_out[_OTHER_ATTRIBUTES] += 1
    elif part == "metadata" and value.get("flg") != _DELETED:
        times = a_list(value.get("z", []), "'z'")
        shape = a_list(value.get("xy", []), "'xy'")
        if shape or len(times) > 2:
            left_out[_OTHER_REMARKS] += 1
            return
        view, values = str(value["vid"]), an_object(value.get("av", {}), "'av'")
        if times:
            one = (finite(times[0]), finite(times[-1]), values)
            project.segments.setdefault(view, []).append(one)
        else:
            project.remarks.setdefault(view, []).append(values)


def _label_attributes(
    project: _ViaProject, path: Path, tier: str | None
) -> tuple[str | None, str | None]:
    """The keys of the attributes that hold the labels, of segments and of files, if any does."""
    attributes = project.attributes
    given = next((key for key in attributes if tier in (key, attributes[key].name)), None)
    if tier is not None and given is None:
        names = (attribute.name for attribute in attributes.values())
        raise UsageError(unknown("attribute", tier, names), file=path)
    if given is not None and not attributes[given].of_files:
        return given, None
    values = (one[2] for one in chain.from_iterable(project.segments.values()))
    chosen = _only_attribute(project, values, path, of_files=False)
    if given is None and not project.segments:
        remarks = chain.from_iterable(project.remarks.values())
        given = _only_attribute(project, remarks, path, of_files=True)
    return chosen, given


def _only_attribute(
    project: _ViaProject, marked: Iterable[dict[str, Any]], path: Path, *, of_files: bool
) -> str | None:
    """The key of the only attribute of segments, or of files, that is used or there."""
    attributes = project.attributes.items()
    names = {key: attribute.name for key, attribute in attributes if attribute.of_files is of_files}
    used = {key for values in marked for key in values if key in names}
    candidates = used or (set() if of_files else names.keys())
    if len(candidates) > 1:
        listed = ", ".join(repr(names[key]) for key in sorted(candidates))
        cause = f"which attribute holds the labels: {listed}? (--tier)"
        raise UsageError(cause, file=path)
    return next(iter(candidates), None)


def _video(
    view: str, files: list[str], project: _ViaProject, chosen: str | None, left_out: Counter[str]
) -> MarkedVideo:
    if not files:
        raise ValueError("has no file")
    name = project.files[files[0]]
    left_out["further files of a view"] += len(files) - 1
    intervals: list[Marked] = []
    for start, end, values in project.segments.pop(view, []):
        labels = _labels(values, chosen, project)
        intervals += (Marked(start, end, intern(label)) for label in labels)
        left_out["segments without a label"] += not labels
        left_out["values of other attributes"] += len(values) - (chosen in values)
    return MarkedVideo(name, intervals)


def _labels_of_file(
    view: str, project: _ViaProject, chosen: str | None, left_out: Counter[str]
) -> list[str] | None:
    """The labels of a view's file; None where nobody has said anything of it."""
    remarks = project.remarks.pop(view, [])
    if chosen is None:
        left_out[_OTHER_REMARKS] += len(remarks)
        return []
    left_out["values of other attributes"] += sum(len({*one} - {chosen}) for one in remarks)
    said = [one for one in remarks if chosen in one]
    labels = chain.from_iterable(_labels(one, chosen, project) for one in said)
    return list(dict.fromkeys(map(intern, labels))) if said else None


def _labels(values: dict[str, Any], chosen: str | None, project: _ViaProject) -> list[str]:
    value = values.get(chosen) if chosen is not None else None
    if chosen is None or value is None or value == "":
        return []
    attribute = project.attributes[chosen]
    picked = a_string(value, "'av'")
    several = attribute.kind == _CHECKBOX and picked not in attribute.options
    keys = dict.fromkeys(picked.split(",") if several else [picked])
    return [attribute.options.get(key, key) for key in keys]
