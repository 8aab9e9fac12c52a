import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from duetal.core.annotations import Annotations, Segment
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import label_studio
from duetal.formats.options import FormatOptions

AT_25 = FormatOptions(fps=25)


def task(**changed: object) -> dict[str, object]:
    region = {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["A"]}
    result = {"type": "timelinelabels", "value": region}
    entry = {"data": {"video": "v.mp4", "fps": 25}, "annotations": [{"result": [result]}]}
    return {**entry, **changed}


def written(folder: Path, value: object) -> Path:
    path = folder / "tasks.json"
    path.write_text(json.dumps(value))
    return path


def test_an_export_of_the_tool(samples: Path) -> None:
    annotations = label_studio.read_annotations(samples / "label_studio.json", options=AT_25)
    assert {video.name: video.segments for video in annotations} == {
        "kitchen": (Segment(0, 2, "Pour"), Segment(3, 4, "Stir"), Segment(3, 4, "Pour")),
        "garden path": (Segment(1, 2, "Dig"),),
        "empty": (),
    }
    assert annotations.left_out == ("results of type 'choices': 1", "tasks without annotations: 1")


def test_the_predictions_of_an_export(samples: Path) -> None:
    detections = label_studio.read_detections(samples / "label_studio.json", options=AT_25)
    assert detections.videos == ("kitchen",)
    assert (detections.start[0], detections.end[0], detections.score[0]) == (0.4, 2.4, 0.75)


def test_frames_need_a_rate(samples: Path) -> None:
    with pytest.raises(UsageError, match=r"label_studio\.json: .*--fps"):
        label_studio.read_annotations(samples / "label_studio.json")


def test_annotations_there_and_back(tmp_path: Path, annotations: Annotations) -> None:
    path = tmp_path / "tasks.json"
    options = FormatOptions(fps=100, media_root="https://example.org/a b", media_suffix=".webm")
    label_studio.write(path, annotations, options=options)
    again = label_studio.read_annotations(path)
    assert again.videos == annotations.videos
    tasks = json.loads(path.read_text())
    assert tasks[1]["data"]["video"] == "https://example.org/a b/v 2.webm"


def test_detections_become_predictions_to_correct(tmp_path: Path, detections: Detections) -> None:
    path = tmp_path / "tasks.json"
    label_studio.write(path, detections, options=AT_25)
    tasks = json.loads(path.read_text())
    assert [len(task["predictions"][0]["result"]) for task in tasks] == [3, 2, 0]
    assert "annotations" not in tasks[0]
    again = label_studio.read_detections(path)
    assert again.videos == detections.videos
    assert again.score.tolist() == [0.875, 0.5, 0.125, 0.25, 1.0]
    corrected = [{**task, "annotations": task.pop("predictions")} for task in tasks]
    annotations = label_studio.read_annotations(written(tmp_path, corrected))
    assert [len(video.segments or ()) for video in annotations] == [3, 2, 0]


def test_the_interface_offers_every_class(tmp_path: Path, annotations: Annotations) -> None:
    path = tmp_path / "tasks.json"
    label_studio.write(path, annotations, options=AT_25)
    view = ElementTree.parse(tmp_path / "tasks.interface.xml").getroot()
    assert [label.get("value") for label in view.iter("Label")] == list(annotations.classes)
    assert view.find("Video").get("frameRate") == "25"


def test_of_several_annotations_the_truth_or_the_last_counts(tmp_path: Path) -> None:
    def by(label: str, **about: object) -> dict[str, object]:
        value = {"start": 1, "end": 2, "labels": [label]}
        return {"result": [{"type": "labels", "value": value}], **about}

    cases = {
        "C": [by("A"), by("B", was_cancelled=False), by("C")],
        "A": [by("A", ground_truth=True), by("B")],
        "B": [by("A"), by("B"), by("C", was_cancelled=True)],
    }
    for expected, listed in cases.items():
        path = written(tmp_path, [task(annotations=listed)])
        annotations = label_studio.read_annotations(path)
        assert annotations.videos["v"].segments == (Segment(1, 2, expected),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "no list of tasks"),
        ([3], "task 0: this is not an object"),
        ([{}], "task 0: no key 'data'"),
        ([{"data": {}}], "task 0: 'data' has no 'video'"),
        ([{"data": {"video": "/data/"}}], "task 0: no file name"),
        ([task(data={"video": "v.mp4", "fps": 0})], "task 0: 0.0 frames per second"),
        ([task(annotations=3)], "task 0: 'annotations' is not a list"),
        ([task(annotations=[{"result": [3]}])], "task 0, result 0"),
        ([task(annotations=[{"result": [{"type": "labels"}]}])], "task 0, result 0: no key 'val"),
        ([task(), task()], "task 1: 'v' is listed twice"),
    ],
)
def test_malformed(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(DuetalError, match=r"tasks\.json") as caught:
        label_studio.read_annotations(written(tmp_path, value))
    assert message in str(caught.value)


def test_ranges_and_labels_do_not_multiply(tmp_path: Path) -> None:
    many = {"ranges": [{"start": 1, "end": 2}] * 1000, "timelinelabels": ["A"] * 1000}
    result = {"type": "timelinelabels", "value": many}
    path = written(tmp_path, [task(annotations=[{"result": [result]}])])
    with pytest.raises(DuetalError, match="several ranges and several labels"):
        label_studio.read_annotations(path)
