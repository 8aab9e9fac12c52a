from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.evaluation import PROTOCOLS, evaluate, protocol_named
from duetal.evaluation.considered import (
    AMBIGUOUS,
    EXCLUDED,
    OTHER_SUBSET,
    UNKNOWN_CLASS,
    to_snippets,
)
from duetal.evaluation.protocols import THUMOS14_GRID_212
from duetal.formats import read_annotations


def video(
    name: str,
    *segments: tuple[float, float, str],
    subset: str | None = "test",
    ambiguous: tuple[tuple[float, float], ...] = (),
) -> VideoAnnotation:
    return VideoAnnotation(
        name,
        subset,
        labels=tuple(sorted({s[2] for s in segments})),
        segments=tuple(Segment(*s) for s in segments),
        ambiguous=tuple(Segment(*each, "Ambiguous") for each in ambiguous),
    )


def annotations_of(*videos: VideoAnnotation) -> Annotations:
    classes = sorted({label for each in videos for label in each.labels})
    return Annotations({each.name: each for each in videos}, tuple(classes), Path("gt.json"))


def found(*rows: tuple[str, str, float, float, float]) -> Detections:
    return Detections.from_rows(rows, source=Path("detections.json"))


THUMOS_LIKE = annotations_of(
    video("video_validation_1", (0, 10, "Diving"), subset="validation"),
    video("video_test_0000004", (0, 10, "Diving")),
    video("video_test_0000270", (0, 10, "HammerThrow")),
    video("video_test_0001292"),
    video("video_test_0001496", (0, 10, "CricketShot")),
)


@pytest.mark.parametrize(
    ("protocol", "videos", "excluded"),
    [
        ("thumos14/seconds-210", 1, 3),
        ("thumos14/tad-211", 2, 2),
        ("thumos14/tad-212", 3, 1),
        ("thumos14/grid-212", 3, 1),
        ("seconds", 4, 0),
    ],
)
def test_excluded_videos(protocol: str, videos: int, excluded: int) -> None:
    names = [f"video_test_{n}" for n in ("0000004", "0000270", "0001292", "0001496")]
    rows = [(name, "Diving", 0.0, 10.0, 0.5) for name in names]
    result = evaluate(found(*rows), THUMOS_LIKE, protocol)
    assert (result.videos, result.dropped.get(EXCLUDED, 0)) == (videos, excluded)
    assert result.predictions == 4 - excluded
    # As false positives they cost precision where they rank as high as the others.
    strict = evaluate(found(*rows), THUMOS_LIKE, protocol, count_excluded=True)
    assert (strict.predictions, strict.videos, strict.dropped) == (4, videos, {})
    assert strict.mean_ap[0] <= result.mean_ap[0]


def test_dropped_is_counted_by_reason_and_unlisted_is_a_false_positive() -> None:
    result = evaluate(
        found(
            ("video_test_0000004", "Diving", 0, 10, 0.5),
            ("video_test_0000270", "Diving", 0, 10, 0.6),
            ("video_validation_1", "Diving", 0, 10, 0.7),
            ("video_test_0000004", "Swimming", 0, 10, 0.8),
            ("elsewhere", "Diving", 0, 10, 0.9),
        ),
        THUMOS_LIKE,
        "thumos14/seconds-210",
    )
    assert result.dropped == {EXCLUDED: 1, OTHER_SUBSET: 1, UNKNOWN_CLASS: 1}
    assert (result.videos, result.segments, result.predictions) == (1, 1, 2)
    assert result.mean_ap[0] == 0.5
    assert any("'elsewhere'" in note for note in result.notes)


@pytest.mark.parametrize(
    ("seconds", "snippets"),
    # 0.32 and 0.96 s are the exact halves 0.5 and 1.5: half to even.
    [(0.0, 0), (0.32, 0), (0.33, 1), (0.64, 1), (0.96, 2), (1.6, 2), (19.2, 30), (24.32, 38)],
)
def test_seconds_to_snippets(seconds: float, snippets: int) -> None:
    import numpy as np

    assert THUMOS14_GRID_212.grid is not None
    assert to_snippets(np.array([seconds]), THUMOS14_GRID_212.grid).tolist() == [snippets]
    assert round(seconds * 25 / 16) == snippets


