import pytest

from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.review.exchange import as_annotations, changes_to, looked_through, write_table
from duetal.review.statements import Statement, StatementKind, Verdict

ACTION, LABEL, LOOKED, CLASS = StatementKind
JUMP = Statement(ACTION, "Jump", 1.0, 2.0, 0.9)
OPEN = JUMP._replace(verdict=Verdict.OPEN)
REJECTED = JUMP._replace(verdict=Verdict.REJECTED)
OF_JUMP = Statement(LOOKED, "Jump", 0.0, 10.0)
ALL, HALF, REST = (Statement(LOOKED, "", *span) for span in ((0, 9.99), (0, 5), (5.01, 10)))


@pytest.mark.parametrize(
    ("statements", "expected"),
    [([], False), ([ALL], True), ([HALF], False), ([REST, HALF], True), ([REST], False),
     ([JUMP._replace(start=0, end=10)], False), ([OF_JUMP], False)],
)  # fmt: skip
def test_a_video_is_looked_through_where_every_stretch_is(statements, expected):
    assert looked_through(dict(enumerate(statements)), 10.0) == expected


@pytest.mark.parametrize(
    ("statements", "labels", "segments", "is_background"),
    [
        ([], None, None, None),
        ([OPEN], None, None, None),
        ([REJECTED], None, None, None),
        ([JUMP], ("Jump",), 1, False),
        ([JUMP, OPEN, REJECTED], ("Jump",), 1, False),
        ([Statement(LABEL, "Dive")], ("Dive",), None, False),
        ([Statement(LABEL, "Dive", verdict=Verdict.REJECTED)], None, None, None),
        ([JUMP, Statement(LABEL, "Dive")], ("Dive", "Jump"), 1, False),
        ([ALL, REJECTED], (), 0, True),
        ([HALF], None, None, None),
    ],
)
def test_what_is_known_of_a_video_as_an_annotation(statements, labels, segments, is_background):
    states = {"v": dict(enumerate(statements))}
    known = as_annotations(states, {"v": 10.0, "untouched": 5.0}, ("Dive",))
    if labels is None:
        assert known.videos == {}
        return
    video = known.videos["v"]
    assert (video.labels, video.duration) == (labels, 10.0)
    assert (None if video.segments is None else len(video.segments)) == segments
    assert video.is_background == is_background
    assert known.classes[0] == "Dive"


def test_labels_that_come_in_are_stated_of_the_video():
    states = {"v": {1: Statement(LABEL, "Dive", verdict=Verdict.REJECTED), 2: JUMP}}
    videos = {"v": VideoAnnotation("v", labels=("Dive", "Jump", "Run"))}
    annotations = Annotations(videos, ("Dive", "Jump", "Run"))
    changes = changes_to(states, annotations, iter([7, 8]).__next__)
    # Where Jump is known to be, that it occurs is no news.
    assert [(c.number, c.after) for c in changes] == [
        (1, Statement(LABEL, "Dive")), (7, Statement(LABEL, "Run")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("actions", "absent"),
    [
        ([], ["0.0,10.0"]),
        ([(1, 2), (4, 5)], ["0.0,1", "2,4", "5,10.0"]),
        ([(-1, 2), (1.5, 4), (9, 11)], ["4,9"]),
        # Where a point lies an action goes on, nobody knows how far.
        ([(1, 2), (3, 3), (4, 5)], ["0.0,1", "5,10.0"]),
        ([(7, 7), (12, 12)], []),
    ],
)
def test_a_class_is_absent_where_it_was_looked_for_and_is_not(tmp_path, actions, absent):
    other = Statement(ACTION, "Dive", 6, 7)
    jumps = [JUMP._replace(start=start, end=end) for start, end in actions]
    state = dict(enumerate([OF_JUMP, other, REJECTED._replace(start=20, end=21), *jumps]))
    write_table(tmp_path / "table.csv", {"v": state})
    rows = (tmp_path / "table.csv").read_text().splitlines()
    found = [row.split(",") for row in rows if row.endswith("absent") and ",20" not in row]
    assert [(name, label, f"{a},{b}") for name, label, a, b, _ in found] == [
        ("v", "Jump", gap) for gap in absent
    ]
