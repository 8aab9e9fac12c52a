"""Kinds of error against their definition; missed segments; calibration."""

from pathlib import Path

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import UsageError
from duetal.evaluation import Protocol, evaluate, protocol_named
from duetal.evaluation.calibration import calibration
from duetal.evaluation.diagnosis import diagnose
from duetal.evaluation.false_positives import ERRORS, PredictionKind

TIOU = (0.3, 0.5, 0.7)
PROTOCOL = Protocol("test", "", TIOU, {"all": (0.3, 0.7)}, TIOU)

Row = tuple[str, str, float, float, float]


def annotations_of(
    *segments: tuple[str, float, float, str], duration: float | None = 100.0
) -> Annotations:
    videos: dict[str, list[Segment]] = {}
    for video, start, end, label in segments:
        videos.setdefault(video, []).append(Segment(start, end, label))
    known = {}
    for name, rows in videos.items():
        labels = tuple(sorted({segment.label for segment in rows}))
        known[name] = VideoAnnotation(name, "test", duration, labels, tuple(rows))
    return Annotations(known, tuple(sorted({label for *_, label in segments})))


ONE_OF_EACH = annotations_of(
    ("v", 10.0, 20.0, "jump"), ("v", 50.0, 60.0, "dive"), ("w", 0.0, 10.0, "dive")
)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (("v", "jump", 10.0, 20.0, 0.9), PredictionKind.TRUE_POSITIVE),
        # The other prediction (see below) scores higher and has matched the segment.
        (("v", "jump", 10.5, 20.0, 0.1), PredictionKind.DOUBLE_DETECTION),
        (("v", "jump", 50.0, 60.0, 0.9), PredictionKind.WRONG_LABEL),
        (("v", "jump", 16.0, 26.0, 0.9), PredictionKind.LOCALIZATION),
        (("v", "jump", 56.0, 66.0, 0.9), PredictionKind.CONFUSION),
        (("v", "jump", 80.0, 90.0, 0.9), PredictionKind.BACKGROUND),
        # tIoU 0.053: below the least overlap.
        (("v", "jump", 19.0, 29.0, 0.9), PredictionKind.BACKGROUND),
        # Its own class comes first, at the same level of overlap.
        (("v", "jump", 19.0, 52.0, 0.9), PredictionKind.BACKGROUND),
        # In another video than the segment.
        (("w", "jump", 10.0, 20.0, 0.9), PredictionKind.BACKGROUND),
        # In a video that is not annotated.
        (("x", "jump", 10.0, 20.0, 0.9), PredictionKind.BACKGROUND),
    ],
)
def test_the_kind_of_a_prediction(row: Row, kind: PredictionKind) -> None:
    higher = ("v", "jump", 10.0, 20.0, 0.5)
    found = Detections.from_rows([row, higher])
    counts = dict(diagnose(found, ONE_OF_EACH, PROTOCOL).profile.whole)
    # What the other prediction is, without the row or (a true positive) behind it.
    beside = (
        PredictionKind.DOUBLE_DETECTION
        if kind is PredictionKind.TRUE_POSITIVE
        else PredictionKind.TRUE_POSITIVE
    )
    counts[beside] -= 1
    assert {k: n for k, n in counts.items() if n} == {kind: 1}


def test_its_own_class_comes_first_at_the_same_level() -> None:
    annotations = annotations_of(("v", 10.0, 20.0, "jump"), ("v", 10.0, 20.0, "dive"))
    for start, kind in ((10.0, PredictionKind.TRUE_POSITIVE), (16.0, PredictionKind.LOCALIZATION)):
        found = Detections.from_rows([("v", "jump", start, start + 10.0, 0.5)])
        assert diagnose(found, annotations, PROTOCOL).profile.whole[kind] == 1


def reference_kind(
    row: Row, rows: list[Row], annotations: Annotations, tiou: float
) -> PredictionKind:
    """The kind of a row, from the definitions, with matching by its own slow loop."""

    def overlap(a: Row, b: Segment) -> float:
        shared = min(a[3], b.end) - max(a[2], b.start)
        union = (b.end - b.start) + (a[3] - a[2]) - shared
        return shared / union if shared > 0 else 0.0

    truth = annotations.videos[row[0]].segments or ()
    taken: set[int] = set()
    is_true = False
    same = [r for r in rows if r[0] == row[0] and r[1] == row[1]]
    for other in sorted(same, key=lambda r: -r[4]):
        best = max(
            (
                (overlap(other, s), i)
                for i, s in enumerate(truth)
                if s.label == other[1] and i not in taken and overlap(other, s) >= tiou
            ),
            default=None,
        )
        if best is not None:
            taken.add(best[1])
        if other is row:
            is_true = best is not None
    own = max((overlap(row, s) for s in truth if s.label == row[1]), default=0.0)
    else_ = max((overlap(row, s) for s in truth if s.label != row[1]), default=0.0)
    if is_true:
        return PredictionKind.TRUE_POSITIVE
    if own >= tiou:
        return PredictionKind.DOUBLE_DETECTION
    if else_ >= tiou:
        return PredictionKind.WRONG_LABEL
    if own >= 0.1:
        return PredictionKind.LOCALIZATION
    return PredictionKind.CONFUSION if else_ >= 0.1 else PredictionKind.BACKGROUND


