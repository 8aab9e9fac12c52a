"""In which order stretches are to be looked at, and why."""

from collections import Counter

import numpy as np
import pytest

from duetal.review.next_up import COVERED, ClassScores, NextUp

SECONDS = 40
CENTRES = np.arange(SECONDS) + 0.5
SURE = np.where(CENTRES < 10, 0.9, 0.0)


def scores(label, *branches, video="v"):
    titles = ("CBP", "VLP")[: len(branches)]
    values = (np.broadcast_to(np.float32(values), CENTRES.shape) for values in branches)
    return ClassScores(video, label, CENTRES, dict(zip(titles, values, strict=True)))


@pytest.mark.parametrize(
    ("branches", "doubt"),
    [
        ((SURE, SURE), 0.0),
        ((SURE, 0 * SURE), 1.0),
        ((SURE, SURE[::-1]), 1.0),
        # Of one branch, what is near the middle.
        ((SURE,), 0.1 / 0.9),
        ((0.5,), 1.0),
        ((0.0,), 0.0),
    ],
)
def test_a_class_is_in_doubt_as_far_as_the_branches_differ(branches, doubt):
    assert NextUp([scores("Dive", *branches)]).doubts["Dive"] == pytest.approx(doubt, abs=1e-6)


def videos_of(*doubtful, videos=200):
    """Videos with a class for each pair of branches' scores."""
    return [
        scores(label, *branches, video=f"v{n}")
        for n in range(videos)
        for label, *branches in doubtful
    ]


TWO = (("Dive", SURE, 0 * SURE), ("Jump", SURE, SURE / 2))


def test_a_class_of_more_doubt_comes_first_and_the_others_follow():
    order = NextUp(videos_of(*TWO)).order({}, most=10**6)
    assert len(order) == 2 * 200 * 4
    # Half the doubt: the other has a lead of log(2) times the stretches that cover a class.
    lead = round(COVERED * np.log(2))
    assert {one.label for one in order[:lead]} == {"Dive"}
    for count in (20, 100, 1000):
        numbers = Counter(one.label for one in order[:count])
        assert numbers["Dive"] - numbers["Jump"] == pytest.approx(lead, abs=1)
    # The same draw each time, of all videos and of all their parts; another is another.
    assert NextUp(videos_of(*TWO)).order({}, most=5) == order[:5]
    assert NextUp(videos_of(*TWO), draw=1).order({}, most=5) != order[:5]
    # Where something of the class is seen, and now and then where nothing is.
    places = Counter(one.start for one in order[:200])
    assert places[0.0] == pytest.approx(200 * 4.1 / 4.4, abs=10)
    assert set(places) == {0.0, 10.0, 20.0, 30.0}
    assert len({one.video for one in order[:20]}) > 12


def test_what_was_looked_through_makes_way_for_other_classes():
    known = {(f"v{n}", "Dive"): np.ones(SECONDS, dtype=bool) for n in range(3)}
    order = NextUp(videos_of(*TWO)).order(known, most=10)
    # Twelve stretches of one class are known, and half a dozen make up for its doubt.
    assert [one.label for one in order[:6]] == ["Jump"] * 6


def test_what_is_known_is_not_shown_again():
    next_up = NextUp([scores("Dive", SURE, 0 * SURE), scores("Jump", SURE, SURE)])
    known = {("v", "Dive"): (CENTRES > 4) & (CENTRES < 36), ("v", "Jump"): CENTRES < 4}
    left = {(one.label, one.start, one.end) for one in next_up.order(known, most=99)}
    assert left == {("Jump", 10.0 * i, 10.0 * i + 10) for i in range(4)}
    assert len(next_up.order(known, most=1)) == 1
    assert NextUp([]).order({}, most=9) == []


@pytest.mark.parametrize(
    ("branches", "known", "reason"),
    [
        ((SURE, SURE * np.where(CENTRES < 3, 0.1, 1)), False,
         "the branches disagree about Dive at 0 s: CBP 0.90, VLP 0.09; none of it is checked yet"),
        ((SURE, SURE * 0.9), True,
         "the branches disagree about 10% of Dive, though not here"),
        ((np.where(CENTRES == 5.5, 0.6, SURE),), True, "Dive at 6 s is uncertain: CBP 0.60"),
        ((SURE,), True, "11% of Dive is uncertain, though not here"),
    ],
)  # fmt: skip
def test_a_reason_says_what_is_in_doubt_and_where(branches, known, reason):
    order = NextUp([scores("Dive", *branches)]).order(
        {("v", "Dive"): (CENTRES > 30) & known}, most=9
    )
    assert next(one for one in order if one.start == 0).reason == reason


def test_stretches_are_about_as_long_as_asked_for():
    one = ClassScores("v", "Dive", 1.5 + 0.8 * np.arange(30), {"CBP": np.zeros(30, np.float32)})
    for length, expected in ((24, 1), (11, 2), (0.1, 30), (1000, 1)):
        order = NextUp([one], length=length).order({}, most=99)
        assert len(order) == expected
        assert min(o.start for o in order) == pytest.approx(1.1)
        assert max(o.end for o in order) == pytest.approx(25.1)
