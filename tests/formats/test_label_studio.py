import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import label_studio
from duetal.formats.options import FormatOptions, FrameClock

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


def test_each_task_has_its_own_rate(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    segment = (Segment(0.5, 2.0, "A"),)
    videos = {name: VideoAnnotation(name, None, 3.0, ("A",), segment) for name in ("v", "w", "x")}
    clocks = {"v": FrameClock(50.0), "w": FrameClock(12.5, 0.4)}
    options = FormatOptions(fps=24, videos=clocks)
    label_studio.write(path, Annotations(videos, ("A",)), options=options)
    ranges = [
        (one["data"]["fps"], *one["annotations"][0]["result"][0]["value"]["ranges"][0].values())
        for one in json.loads(path.read_text())
    ]
    # The times are a player's: when the first picture is shown does not matter.
    assert ranges == [(50.0, 26, 100), (12.5, 7, 25), (24, 13, 48)]
    view = ElementTree.parse(tmp_path / "tasks.interface.xml").getroot()
    assert view.find("Video").get("frameRate") == "$fps"
    assert label_studio.read_annotations(path).videos["v"].segments == segment


def test_of_several_annotations_the_truth_or_the_first_counts(tmp_path: Path) -> None:
    def by(label: str, **about: object) -> dict[str, object]:
        value = {"start": 1, "end": 2, "labels": [label]}
        return {"result": [{"type": "labels", "value": value}], **about}

    cases = {
        "A": [by("A", was_cancelled=False), by("B"), by("C")],
        "B": [by("A"), by("B", ground_truth=True)],
        "C": [by("A", was_cancelled=True), by("C"), by("B")],
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


def choices(control: str, *chosen: object, kind: str = "choices") -> dict[str, object]:
    return {"type": kind, "from_name": control, "value": {kind: list(chosen)}}


SEGMENT = {"type": "labels", "from_name": "l", "value": {"start": 1, "end": 2, "labels": ["A"]}}


@pytest.mark.parametrize(
    ("results", "tier", "expected"),
    [
        ([[choices("c", "X", "Y")], [choices("c")], []], None, [{"X", "Y"}, (), ()]),
        ([[choices("c", ["a", "X"], ["b"], kind="taxonomy")]], None, [{"X", "b"}]),
        ([[choices("c", "X"), choices("q", "good")]], "c", [{"X"}]),
        # Whether a video is good is no class of it, where segments have the classes.
        ([[choices("q", "good"), SEGMENT], [choices("q", "good")]], None, [{"A"}, ()]),
        # Named as labels, they tell of classes that have no segment.
        ([[choices("q", "X"), SEGMENT], [choices("q", "X")]], "q", [{"A", "X"}, {"X"}]),
        ([[choices("q", "A"), SEGMENT]], "q", [{"A"}]),
    ],
)
def test_choices_are_labels_of_videos(
    tmp_path: Path, results: list[list[object]], tier: str | None, expected: list[object]
) -> None:
    tasks = [
        {"data": {"video": f"v{number}.mp4"}, "annotations": [{"result": result}]}
        for number, result in enumerate(results)
    ]
    path = written(tmp_path, tasks)
    annotations = label_studio.read_annotations(path, options=FormatOptions(tier=tier))
    # Of a video that was looked through, and in which nothing happens, segments are known.
    found = [(video.labels and {*video.labels}) or video.segments for video in annotations]
    assert found == expected
    partly = [video.known is not None for video in annotations]
    assert partly == [{"A"} < {*video.labels} for video in annotations]
    unknown = [video.segments is None for video in annotations]
    assert unknown == [bool(labels) and "A" not in labels for labels in expected]


def test_it_is_asked_which_choices_are_the_labels(tmp_path: Path) -> None:
    annotation = {"result": [choices("c", "X"), choices("q", "good")]}
    path = written(tmp_path, [{"data": {"video": "v.mp4"}, "annotations": [annotation]}])
    with pytest.raises(UsageError, match=r"which control holds the labels: 'c', 'q'\? \(--tier\)"):
        label_studio.read_annotations(path)
    row = {"video": "v.mp4", "annotation_id": 1, "lead_time": 2, "c": "X", "note": "good"}
    path = written(tmp_path, [row])
    with pytest.raises(UsageError, match="which control holds the labels: 'c', 'note'"):
        label_studio.read_annotations(path)
    chosen = label_studio.read_annotations(path, options=FormatOptions(tier="c")).videos["v"]
    assert (chosen.labels, chosen.segments) == (("X",), None)


def test_choices_in_the_smaller_exports(tmp_path: Path) -> None:
    about = {"annotation_id": 1, "lead_time": 2, "annotator": 1}
    rows = [
        {"id": 1, "video": "a.mp4", "kind": "X", **about},
        {"id": 1, "video": "a.mp4", "kind": "Y", **about},
        {"id": 2, "video": "b.mp4", "kind": {"choices": ["X", "Y"]}, **about},
        {"id": 3, "video": "c.mp4", **about},
    ]
    annotations = label_studio.read_annotations(written(tmp_path, rows))
    assert {video.name: (video.labels, video.segments) for video in annotations} == {
        "a": (("X",), None),
        "b": (("X", "Y"), None),
        "c": ((), ()),
    }
    assert annotations.left_out == ("further annotations of a task: 1",)


def test_other_data_of_a_task_is_counted(tmp_path: Path) -> None:
    data = {"clip": "/data/local-files/?d=clips%2Fa.mp4", "sound": "a.wav", "title": "", "fps": 25}
    annotations = label_studio.read_annotations(written(tmp_path, [task(data=data)]))
    assert (list(annotations.videos), annotations.left_out) == (["a"], ("other data of tasks: 1",))
