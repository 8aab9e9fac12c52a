import json
from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import via
from duetal.formats.options import FormatOptions


def changed(samples: Path, folder: Path, part: str, key: str, value: object) -> Path:
    project = json.loads((samples / "via.json").read_text())
    project[part][key] = value
    path = folder / "project.json"
    path.write_text(json.dumps(project))
    return path


def test_a_project_of_the_tool(samples: Path) -> None:
    annotations = via.read_annotations(samples / "via.json")
    assert {video.name: video.segments for video in annotations} == {
        "kitchen": (Segment(7.2, 11.6, "Pour Liquid"), Segment(0.5, 3.25, "Break Egg")),
        "garden path": (Segment(1, 2, "Cut Garlic"),),
        "empty": (),
    }
    assert annotations.classes == ("Break Egg", "Pour Liquid", "Cut Garlic")
    assert annotations.left_out == (
        "attributes of other things than segments: 1",
        "regions and remarks on files: 1",
        "segments without a label: 1",
    )


def test_a_point_in_time_is_a_segment_of_no_length(samples: Path, tmp_path: Path) -> None:
    project = json.loads((samples / "via.json").read_text())
    one = next(value for value in project["metadata"].values() if len(value["z"]) == 2)
    one["z"] = one["z"][:1]
    (tmp_path / "via.json").write_text(json.dumps(project))
    found = via.read_annotations(tmp_path / "via.json")
    assert [s.end for v in found for s in v.segments or () if s.start == s.end] == one["z"]


def test_annotations_there_and_back(tmp_path: Path, annotations: Annotations) -> None:
    for root, location in (("", 1), ("https://example.org/", 2), ("/clips", 3)):
        path = tmp_path / f"{location}.json"
        via.write(path, annotations, options=FormatOptions(media_root=root))
        again = via.read_annotations(path)
        assert again.classes == annotations.classes
        for video in annotations:
            assert again.videos[video.name].segments == video.segments
        assert json.loads(path.read_text())["file"]["1"]["loc"] == location


def test_detections_to_correct(tmp_path: Path, detections: Detections) -> None:
    path = tmp_path / "project.json"
    via.write(path, detections)
    again = via.read_annotations(path)
    assert again.videos["v 2"].segments == (
        Segment(0.0, 3.0, "HighJump"),
        Segment(1.0, 1.25, "Diving"),
    )
    assert again.videos["v_3"].segments == ()


def test_several_attributes_need_a_choice(samples: Path, tmp_path: Path) -> None:
    project = json.loads((samples / "via.json").read_text())
    project["attribute"]["7"] = {"aname": "Hand", "anchor_id": "FILE1_Z2_XY0", "type": 1}
    project["metadata"]["1_mR8ksAa"]["av"]["7"] = "left"
    path = tmp_path / "project.json"
    path.write_text(json.dumps(project))
    with pytest.raises(UsageError, match="'Activity', 'Hand'"):
        via.read_annotations(path)
    with pytest.raises(UsageError, match="the nearest is 'Hand'"):
        via.read_annotations(path, options=FormatOptions(tier="Hant"))
    annotations = via.read_annotations(path, options=FormatOptions(tier="Hand"))
    assert annotations.videos["kitchen"].segments == (Segment(7.2, 11.6, "left"),)


def test_a_checkbox_has_several_labels(samples: Path, tmp_path: Path) -> None:
    boxes = {"1": "Run", "2": "Jump"}
    attribute = {"aname": "A", "anchor_id": "FILE1_Z2_XY0", "type": 2, "options": boxes}
    path = changed(samples, tmp_path, "attribute", "1", attribute)
    entry = {"vid": "3", "flg": 0, "z": [1, 2], "xy": [], "av": {"1": "1,2,2"}}
    project = json.loads(path.read_text())
    project["metadata"] = {"3_a": entry}
    path.write_text(json.dumps(project))
    annotations = via.read_annotations(path)
    assert annotations.videos["empty"].segments == (Segment(1, 2, "Run"), Segment(1, 2, "Jump"))


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("file", "1", {"fname": ""}, "file '1': 'fname' is not a string"),
        ("file", "1", 3, "file '1': this is not an object"),
        ("view", "1", {"fid_list": ["9"]}, "view '1': no key '9'"),
        ("view", "1", {"fid_list": []}, "view '1': has no file"),
        ("view", "2", {"fid_list": ["1"]}, "view '2': 'kitchen' is in two views"),
        ("metadata", "x", {"vid": "1", "z": ["a", 1], "xy": []}, "metadata 'x': could not"),
        ("metadata", "x", {"vid": "1", "z": 3}, "metadata 'x': 'z' is not a list"),
        ("metadata", "x", {"vid": "1", "z": [1, 1e999]}, "not a finite number"),
        ("metadata", "x", {"vid": "1", "z": [1, 2], "av": {"1": 3}}, "view '1': 'av' is not"),
    ],
)
def test_malformed(
    samples: Path, tmp_path: Path, part: str, key: str, value: object, message: str
) -> None:
    with pytest.raises(DuetalError, match=r"project\.json") as caught:
        via.read_annotations(changed(samples, tmp_path, part, key, value))
    assert message in str(caught.value)


def test_other_json_is_no_project(tmp_path: Path) -> None:
    path = tmp_path / "project.json"
    path.write_text('{"file": {}, "view": {}, "attribute": {}}')
    with pytest.raises(DuetalError, match="no object 'metadata'"):
        via.read_annotations(path)


def test_attributes_of_files_are_labels_of_videos(samples: Path, tmp_path: Path) -> None:
    project = json.loads((samples / "via.json").read_text())
    boxes = {"1": "Run", "2": "Jump"}
    about = {"anchor_id": "FILE1_Z0_XY0", "type": 2, "options": boxes}
    project["attribute"] = {"1": {"aname": "kind", **about}, "2": {"aname": "place", **about}}
    values = {"1": {"1": "1,2"}, "2": {"1": ""}}
    project["metadata"] = {
        view: {"vid": view, "z": [], "xy": [], "av": value} for view, value in values.items()
    }
    path = tmp_path / "project.json"
    path.write_text(json.dumps(project))
    annotations = via.read_annotations(path)
    assert {video.name: (video.labels, video.segments) for video in annotations} == {
        "kitchen": (("Jump", "Run"), None),
        "garden path": ((), ()),
    }
    assert annotations.left_out == (
        "attributes of other things than segments: 1",
        "videos without labels: 1",
    )
    project["metadata"]["1"]["av"]["2"] = "1"
    path.write_text(json.dumps(project))
    with pytest.raises(UsageError, match="which attribute holds the labels: 'kind', 'place'"):
        via.read_annotations(path)
    place = via.read_annotations(path, options=FormatOptions(tier="place"))
    assert {video.name: video.labels for video in place} == {"kitchen": ("Run",)}