def made_up(seed: int) -> tuple[Annotations, list[Row]]:
    generator = np.random.default_rng(seed)
    labels = ("dive", "jump", "run")
    segments = []
    for video in ("v0", "v1", "v2", "v3"):
        for start in generator.uniform(0, 90, size=5).tolist():
            end = start + float(generator.uniform(2, 30))
            segments.append((video, start, end, str(generator.choice(labels))))
    rows = []
    for score in generator.permutation(60):
        video, start, end, label = segments[int(generator.integers(len(segments)))]
        a, b = generator.normal(scale=4.0, size=2)
        label = str(generator.choice(labels)) if generator.random() < 0.4 else label
        rows.append((video, label, start + a, max(start + a + 0.5, end + b), score / 60))
    return annotations_of(*segments), rows


@pytest.mark.parametrize("tiou", TIOU)
@pytest.mark.parametrize("seed", range(4))
def test_kinds_are_as_defined(seed: int, tiou: float) -> None:
    annotations, rows = made_up(seed)
    profile = diagnose(Detections.from_rows(rows), annotations, PROTOCOL, tiou=tiou).profile
    expected = dict.fromkeys(PredictionKind, 0)
    for row in rows:
        expected[reference_kind(row, rows, annotations, tiou)] += 1
    assert profile.whole == expected
    assert sum(profile.whole.values()) == len(rows)


@pytest.mark.parametrize("seed", range(4))
def test_a_fixed_kind_is_the_map_without_its_predictions(seed: int) -> None:
    annotations, rows = made_up(seed)
    diagnosis = diagnose(Detections.from_rows(rows), annotations, PROTOCOL)
    for kind in ERRORS:
        expected = []
        for column, tiou in enumerate(TIOU):
            kept = [r for r in rows if reference_kind(r, rows, annotations, tiou) is not kind]
            mean_ap = evaluate(Detections.from_rows(kept), annotations, PROTOCOL).mean_ap[column]
            expected.append(mean_ap)
        assert diagnosis.fixed_by_threshold[kind] == pytest.approx(expected)
        assert diagnosis.fixed[kind] == pytest.approx(float(np.mean(expected)))
        assert diagnosis.fixed[kind] >= diagnosis.evaluation.averages["all"] - 1e-12


def test_the_top_predictions_are_counted_class_by_class() -> None:
    rows = [
        ("v", "jump", 10.0, 20.0, 0.2),  # 1G of jump, though its score is low
        ("v", "jump", 80.0, 90.0, 0.1),
        ("v", "dive", 50.0, 60.0, 0.9),
        ("v", "dive", 80.0, 90.0, 0.8),  # dive has two segments
        ("v", "dive", 82.0, 90.0, 0.7),
    ]
    profile = diagnose(Detections.from_rows(rows), ONE_OF_EACH, PROTOCOL).profile
    assert profile.ranks[1][PredictionKind.TRUE_POSITIVE] == 2
    assert profile.ranks[1][PredictionKind.BACKGROUND] == 1
    assert profile.ranks[2] == profile.ranks[10] == profile.whole


def test_missed_segments_by_length_coverage_and_number() -> None:
    thumos = Protocol("thumos14/test", "", TIOU, {"all": (0.3, 0.7)}, TIOU)
    annotations = annotations_of(
        ("v", 0.0, 2.0, "jump"),  # XS by length and by coverage
        ("v", 10.0, 15.0, "jump"),  # S by length
        ("v", 30.0, 50.0, "jump"),  # XL by both
        ("w", 0.0, 2.0, "jump"),  # the only one of its video
    )
    found = Detections.from_rows([("v", "jump", 30.0, 50.0, 0.9), ("w", "jump", 0.0, 2.0, 0.8)])
    sensitivity = diagnose(found, annotations, thumos).sensitivity
    table = {
        each.name: {b.name: (b.segments, b.missed) for b in each.buckets if b.segments}
        for each in sensitivity.characteristics
    }
    assert table == {
        "coverage": {"XS": (2, 0.5), "M": (1, 1.0), "XL": (1, 0.0)},
        "length": {"XS": (2, 0.5), "S": (1, 1.0), "XL": (1, 0.0)},
        "instances": {"XS": (1, 0.0), "S": (3, pytest.approx(2 / 3))},
    }
    assert sensitivity.missed == 0.5