def test_grid_compares_whole_snippets() -> None:
    # [3.1, 6.5] s is the snippets [5, 10): half of [5, 15), at exactly tIoU 0.5.
    annotations = annotations_of(video("v", (3.3, 9.7, "Diving")))
    result = evaluate(found(("v", "Diving", 3.1, 6.5, 1.0)), annotations, "thumos14/grid-212")
    assert result.mean_ap == (1, 1, 1, 1, 1, 0, 0)
    in_seconds = evaluate(found(("v", "Diving", 3.1, 6.5, 1.0)), annotations, "seconds")
    assert in_seconds.mean_ap[4] == 0


def test_grid_counts_an_empty_segment_that_nothing_can_match() -> None:
    annotations = annotations_of(video("v", (0, 6.4, "Diving"), (12.8, 13.0, "Diving")))
    result = evaluate(
        found(("v", "Diving", 0, 6.4, 1.0), ("v", "Diving", 12.8, 13.0, 0.9)),
        annotations,
        "thumos14/grid-212",
    )
    assert result.segments == 2
    assert result.mean_ap[0] == 0.5


def test_grid_deletes_what_overlaps_an_ambiguous_segment() -> None:
    annotations = annotations_of(
        video("v", (0, 6.4, "Diving"), (32, 38.4, "Shotput"), ambiguous=((6.4, 12.8), (20, 20.1)))
    )
    result = evaluate(
        found(
            ("v", "Shotput", 12.1, 19.2, 0.9),  # shares a snippet, whatever the class
            ("v", "Diving", 0, 6.4, 0.8),  # touches
            ("v", "Diving", 19.0, 21.0, 0.7),  # the second ambiguous segment is empty on the grid
            ("v", "Shotput", 32, 38.4, 0.6),
        ),
        annotations,
        "thumos14/grid-212",
    )
    assert result.dropped == {AMBIGUOUS: 1}
    assert result.predictions == 3
    assert result.mean_ap == (1,) * 7
    assert not evaluate(found(), annotations, "thumos14/tad-212").dropped


@pytest.mark.parametrize(
    ("subset", "evaluated", "segments"),
    [
        (None, "test", 1),
        ("train", "train", 2),
        ("Training", "train", 2),
        ("test", "test", 1),
        ("testing", "test", 1),
        ("extra", "extra", 3),
    ],
)
def test_subset(subset: str | None, evaluated: str, segments: int) -> None:
    annotations = annotations_of(
        video("a", (0, 1, "x"), (2, 3, "x"), subset="train"),
        video("b", (0, 1, "x"), subset="test"),
        video("c", (0, 1, "x"), (1, 2, "x"), (2, 3, "x"), subset="extra"),
    )
    result = evaluate(found(), annotations, "seconds", subset)
    assert (result.subset, result.segments) == (evaluated, segments)


def test_annotations_without_subsets_are_evaluated_whole() -> None:
    annotations = annotations_of(
        video("a", (0, 1, "x"), subset=None), video("b", (0, 1, "x"), subset=None)
    )
    result = evaluate(found(("a", "x", 0.0, 1.0, 0.5)), annotations, "seconds")
    assert (result.subset, result.videos, result.segments) == ("", 2, 2)
    assert "name no subset" in result.notes[0]


def test_where_segments_are_unknown_nothing_is_wrong() -> None:
    labelled = VideoAnnotation("b", "test", None, ("x",), None)
    annotations = annotations_of(video("a", (0, 1, "x"), subset="test"), labelled)
    rows = found(("a", "x", 0.0, 1.0, 0.5), ("b", "x", 0.0, 1.0, 0.9))
    result = evaluate(rows, annotations, "seconds")
    assert (result.videos, result.mean_ap[0], result.dropped) == (1, 1.0, {OTHER_SUBSET: 1})
    assert "videos with labels and without segments: 1, not evaluated" in result.notes


def test_unknown_subset_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no subset 'dev'; there are: 'test', 'validation'"):
        evaluate(found(), THUMOS_LIKE, "seconds", "dev")


def test_training_detections_are_evaluated_on_training_videos() -> None:
    rows = found(("video_validation_1", "Diving", 0, 10, 0.5))
    result = evaluate(rows, THUMOS_LIKE, "thumos14/seconds-210")
    assert (result.subset, result.mean_ap[0]) == ("validation", 1.0)
    assert any("training videos" in note for note in result.notes)
    forced = evaluate(rows, THUMOS_LIKE, "thumos14/seconds-210", "test")
    assert (forced.subset, forced.mean_ap[0], forced.dropped) == ("test", 0.0, {OTHER_SUBSET: 1})


