import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.detections import Detections
from duetal.localization.non_overlapping import keep_non_overlapping, score_floor

Row = tuple[str, str, float, float, float]
TIMES = st.integers(0, 12)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    start, length = draw(TIMES), draw(st.integers(1, 6))
    video, label = draw(st.sampled_from("vw")), draw(st.sampled_from("AB"))
    return video, label, float(start), float(start + length), draw(st.floats(0, 1))


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([], []),
        ([("v", "A", 0, 2, 0.5), ("v", "A", 1, 3, 0.6)], [False, True]),
        # Touching is not overlapping; another class or video does not count.
        ([("v", "A", 0, 2, 0.5), ("v", "A", 2, 3, 0.6)], [True, True]),
        ([("v", "A", 0, 2, 0.5), ("v", "B", 1, 3, 0.6)], [True, True]),
        ([("v", "A", 0, 2, 0.5), ("w", "A", 1, 3, 0.6)], [True, True]),
        # A dropped detection does not drop the next.
        ([("v", "A", 0, 4, 0.5), ("v", "A", 3, 7, 0.4), ("v", "A", 5, 8, 0.3)],
         [True, False, True]),
        ([("v", "A", 0, 9, 0.9), ("v", "A", 3, 4, 0.4)], [True, False]),
        ([("v", "A", 3, 4, 0.9), ("v", "A", 0, 9, 0.4)], [True, False]),
    ],
)  # fmt: skip
def test_the_higher_scoring_of_two_is_kept(found: list[Row], kept: list[bool]) -> None:
    assert keep_non_overlapping(Detections.from_rows(found)).tolist() == kept


@given(found=st.lists(rows(), max_size=12), floor=st.floats(0, 1))
def test_a_floor_before_or_after_gives_the_same(found: list[Row], floor: float) -> None:
    detections = Detections.from_rows(found)
    above = detections.score >= floor
    after = keep_non_overlapping(detections)[above]
    np.testing.assert_array_equal(keep_non_overlapping(detections.take(above)), after)


@given(found=st.lists(rows(), max_size=12))
def test_no_kept_ones_overlap_and_a_dropped_one_overlaps_a_kept_one(found: list[Row]) -> None:
    kept = keep_non_overlapping(Detections.from_rows(found))

    def overlap(a: Row, b: Row) -> bool:
        return a[:2] == b[:2] and a[2] < b[3] and b[2] < a[3]

    for i, row in enumerate(found):
        others = [found[j] for j in np.flatnonzero(kept) if j != i and overlap(row, found[j])]
        if kept[i]:
            assert others == []
        else:
            assert any(other[4] >= row[4] for other in others)


@pytest.mark.parametrize(
    ("found", "floor"),
    [([], 0.0), ([("v", "A", 0, 1, 0.8), ("v", "A", 0, 1, 0.1), ("w", "A", 0, 1, 0.5)], 0.25),
     ([("v", "A", 0, 1, -0.8)], 0.0)],
)  # fmt: skip
def test_every_video_keeps_its_top_detection(found: list[Row], floor: float) -> None:
    detections = Detections.from_rows(found, videos=["empty"])
    assert score_floor(detections) == floor
