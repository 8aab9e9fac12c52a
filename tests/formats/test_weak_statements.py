"""What a person says of a moment, or of a video as a whole, in each form that can say it.

A moment inside of an action is a segment of no length. A label of the whole video leaves its
segments unknown (None); a video that was looked through, and in which nothing happens, has none.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from duetal.core.annotations import Annotations, KnownStretches, Segment, VideoAnnotation
from duetal.core.errors import UsageError
from duetal.formats import read_annotations
from duetal.formats.forms import FORMS, Format
from duetal.formats.options import FormatOptions

CVAT = (
    '<annotations><meta><task><id>1</id><source>v.mp4</source></task></meta><image id="0" '
    'name="frame_000075"><tag label="A"/></image></annotations>'
)
ELAN = (
    '<ANNOTATION_DOCUMENT><HEADER/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="3020"/>'
    '<TIME_SLOT TIME_SLOT_ID="b" TIME_VALUE="3021"/></TIME_ORDER><TIER TIER_ID="A"><ANNOTATION>'
    '<ALIGNABLE_ANNOTATION TIME_SLOT_REF1="a" TIME_SLOT_REF2="b"><ANNOTATION_VALUE>A'
    "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
)


def boris(kind: str, *times: float, action: str = "") -> dict[str, Any]:
    observation = {
        "type": "MEDIA",
        "file": {"1": ["v.mp4"]},
        "events": [[time, "", "A", "", ""] for time in times],
        "independent_variables": {"action": action},
    }
    return {
        "behaviors_conf": {"0": {"type": kind, "code": "A"}},
        "independent_variables": {"0": {"label": "action", "type": "text"}},
        "observations": {"o": observation},
    }


def tasks(*results: dict[str, Any]) -> list[Any]:
    return [{"data": {"video": "v.mp4", "fps": 25}, "annotations": [{"result": list(results)}]}]


def chosen(kind: str, *values: Any) -> dict[str, Any]:
    return {"type": kind, "from_name": "c", "to_name": "video", "value": {kind: [*values]}}


TIMELINE = {"ranges": [{"start": 76, "end": 76}], "timelinelabels": ["A"]}


def via(anchor: str, **said: Any) -> dict[str, Any]:
    attribute = {"aname": "action", "anchor_id": anchor, "type": 2, "options": {"a": "A", "b": "B"}}
    return {
        "project": {},
        "attribute": {"1": attribute},
        "file": {"1": {"fname": "v.mp4"}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {"1_x": {"vid": "1", "flg": 0, "z": [], "xy": [], **said}},
    }


def via_with_both() -> dict[str, Any]:
    project = via("FILE1_Z2_XY0", z=[1, 2], av={"1": "a"})
    project["attribute"]["2"] = {**project["attribute"]["1"], "aname": "kinds"}
    project["attribute"]["2"]["anchor_id"] = "FILE1_Z0_XY0"
    project["metadata"]["1_y"] = {"vid": "1", "flg": 0, "z": [], "xy": [], "av": {"2": "a,b"}}
    return project


def labels(*entries: Any) -> dict[str, Any]:
    return {"classes": None, "labels": {"v": [*entries]}}


def samples(field: dict[str, Any]) -> dict[str, Any]:
    return {"samples": [{"filepath": "v.mp4", "metadata": {"frame_rate": 25}, "x": field}]}


def classes(*names: str) -> dict[str, Any]:
    listed = [{"_cls": "Classification", "label": name} for name in names]
    return {"_cls": "Classifications", "classifications": listed}


MOMENT = {"label": "A", "support": [76, 76]}
FOUND = {"_cls": "TemporalDetections", "detections": [MOMENT]}
MADE_UP = {"database": {"v": {"annotations": [{"label": "A", "segment": [3.02, 3.02]}]}}}
HEADER = "video,subset,duration,label,start,end\n"

#: By form: a file of `v` in which a person said it, and the option `tier`.
POINTS: list[tuple[str, Any, str | None]] = [
    ("a.json", MADE_UP, None),
    ("a.csv", f"{HEADER}v,,,A,3.02,3.02\n", None),
    ("a.boris", boris("Point event", 3.02), None),
    ("a.boris", boris("State event", 3.02, 3.021), None),
    ("a.xml", CVAT, None),
    ("v.eaf", ELAN, None),
    ("labels.json", labels(MOMENT), None),
    ("labels.json", labels({"label": "A", "timestamps": [3.02, 3.02]}), None),
    ("samples.json", samples(FOUND), None),
    ("a.json", tasks({"type": "timelinelabels", "from_name": "t", "value": TIMELINE}), None),
    ("a.tsv", "filename\tonset\toffset\tevent_label\nv.mp4\t3.02\t3.02\tA\n", None),
    ("a.json", via("FILE1_Z1_XY0", z=[3.02], av={"1": "a"}), None),
    ("a.json", via("FILE1_Z2_XY0", z=[3.02, 3.02], av={"1": "a"}), None),
    ("v.vtt", "WEBVTT\n\n00:03.020 --> 00:03.021\nA\n", None),
]  # fmt: skip
#: The same of `v` as a whole: A and B happen in it, or nothing.
LABELS: list[tuple[str, Any, Any, str | None]] = [
    (
        "a.json",
        {"database": {"v": {"annotations": [{"label": "A"}, {"label": "B"}]}}},
        {"database": {"v": {"annotations": []}}},
        None,
    ),
    ("a.csv", f"{HEADER}v,,,A,,\nv,,,B,,\n", f"{HEADER}v,,9.0,,,\n", None),
    ("a.boris", boris("State event", action="A, B"), boris("State event"), "action"),
    ("samples.json", samples(classes("A", "B")), samples(classes()), None),
    ("samples.json", samples(classes("A", "B")), samples({**FOUND, "detections": []}), None),
    ("a.json", tasks(chosen("choices", "A", "B")), tasks(chosen("choices")), None),
    ("a.json", tasks(chosen("taxonomy", ["x", "A"], ["x", "B"])), tasks(), None),
    ("a.json", via("FILE1_Z0_XY0", av={"1": "a,b"}), via("FILE1_Z0_XY0", av={"1": ""}), None),
    (
        "a.tsv",
        "filename\tevent_labels\nv.mp4\tA,B\n",
        "filename\tevent_labels\nv.mp4\t\n",
        None,
    ),
]


def read(folder: Path, name: str, said: Any, tier: str | None = None) -> VideoAnnotation:
    """The only video of a file."""
    path = folder / name
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    (video,) = read_annotations(path, options=FormatOptions(fps=25, tier=tier))
    return video


@pytest.mark.parametrize(("name", "said", "tier"), POINTS)
def test_a_moment_is_a_point(tmp_path: Path, name: str, said: Any, tier: str | None) -> None:
    (point,) = read(tmp_path, name, said, tier).segments or ()
    assert (point.label, point.start) == ("A", point.end)
    assert point.start == pytest.approx(3.02)


@pytest.mark.parametrize(("name", "said", "nothing", "tier"), LABELS)
def test_what_is_said_of_a_video_is_its_label(
    tmp_path: Path, name: str, said: Any, nothing: Any, tier: str | None
) -> None:
    video = read(tmp_path, name, said, tier)
    assert (video.labels, video.segments) == (("A", "B"), None)
    video = read(tmp_path, name, nothing, tier)
    assert (video.labels, video.segments or ()) == ((), ())


@pytest.mark.parametrize("form", sorted(form for form in FORMS if FORMS[form].write_annotations))
def test_a_point_stays_a_point_in_every_form_with_times(tmp_path: Path, form: Format) -> None:
    label = "Diving"
    segments = (Segment(1.0, 2.0, label), Segment(3.02, 3.02, label))
    video = VideoAnnotation("v", "test", 9.0, (label,), segments)
    options = FormatOptions(fps=25)
    write = FORMS[form].write_annotations
    assert write is not None
    write(tmp_path / "out", Annotations({"v": video}, (label,)), options=options)
    again = FORMS[form].read_annotations(tmp_path / "out", options=options, report=print)
    found = again.videos["v"].segments
    if form is Format.WEAK:
        assert found is None
        return
    action, point = sorted(found or ())
    assert (action.start, action.end) == (1.0, 2.0)
    assert point.start == point.end == pytest.approx(3.02, abs=0.021)


BESIDE = [
    ("a.boris", boris("State event", 1.0, 2.0, action="A, B"), "action"),
    ("a.json", tasks({"type": "timelinelabels", "from_name": "t", "value": TIMELINE},
                     chosen("choices", "A", "B")), "c"),
    ("a.json", via_with_both(), "kinds"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "said", "tier"), BESIDE)
def test_a_label_beside_segments_occurs_somewhere(
    tmp_path: Path, name: str, said: Any, tier: str
) -> None:
    """Where the option `tier` names what is said of the video as a whole."""
    video = read(tmp_path, name, said, tier)
    assert video.labels == ("A", "B")
    assert {segment.label for segment in video.segments or ()} == {"A"}
    assert video.known == KnownStretches()


def test_a_variable_of_boris_that_is_not_there(tmp_path: Path) -> None:
    said = boris("State event", 1.0, 2.0, action="A, B")
    with pytest.raises(UsageError, match="unknown independent variable 'acton'"):
        read(tmp_path, "a.boris", said, "acton")