def test_no_detections_is_zero_and_noted() -> None:
    result = evaluate(found(), THUMOS_LIKE, "thumos14/tad-212")
    assert result.mean_ap == (0,) * 7
    assert "there are no detections" in result.notes


@pytest.mark.parametrize(
    "annotations",
    [
        annotations_of(video("video_test_0000270", (0, 1, "x"))),
        annotations_of(),
        Annotations({"a": VideoAnnotation("a", "test", labels=("x",))}, ("x",), Path("gt.json")),
    ],
    ids=["only excluded videos", "no video", "weak labels"],
)
def test_no_ground_truth_is_an_error(annotations: Annotations) -> None:
    with pytest.raises(DuetalError, match=r"gt.json: .*no segment to evaluate against"):
        evaluate(found(("a", "x", 0, 1, 1)), annotations, "thumos14/seconds-210")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(value: float) -> None:
    with pytest.raises(DuetalError, match=r"detections.json: video 'v'"):
        evaluate(found(("v", "Diving", 0, 1, value)), THUMOS_LIKE, "seconds")
    with pytest.raises(DuetalError, match=r"gt.json: video 'v': a segment is not finite"):
        evaluate(found(), annotations_of(video("v", (0, value, "x"))), "seconds")


def test_unknown_protocol() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'thumos14/grid-212'\?.*activitynet/1.3"):
        protocol_named("thumos14/grid212")


def test_every_protocol_is_sound() -> None:
    for name, protocol in PROTOCOLS.items():
        assert name == protocol.name
        assert list(protocol.tiou) == sorted(protocol.tiou)
        assert set(protocol.shown) <= set(protocol.tiou)
        for low, high in protocol.averages.values():
            assert {low, high} <= set(protocol.tiou)


@pytest.mark.real
@pytest.mark.parametrize(
    ("source", "protocol", "videos", "segments"),
    [
        ("gt.json", "thumos14/seconds-210", 210, 3311),
        ("Thumos14reduced-Annotations", "thumos14/seconds-210", 210, 3311),
        ("ground_truth_txt", "thumos14/seconds-210", 210, 3311),
        ("Thumos14reduced-Annotations", "thumos14/tad-211", 211, 3329),
        ("ground_truth_txt", "thumos14/tad-211", 211, 3329),
        ("ground_truth_txt", "thumos14/tad-212", 212, 3358),
        ("Thumos14reduced-Annotations", "thumos14/grid-212", 212, 3358),
        ("ground_truth_txt", "thumos14/grid-212", 212, 3358),
    ],
)
def test_thumos14_counts(
    real_data: Path, source: str, protocol: str, videos: int, segments: int
) -> None:
    annotations = read_annotations(real_data / "thumos14" / source)
    result = evaluate(found(), annotations, protocol)
    assert (result.videos, result.segments) == (videos, segments)
    assert not any("means" in note for note in result.notes)


@pytest.mark.real
def test_perfect_detections_on_the_grid_miss_the_17_empty_segments(real_data: Path) -> None:
    annotations = read_annotations(real_data / "thumos14" / "Thumos14reduced-Annotations")
    names = annotations.evaluation_names()
    segments = [(n, s) for n in names for s in annotations.videos[n].segments or ()]
    empty = sum(round(s.start * 25 / 16) == round(s.end * 25 / 16) for _, s in segments)
    assert (len(segments), empty) == (3358, 17)
    rows = [(name, s.label, s.start, s.end, 1.0) for name, s in segments]
    assert evaluate(found(*rows), annotations, "thumos14/seconds-210").mean_ap == (1.0,) * 7
    result = evaluate(found(*rows), annotations, "thumos14/grid-212")
    assert result.predictions + result.dropped[AMBIGUOUS] == 3358
    assert 0.9 < result.mean_ap[0] < 1


@pytest.mark.real
def test_activitynet_validation(real_data: Path) -> None:
    path = real_data / "activitynet" / "activity_net.v1-2.min.json"
    annotations = read_annotations(path)
    rows = [
        (v.name, s.label, s.start, s.end, 1.0)
        for v in annotations
        if v.subset == "validation"
        for s in v.segments or ()
    ]
    result = evaluate(found(*rows), annotations, "activitynet/1.2")
    assert (result.videos, result.segments, len(result.per_class)) == (2383, len(rows), 100)
    assert result.averages["0.5:0.95"] == pytest.approx(1, abs=0.01)
    # No prediction matches these, not even their own copies.
    (note, copies) = result.notes
    assert note.startswith("3 segments have no length (the first: video '")
    assert copies == note.replace("segments", "predictions")
