"""Which videos train and which are evaluated, by the subset names that datasets use."""

import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError


def _annotations(*videos):
    """One video a pair: its subset, and whether it has segments."""
    segments = (Segment(0.0, 1.0, "Run"),)
    return Annotations(
        {
            f"v{i}": VideoAnnotation(f"v{i}", subset, 9.0, ("Run",), segments if marked else None)
            for i, (subset, marked) in enumerate(videos)
        },
        ("Run",),
    )


@pytest.mark.parametrize(
    ("videos", "training", "evaluation"),
    [
        # THUMOS14: validation trains, test is evaluated.
        ([("validation", True), ("test", True)], ["v0"], ["v1"]),
        ([("Validation", True), ("Test", True)], ["v0"], ["v1"]),
        # ActivityNet: the segments of testing are kept back.
        (
            [("training", True), ("validation", True), ("testing", False)],
            ["v0"],
            ["v1"],
        ),
        ([("train", True), ("test", True)], ["v0"], ["v1"]),
        ([("train", True), ("val", True), ("test", True)], ["v0"], ["v2"]),
        # No segments: the subset called test is still the one to predict.
        ([("train", True), ("test", False)], ["v0"], ["v1"]),
        ([("validation", True), ("test", False)], ["v0"], ["v1"]),
        ([(None, True)], [], []),
        ([], [], []),
    ],
)
def test_subsets(videos, training, evaluation):
    annotations = _annotations(*videos)
    assert list(annotations.training_names()) == training
    assert list(annotations.evaluation_names()) == evaluation


def test_no_video_both_trains_and_is_evaluated():
    names = ["train", "training", "val", "validation", "test", "testing", None]
    for first in names:
        for second in names:
            for marked in (True, False):
                both = _annotations((first, True), (second, marked))
                assert not set(both.training_names()) & set(both.evaluation_names())


def test_a_label_outside_the_class_list_names_file_and_video():
    video = VideoAnnotation("v", labels=("Run", "Walk"))
    with pytest.raises(DuetalError, match=r"a\.json: video 'v': label 'Walk' is not in the class"):
        Annotations({"v": video}, ("Run",), source="a.json")


def test_select_keeps_the_given_order_and_skips_unknown_names():
    annotations = _annotations(("train", True), ("test", True))
    chosen = annotations.select(["v1", "absent", "v0"])
    assert [video.name for video in chosen] == ["v1", "v0"]
    assert chosen.classes == annotations.classes
