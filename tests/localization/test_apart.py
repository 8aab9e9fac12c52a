import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.detections import Detections
from duetal.localization.apart import floor_of_the_surest, surest_apart

Row = tuple[str, str, float, float, float]
TIMES = st.integers(0, 12)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    start, length = draw(TIMES), draw(st.integers(1, 6))
    video, label = draw(st.sampled_from("vw")), draw(st.sampled_from("AB"))
    return video, label, float(start), float(start + length), draw(st.floats(0, 1))


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        ([], []),
        ([("v", "A", 0, 2, 0.5), ("v", "A", 1, 3, 0.6)], [False, True]),
        # Touching is not overlapping; another class or video does not count.
        ([("v", "A", 0, 2, 0.5), ("v", "A", 2, 3, 0.6)], [True, True]),
        ([("v", "A", 0, 2, 0.5), ("v", "B", 1, 3, 0.6)], [True, True]),
        ([("v", "A", 0, 2, 0.5), ("w", "A", 1, 3, 0.6)], [True, True]),
        # Whom the surest silences does not silence the next.
        ([("v", "A", 0, 4, 0.5), ("v", "A", 3, 7, 0.4), ("v", "A", 5, 8, 0.3)],
         [True, False, True]),
        ([("v", "A", 0, 9, 0.9), ("v", "A", 3, 4, 0.4)], [True, False]),
        ([("v", "A", 3, 4, 0.9), ("v", "A", 0, 9, 0.4)], [True, False]),
    ],
)  # fmt: skip
def test_the_surer_of_two_speaks(found: list[Row], taken: list[bool]) -> None:
    assert surest_apart(Detections.from_rows(found)).tolist() == taken


@given(found=st.lists(rows(), max_size=12), floor=st.floats(0, 1))
def test_a_floor_before_or_after_gives_the_same(found: list[Row], floor: float) -> None:
    detections = Detections.from_rows(found)
    above = detections.score >= floor
    after = surest_apart(detections)[above]
    np.testing.assert_array_equal(surest_apart(detections.take(above)), after)


@given(found=st.lists(rows(), max_size=12))
def test_what_is_taken_is_apart_and_what_is_not_was_silenced(found: list[Row]) -> None:
    taken = surest_apart(Detections.from_rows(found))

    def overlap(a: Row, b: Row) -> bool:
        return a[:2] == b[:2] and a[2] < b[3] and b[2] < a[3]

    for i, row in enumerate(found):
        others = [found[j] for j in np.flatnonzero(taken) if j != i and overlap(row, found[j])]
        if taken[i]:
            assert others == []
        else:
            assert any(other[4] >= row[4] for other in others)


@pytest.mark.parametrize(
    ("found", "floor"),
    [([], 0.0), ([("v", "A", 0, 1, 0.8), ("v", "A", 0, 1, 0.1), ("w", "A", 0, 1, 0.5)], 0.25),
     ([("v", "A", 0, 1, -0.8)], 0.0)],
)  # fmt: skip
def test_every_video_keeps_its_surest(found: list[Row], floor: float) -> None:
    detections = Detections.from_rows(found, videos=["empty"])
    assert floor_of_the_surest(detections) == floor
