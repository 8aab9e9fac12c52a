"""AP against a slow reference that follows the definition literally."""

import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.evaluation import Protocol, evaluate

TIOU = (0.1, 0.3, 0.5, 0.7, 1.0)
PROTOCOL = Protocol("test", "", TIOU, {"0.3:0.7": (0.3, 0.7)}, TIOU)

Row = tuple[str, str, float, float, float]
Truth = tuple[str, str, float, float]


def tiou(a: tuple[float, float], b: tuple[float, float]) -> float:
    intersection = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (b[1] - b[0]) + (a[1] - a[0]) - intersection
    return intersection / union if intersection > 0 else 0.0


def reference_ap(truth: list[Truth], rows: list[Row], label: str, threshold: float) -> float:
    """AP of one class at one threshold, from the definition."""
    truth = [t for t in truth if t[1] == label]
    rows = [r for r in rows if r[1] == label]
    # Highest score first; of equal scores the later row.
    ranked = [row for _, row in sorted(enumerate(rows), key=lambda pair: (-pair[1][4], -pair[0]))]
    free = set(range(len(truth)))
    hits = []
    for video, _, start, end, _ in ranked:
        overlaps = [
            (tiou((start, end), truth[index][2:]), index)
            for index in free
            if truth[index][0] == video
        ]
        # The highest tIoU; of equal ones the later segment.
        best = max(((o, i) for o, i in overlaps if o >= threshold), default=None)
        hits.append(best is not None)
        if best is not None:
            free.remove(best[1])
    points = [
        (sum(hits[: n + 1]) / len(truth), sum(hits[: n + 1]) / (n + 1)) for n in range(len(hits))
    ]
    area, before = 0.0, 0.0
    for recall, _ in points:
        if recall > before:
            area += (recall - before) * max(p for r, p in points if r >= recall)
            before = recall
    return area


def annotations_of(truth: list[Truth], videos: list[str]) -> Annotations:
    """All videos in the subset "test"."""
    found = {
        name: VideoAnnotation(
            name,
            "test",
            labels=tuple(sorted({t[1] for t in truth if t[0] == name})),
            segments=tuple(Segment(t[2], t[3], t[1]) for t in truth if t[0] == name),
        )
        for name in videos
    }
    return Annotations(found, tuple(sorted({t[1] for t in truth})))


def check(truth: list[Truth], rows: list[Row]) -> None:
    videos = sorted({t[0] for t in truth})
    result = evaluate(Detections.from_rows(rows), annotations_of(truth, videos), PROTOCOL)
    labels = sorted({t[1] for t in truth})
    assert list(result.per_class) == labels
    expected = [[reference_ap(truth, rows, label, k) for k in TIOU] for label in labels]
    actual = [result.per_class[label] for label in labels]
    np.testing.assert_allclose(actual, expected, atol=1e-9, rtol=0)
    np.testing.assert_allclose(result.mean_ap, np.mean(expected, axis=0), atol=1e-9, rtol=0)
    assert result.averages["0.3:0.7"] == pytest.approx(sum(result.mean_ap[1:4]) / 3, abs=1e-12)


# Few distinct values, so that ties, duplicates, zero lengths and exact thresholds are frequent.
times = st.integers(0, 10).map(float)
names = st.sampled_from(["a", "b", "c"])
labels = st.sampled_from(["x", "y", "z"])
truths = st.lists(
    st.tuples(names, labels, times, times).map(lambda t: (t[0], t[1], *sorted(t[2:]))),
    min_size=1,
    max_size=12,
)
detections = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "unlisted"]),
        st.sampled_from(["x", "y", "z", "unknown"]),
        times,
        times,
        st.integers(0, 4).map(lambda n: n / 4),
    ),
    max_size=30,
)


@given(truth=truths, rows=detections)
@settings(max_examples=400, deadline=None)
def test_equals_the_reference_on_small_adversarial_cases(truth: list[Truth], rows: list[Row]):
    # Predictions that are all of unknown names are an error.
    for column in range(2):
        assume(not rows or {row[column] for row in rows} & {row[column] for row in truth})
    check(truth, rows)