def test_buckets_hold_every_segment_once() -> None:
    for seed in range(4):
        annotations, rows = made_up(seed)
        diagnosis = diagnose(Detections.from_rows(rows), annotations, PROTOCOL)
        for characteristic in diagnosis.sensitivity.characteristics:
            total = sum(bucket.segments for bucket in characteristic.buckets)
            assert total == diagnosis.evaluation.segments


def test_normalised_map_does_not_depend_on_how_many_there_are() -> None:
    """A class of 10 and a class of 2, found equally well: equal normalised AP in both."""
    many = [("v", 10.0 * i, 10.0 * i + 5, "many") for i in range(10)]
    few = [("w", 10.0 * i, 10.0 * i + 5, "few") for i in range(2)]
    annotations = annotations_of(*many, *few, duration=200.0)
    # The better half of each is found, behind as many false positives in the one as in the other.
    rows: list[Row] = [(v, label, s, e, 0.5) for v, s, e, label in [*many[:5], *few[:1]]]
    rows += [(v, label, 150.0, 160.0, 0.9) for v, label in (("v", "many"), ("w", "few"))]
    diagnosis = diagnose(Detections.from_rows(rows), annotations, PROTOCOL)
    instances = diagnosis.sensitivity.characteristics[2].buckets
    scores = [bucket.mean_ap for bucket in instances if bucket.segments]
    # N = 6: precision at full found recall is 3 / (3 + 1) in both.
    assert scores == pytest.approx([0.375, 0.375])


def test_without_durations_there_is_no_coverage() -> None:
    annotations = annotations_of(("v", 0.0, 2.0, "jump"), duration=None)
    found = Detections.from_rows([("v", "jump", 0.0, 2.0, 0.9)])
    diagnosis = diagnose(found, annotations, PROTOCOL)
    names = [each.name for each in diagnosis.sensitivity.characteristics]
    assert names == ["length", "instances"]
    assert "no coverage" in diagnosis.evaluation.notes[-1]


def test_no_predictions_is_all_missed() -> None:
    diagnosis = diagnose(Detections.from_rows([]), ONE_OF_EACH, PROTOCOL)
    assert diagnosis.sensitivity.missed == 1.0
    assert diagnosis.calibration.bins == ()
    assert sum(diagnosis.profile.whole.values()) == 0


def test_calibration_of_calibrated_and_of_overconfident_scores() -> None:
    generator = np.random.default_rng(0)
    score = generator.random(20_000)
    is_true = generator.random(20_000) < score
    honest = calibration(score, is_true, 0.5)
    assert honest.error == pytest.approx(0.0, abs=0.02)
    assert honest.auc == pytest.approx(5 / 6, abs=0.01)
    boasting = calibration(np.sqrt(score), is_true, 0.5)
    assert boasting.error == pytest.approx(1 / 6, abs=0.02)
    assert boasting.auc == honest.auc
    assert sum(each.predictions for each in honest.bins) == 20_000


def test_scores_beyond_one_are_no_probabilities() -> None:
    found = calibration(np.array([0.5, 3.0]), np.array([True, False]), 0.5)
    assert found.error is None
    assert found.auc == 0.0


def test_equal_scores_order_nothing() -> None:
    assert calibration(np.full(4, 0.5), np.array([True, False] * 2), 0.5).auc == 0.5


def test_a_threshold_that_the_protocol_lacks() -> None:
    with pytest.raises(UsageError, match=r"which has 0\.3, 0\.5, 0\.7"):
        diagnose(Detections.from_rows([]), ONE_OF_EACH, PROTOCOL, tiou=0.4)


@pytest.mark.real
@pytest.mark.parametrize("protocol", ["thumos14/seconds-210", "thumos14/grid-212"])
def test_real_counts_add_up(real_data: Path, protocol: str) -> None:
    from duetal.formats import read_annotations
    from duetal.formats.activitynet import read_detections

    found = read_detections(real_data / "thumos14" / "detections_train.json")
    annotations = read_annotations(real_data / "thumos14" / "gt.json")
    diagnosis = diagnose(found, annotations, protocol_named(protocol))
    assert sum(diagnosis.profile.whole.values()) == diagnosis.evaluation.predictions == 33_895
    for characteristic in diagnosis.sensitivity.characteristics:
        assert sum(b.segments for b in characteristic.buckets) == diagnosis.evaluation.segments
    assert (
        diagnosis.fixed[PredictionKind.DOUBLE_DETECTION]
        > 2 * diagnosis.evaluation.averages["0.1:0.7"]
    )
