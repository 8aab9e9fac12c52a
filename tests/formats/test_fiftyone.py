import json
from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import fiftyone
from duetal.formats.options import FormatOptions

AT_25 = FormatOptions(fps=25)


def test_labels_of_the_tool(samples: Path) -> None:
    annotations = fiftyone.read_annotations(samples / "fiftyone.json", options=AT_25)
    assert {video.name: video.segments for video in annotations} == {
        "kitchen": (Segment(0, 2, "Stir"), Segment(3, 4, "Pour")),
        "garden path": (Segment(1.5, 2.25, "Dig"),),
        "empty": (),
    }
    assert annotations.classes == ("Pour", "Stir", "Dig")
    assert annotations.left_out == (
        "attributes: 1",
        "confidence: 3",
        "videos without labels: 1",
    )
    detections = fiftyone.read_detections(samples / "fiftyone.json", options=AT_25)
    assert detections.videos == ("kitchen", "garden path", "empty")
    assert detections.score.tolist() == [0.75, 0.25, 0.5]
    with pytest.raises(UsageError, match="--fps"):
        fiftyone.read_annotations(samples / "fiftyone.json")


def test_annotations_there_and_back(tmp_path: Path, annotations: Annotations) -> None:
    (tmp_path / "dataset").mkdir()
    for place in (tmp_path / "labels.json", tmp_path / "dataset"):
        fiftyone.write(place, annotations)
        again = fiftyone.read_annotations(place)
        assert again.classes == annotations.classes
        assert [v.segments for v in again] == [v.segments for v in annotations]
    assert (tmp_path / "dataset" / "labels.json").is_file()


def test_detections_there_and_back(tmp_path: Path, detections: Detections) -> None:
    path = tmp_path / "labels.json"
    fiftyone.write(path, detections)
    again = fiftyone.read_detections(path)
    assert (again.videos, again.classes) == (detections.videos, detections.classes)
    assert again.score.tolist() == [0.875, 0.5, 0.125, 0.25, 1.0]


def test_labels_can_be_the_classes_themselves_and_come_first(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    entry = {"label": "Jump", "timestamps": [0, 1]}
    path.write_text(json.dumps({"labels": {"v": [entry]}}))
    assert fiftyone.read_annotations(path).videos["v"].segments == (Segment(0, 1, "Jump"),)
    path.write_text(json.dumps({"labels": {"v": [{**entry, "label": 0}]}, "classes": ["Run"]}))
    assert fiftyone.read_annotations(path).classes == ("Run",)


def test_a_class_listed_twice_is_one_class(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    entries = [{"label": n, "timestamps": [0, 1], "confidence": 0.5} for n in (0, 1, 2)]
    path.write_text(json.dumps({"classes": ["Run", "Run", "Jump"], "labels": {"v": entries}}))
    detections = fiftyone.read_detections(path)
    assert [detections.classes[label] for label in detections.label] == ["Run", "Run", "Jump"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "no object 'labels'"),
        ({"labels": 3}, "no object 'labels'"),
        ({"classes": 3, "labels": {}}, "classes: 'classes' is not a list"),
        ({"labels": {"v": {}}}, "video 'v': this is not a list"),
        ({"labels": {"v": 3}}, "video 'v': 3 is the number of a class: give the list"),
        ({"labels": {"v": [{}]}}, "video 'v', detection 0: no key 'label'"),
        ({"labels": {"v": [{"label": "x"}]}}, "video 'v', detection 0: no key 'support'"),
        ({"labels": {"v": [{"label": "x", "timestamps": [1]}]}}, "detection 0"),
        (
            {"labels": {"v": [{"label": 3, "timestamps": [1, 2]}]}},
            "detection 0: 3 is the number of a class: give the list",
        ),
        ({"classes": ["a"], "labels": {"v": [{"label": 1, "timestamps": [1, 2]}]}}, "no class"),
        ({"classes": ["a"], "labels": {"v": [{"label": True, "timestamps": [1, 2]}]}}, "no class"),
        ({"classes": ["a"], "labels": {"v": [{"label": -1, "timestamps": [1, 2]}]}}, "no class"),
        ({"labels": {"a/v.mp4": [], "b/v.mp4": []}}, "'v' is listed twice"),
    ],
)
def test_malformed(tmp_path: Path, value: object, message: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DuetalError, match=r"labels\.json") as caught:
        fiftyone.read_annotations(path)
    assert message in str(caught.value)


def test_classifications_are_labels_of_videos(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"classes": ["A", "B"], "labels": {"v": 1, "w": [0, 1], "x": []}}))
    assert {v.name: (v.labels, v.segments) for v in fiftyone.read_annotations(path)} == {
        "v": (("B",), None),
        "w": (("A", "B"), None),
        "x": ((), ()),
    }