@pytest.mark.parametrize("seed", range(10))
def test_equals_the_reference_on_random_cases(seed: int) -> None:
    chance = random.Random(seed)
    videos = [f"v{n}" for n in range(8)]
    classes = ["p", "q", "r"]

    def segment() -> tuple[float, float]:
        start = chance.uniform(0, 100)
        return start, start + chance.expovariate(0.1)

    truth = [(chance.choice(videos), chance.choice(classes), *segment()) for _ in range(60)]
    rows: list[Row] = []
    for _ in range(300):
        if rows and chance.random() < 0.2:
            rows.append(chance.choice(rows))
        elif chance.random() < 0.5:
            video, label, start, end = chance.choice(truth)
            noise = chance.gauss(0, 2), chance.gauss(0, 2)
            rows.append((video, label, start + noise[0], end + noise[1], chance.random()))
        else:
            rows.append(
                (chance.choice(videos), chance.choice(classes), *segment(), chance.random())
            )
    check(truth, rows)


@pytest.mark.parametrize(
    ("rows", "ap"),
    [
        pytest.param([], 0.0, id="nothing detected"),
        pytest.param([("a", "x", 0, 10, 1)], 0.5, id="one of two"),
        pytest.param([("a", "x", 0, 10, 1), ("b", "x", 0, 10, 1)], 1.0, id="both"),
        pytest.param([("a", "x", 0, 5, 1)], 0.5, id="a tIoU equal to the threshold matches"),
        pytest.param([("a", "x", 0, 4.99, 1)], 0.0, id="just below the threshold"),
        pytest.param(
            [("a", "x", 0, 10, 1), ("a", "x", 0, 10, 0.9), ("b", "x", 0, 10, 0.8)],
            0.5 + 0.5 * 2 / 3,
            id="a duplicate is a false positive",
        ),
        pytest.param(
            [("nowhere", "x", 0, 10, 1), ("a", "x", 0, 10, 0.9)],
            0.25,
            id="a video that is not listed: false positive",
        ),
        pytest.param([("b", "x", 20, 20, 1)], 0.0, id="an instant matches nothing"),
        pytest.param([("a", "x", 10, 0, 1)], 0.0, id="reversed"),
    ],
)
def test_by_hand(rows: list[Row], ap: float) -> None:
    annotations = annotations_of([("a", "x", 0, 10), ("b", "x", 0, 10)], ["a", "b"])
    protocol = Protocol("test", "", (0.5,), {"0.5": (0.5, 0.5)}, (0.5,))
    assert evaluate(Detections.from_rows(rows), annotations, protocol).mean_ap == pytest.approx(
        (ap,), abs=1e-12
    )


def test_instants_at_the_same_place_do_not_match() -> None:
    annotations = annotations_of([("a", "x", 5, 5), ("a", "x", 0, 10)], ["a"])
    result = evaluate(Detections.from_rows([("a", "x", 5, 5, 1.0)]), annotations, PROTOCOL)
    assert result.mean_ap == (0.0,) * len(TIOU)
    assert result.segments == 2


def test_of_equal_scores_the_later_row_goes_first() -> None:
    annotations = annotations_of([("a", "x", 0, 10)], ["a"])
    rows = [("a", "x", 50, 60, 0.5), ("a", "x", 0, 10, 0.5)]
    assert evaluate(Detections.from_rows(rows), annotations, PROTOCOL).mean_ap[0] == 1.0
    assert evaluate(Detections.from_rows(rows[::-1]), annotations, PROTOCOL).mean_ap[0] == 0.5


def test_of_equal_overlaps_the_later_segment_is_taken() -> None:
    # The first prediction overlaps both segments alike; the second reaches one of them only.
    rows = [("a", "x", 0, 10, 0.9), ("a", "x", 0, 5, 0.8)]
    for truth, ap in (
        ([("a", "x", 0, 5), ("a", "x", 5, 10)], 1.0),
        ([("a", "x", 5, 10), ("a", "x", 0, 5)], 0.5),
    ):
        result = evaluate(Detections.from_rows(rows), annotations_of(truth, ["a"]), PROTOCOL)
        assert result.mean_ap[TIOU.index(0.5)] == ap


def test_the_order_of_videos_and_classes_does_not_matter() -> None:
    chance = random.Random(0)
    truth = [
        (f"v{n % 5}", chance.choice("xyz"), float(n), n + chance.uniform(1, 9)) for n in range(40)
    ]
    rows = [(t[0], t[1], t[2] + chance.gauss(0, 1), t[3], chance.random()) for t in truth * 3]
    base = evaluate(Detections.from_rows(rows), annotations_of(truth, ["v0"]), PROTOCOL)
    shuffled = sorted(rows, key=lambda row: (row[1], row[4]))
    other = evaluate(
        Detections.from_rows(shuffled, videos=["v4", "empty"], classes=["z"]),
        annotations_of(truth, ["v0"]),
        PROTOCOL,
    )
    assert other.mean_ap == pytest.approx(base.mean_ap, abs=1e-12)
