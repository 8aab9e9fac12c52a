"""What so many videos promise, and that it is what the documentation shows as measured."""

import re
from pathlib import Path

import pytest

from duetal.own_videos.expectation import ALL, CURVE, enough, expectation, share

PAGE = Path(__file__).parents[2] / "docs" / "own-videos.md"


def videos(**counts: int) -> list[tuple[str, ...]]:
    return [(label,) for label, count in counts.items() for _ in range(count)]


def test_the_curve_is_the_table_of_the_documentation() -> None:
    row = re.compile(r"^\| (\d+) \| [\d,]+ \| ([\d.]+) ± [\d.]+ \| (\d+) % \|$", re.MULTILINE)
    rows = row.findall(PAGE.read_text(encoding="utf-8"))
    measured = (*CURVE, ALL)
    assert [(int(videos), float(value)) for videos, value, _ in rows] == [
        (row.videos, row.mean_ap) for row in measured
    ]
    assert [int(percent) for *_, percent in rows] == [round(share(row)) for row in measured]


def test_counts_and_the_rarest_class_come_first() -> None:
    first, *_ = expectation([*videos(Diving=20, Jump=9), ("Diving", "Jump")])
    assert first == "30 training videos of 2 classes; the rarest, 'Jump', is in 10 of them."
    first, *_ = expectation([*videos(Jump=9), (), ()])
    assert first == (
        "9 training videos of 1 class; the rarest, 'Jump', is in 9 of them, "
        "and 2 in which nothing of them happens."
    )


@pytest.mark.parametrize(
    ("rarest", "message"),
    [
        (1, "fewer were never tried, and will give less than this: 5 videos a class gave 46 %"),
        (5, "not on video: 5 videos a class gave 46 % of the mAP that 41 and more gave"),
        (8, ": 5 videos a class gave 46 % and 10 videos a class gave 70 % of the mAP"),
        (40, "not on video: 40 videos a class gave 93 % of the mAP that 41 and more gave"),
        (5000, "not on video: 40 videos a class gave 93 % of the mAP"),
    ],
)
def test_what_was_measured_nearby_is_reported(rarest: int, message: str) -> None:
    assert message in expectation(videos(A=rarest, B=rarest + 1))[1]


def test_classes_short_of_videos_are_named_the_rarest_first() -> None:
    many = enough()
    advice = expectation(videos(A=many, B=many - 1, C=1))[-1]
    assert (
        advice
        == f"Aim for {many} or more videos of each class; short of it: C (1), B ({many - 1})."
    )
    letters = {chr(65 + k): k + 1 for k in range(9)}
    advice = expectation(videos(**letters))[-1]
    assert "A (1), B (2), C (3), D (4), E (5) and " in advice
    assert "more gained little" in expectation(videos(A=many, B=many))[-1]
