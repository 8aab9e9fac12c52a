import json
from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import fiftyone
from duetal.formats.forms import Format
from duetal.formats.guess import form_of
from duetal.formats.options import FormatOptions, FrameClock

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
    with pytest.raises(UsageError, match=r"video 'kitchen': times are in frames: .*--videos"):
        fiftyone.read_annotations(samples / "fiftyone.json")


#: Exported by FiftyOne 1.22.1: labels without classes, which it writes unless it is told them.
EXPORTED = "fiftyone_exported.json"
RATES = {"kitchen": FrameClock(25.0, 2.0), "garden path": FrameClock(30_000 / 1001)}


def test_an_export_without_classes_by_each_videos_own_rate(samples: Path) -> None:
    options = FormatOptions(videos=RATES)
    annotations = fiftyone.read_annotations(samples / EXPORTED, options=options)
    assert {video.name: video.segments for video in annotations} == {
        # Frames count on the player's clock, whenever the first picture is shown.
        "kitchen": (Segment(0, 2, "Stir"), Segment(3.02, 3.02, "Pour")),
        "garden path": (Segment(30 / (30_000 / 1001), 60 / (30_000 / 1001), "Dig"),),
    }
    assert annotations.left_out == ("attributes: 1", "confidence: 3", "videos without labels: 1")
    with pytest.raises(UsageError, match="video 'garden path': times are in frames"):
        fiftyone.read_annotations(
            samples / EXPORTED, options=FormatOptions(videos={"kitchen": RATES["kitchen"]})
        )


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        (None, {"kitchen": [(0.04, 2.04)], "garden path": []}),
        ("ground_truth", {"kitchen": [(0.04, 2.04)], "garden path": []}),
        ("predictions", {"kitchen": [(0, 2), (3.02, 3.02)], "garden path": [(1.001, 2.002)]}),
        ("kinds", {"kitchen": ("Pour", "Stir"), "garden path": []}),
        ("kind", {"later": ("Dig",)}),
    ],
)
def test_the_librarys_own_form(samples: Path, tier: str | None, expected: object) -> None:
    place = samples / "fiftyone_samples.json"
    assert form_of(place) is Format.FIFTYONE
    annotations = fiftyone.read_annotations(place, options=FormatOptions(tier=tier))
    assert expected == {
        v.name: v.labels
        if v.segments is None
        else [(round(s.start, 6), round(s.end, 6)) for s in v.segments]
        for v in annotations
    }
    assert {v.duration for v in annotations} <= {10.0, 8.008}


def test_predictions_beside_the_ground_truth(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "samples.json").write_bytes((samples / "fiftyone_samples.json").read_bytes())
    detections = fiftyone.read_detections(tmp_path)
    assert detections.videos == ("kitchen", "garden path")
    assert detections.score.tolist() == [0.75, 0.25, 0.5]
    assert detections.left_out == (
        "ground_truth: 2",
        "hand: 1",
        "kind: 1",
        "kinds: 2",
        "tags: 1",
        "videos without labels: 1",
    )
    assert form_of(tmp_path) is Format.FIFTYONE


FOUND = {"_cls": "TemporalDetections", "detections": [{"label": "x", "support": [1, 2]}]}


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        (3, DuetalError, "sample 0: this is not an object"),
        ({}, DuetalError, "sample 0: no key 'filepath'"),
        ({"filepath": "v.mp4", "a": FOUND, "b": FOUND}, UsageError, "which field .* 'a', 'b'"),
        ({"filepath": "v.mp4", "a": FOUND}, UsageError, "video 'v': times are in frames"),
        (
            {"filepath": "v.mp4", "a": FOUND, "metadata": {"frame_rate": 0}},
            DuetalError,
            "sample 0: 0.0 frames per second",
        ),
        (
            {"filepath": "v.mp4", "a": {**FOUND, "detections": 3}},
            DuetalError,
            "'detections' is not a list",
        ),
    ],
)
def test_malformed_samples(
    tmp_path: Path, sample: object, error: type[DuetalError], message: str
) -> None:
    path = tmp_path / "samples.json"
    path.write_text(json.dumps({"samples": [sample]}))
    with pytest.raises(error, match=rf"samples\.json: .*{message}"):
        fiftyone.read_annotations(path)


def test_a_field_that_is_not_there(samples: Path) -> None:
    with pytest.raises(UsageError, match="the nearest is 'predictions'"):
        fiftyone.read_annotations(
            samples / "fiftyone_samples.json", options=FormatOptions(tier="prediction")
        )


def test_frames_are_beside_seconds_where_the_rate_is_known(
    tmp_path: Path, detections: Detections
) -> None:
    path = tmp_path / "labels.json"
    videos = {"v_1": FrameClock(8, 2.0)}
    fiftyone.write(path, detections, options=FormatOptions(videos=videos))
    labels = json.loads(path.read_text())["labels"]
    assert [one["support"] for one in labels["v_1"]] == [[5, 18], [9, 24], [33, 36]]
    assert [one["timestamps"] for one in labels["v 2"]] == [[0.0, 3.0], [1.0, 1.25]]
    assert not any("support" in one for one in labels["v 2"])
    again = fiftyone.read_detections(path)
    assert again.start.tolist() == [0.5, 1.0, 4.0, 0.0, 1.0]
    assert again.end.tolist() == [2.25, 3.0, 4.5, 3.0, 1.25]


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
