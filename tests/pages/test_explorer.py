import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.evaluation.diagnosis import diagnose
from duetal.evaluation.false_positives import KINDS
from duetal.evaluation.protocols import SECONDS
from duetal.pages import explorer
from duetal.pages.explorer import Lane, explore, top_of_each
from duetal.pages.judgement import NOT_JUDGED, judge
from duetal.pages.run_files import read_videos
from duetal.results.folder import RunFolder


def annotations(**videos):
    """Segments as `(start, end, label)` by video."""
    made = {}
    for name, rows in videos.items():
        segments = tuple(Segment(*row) for row in rows)
        labels = tuple(sorted({row[2] for row in rows}))
        made[name] = VideoAnnotation(name, "test", 20.0, labels, segments)
    classes = sorted({label for video in made.values() for label in video.labels})
    return Annotations(made, tuple(classes))


TRUTH = annotations(v=[(8, 10, "A"), (0, 4, "A")], w=[(2, 6, "B")])
ROWS = [
    ("v", "A", 0.0, 4.0, 0.9),  # true
    ("v", "A", 0.2, 4.0, 0.8),  # double
    ("v", "B", 8.0, 10.0, 0.7),  # wrong label
    ("w", "B", 4.0, 12.0, 0.6),  # localization
    ("w", "B", 12.0, 14.0, 0.5),  # background
    ("v", "Other", 0.0, 4.0, 0.4),  # of a class that is nowhere annotated
]
NAMES = ["true positive", "double detection", "wrong label", "localization", "background", None]


def lane(rows, title="run"):
    return Lane(title, "A", "mark-1", Detections.from_rows(rows))


def read(text, width):
    return np.frombuffer(base64.b64decode(text), width)


def kinds_of(columns, thresholds, threshold):
    packed = read(columns["kind"], "u1").reshape(-1, (thresholds + 1) // 2)
    return (packed[:, threshold // 2] >> (4 * (threshold % 2))) & 15


def test_every_row_has_its_kind_at_every_threshold():
    data = explore([lane(ROWS)], TRUTH, SECONDS).data
    (columns,) = data["lanes"]
    assert (data["videos"], data["classes"]) == (["v", "w"], ["A", "B", "Other"])
    assert data["tiou"][data["shown"]] == 0.5
    np.testing.assert_array_equal(read(columns["offsets"], "<u4"), [0, 4, 6])
    shown = [NAMES[i] for i in (0, 1, 2, 5, 3, 4)]  # by video, the highest-scoring first
    kinds = [KINDS[k] if k < NOT_JUDGED else None for k in kinds_of(columns, 7, data["shown"])]
    assert kinds == shown
    np.testing.assert_allclose(read(columns["start"], "<f4"), [0, 0.2, 8, 0, 4, 12])


def test_missed_segments_are_marked_by_threshold_in_the_order_of_the_annotation():
    (columns,) = explore([lane(ROWS)], TRUTH, SECONDS).data["lanes"]
    missed = read(columns["missed"], "<u2")
    at = [[bool(bits >> k & 1) for k in range(7)] for bits in missed]
    # 8-10 by nothing of its class, 0-4 exactly, 2-6 with a tIoU of 0.2.
    assert at == [[True] * 7, [False] * 7, [False, False, *[True] * 5]]


def test_kinds_are_those_of_the_diagnosis(fake_run):
    found = read_videos(RunFolder(fake_run(videos=6)))
    detections = found.found["cbp-f1"]
    judgement = judge(detections, found.truth, SECONDS)
    for threshold in (0.3, 0.5):
        column = SECONDS.tiou.index(threshold)
        diagnosis = diagnose(detections, found.truth, SECONDS, tiou=threshold)
        counts = np.bincount(judgement.kinds[:, column], minlength=7)
        dropped = sum(diagnosis.evaluation.dropped.values())
        assert counts.tolist() == [diagnosis.profile.whole[kind] for kind in KINDS] + [dropped]
        missed = np.concatenate(list(judgement.missed.values())) >> column & 1
        assert missed.mean() == pytest.approx(diagnosis.sensitivity.missed)


def test_segments_of_videos_that_are_not_judged_are_shown_and_not_asked_for():
    further = annotations(train=[(1, 2, "A")], v=[(0, 1, "B")])
    rows = [*ROWS, ("train", "A", 1.0, 2.0, 0.5)]
    data = explore([lane(rows)], TRUTH, SECONDS, further=further).data
    assert data["videos"] == ["v", "w", "train"]
    truth, (columns,) = data["truth"], data["lanes"]
    np.testing.assert_array_equal(read(truth["offsets"], "<u4"), [0, 2, 3, 4])
    assert read(columns["missed"], "<u2")[-1] == 1 << 15
    # The annotation does not list the video, so what is found there is wrong, as everywhere else.
    assert KINDS[kinds_of(columns, 7, 0)[-1]] == "background"


def test_without_a_segment_nothing_is_judged():
    weak = Annotations({"v": VideoAnnotation("v", "test", 5.0, ("A",))}, ("A",))
    for truth in (None, weak):
        exploration = explore([lane(ROWS)], truth, SECONDS)
        assert not exploration.has_truth
        assert exploration.data["tiou"] == []
        assert "kind" not in exploration.data["lanes"][0]


def test_nothing_at_all_is_no_videos():
    assert explore([], None, SECONDS).videos == 0


def test_each_lane_keeps_the_top_of_each_video(monkeypatch):
    monkeypatch.setattr(explorer, "MAX_ROWS", 8)
    exploration = explore([lane(ROWS), lane(ROWS)], TRUTH, SECONDS)
    assert (exploration.kept, exploration.total) == (8, 12)
    scores = read(exploration.data["lanes"][0]["score"], "<f4")
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.6, 0.5])


@given(
    groups=st.lists(st.integers(0, 5), max_size=60),
    room=st.integers(0, 70),
    seed=st.integers(0, 99),
)
def test_the_top_of_each_group_fill_the_room(groups, room, seed):
    group = np.array(groups, dtype=np.int64)
    score = np.random.default_rng(seed).random(len(group))
    rows = top_of_each(group, score, room)
    assert len(rows) <= room or not len(group)
    kept = np.bincount(group[rows], minlength=6)
    sizes = np.bincount(group, minlength=6)
    # One more of each would not have fitted, and no group had less than a share that others had.
    assert (np.minimum(sizes, kept.max() + 1).sum() > room) or (kept == sizes).all()
    assert (kept == np.minimum(sizes, kept.max())).all()
    for value in range(6):
        mine = rows[group[rows] == value]
        best = np.sort(score[group == value])[::-1][: len(mine)]
        np.testing.assert_array_equal(score[mine], best)


def test_thirty_thousand_predictions_are_about_a_megabyte():
    random = np.random.default_rng(0)
    truth = annotations(**{f"v{i}": [(0, 5, "A"), (9, 12, "B")] for i in range(213)})
    start = random.uniform(0, 15, 30_000)
    detections = Detections(
        tuple(truth.videos), ("A", "B"), random.integers(0, 213, 30_000),
        random.integers(0, 2, 30_000), start, start + 2, random.random(30_000),
    )  # fmt: skip
    exploration = explore([Lane("run", "A", "mark-1", detections)], truth, SECONDS)
    assert exploration.kept == exploration.total == 30_000
    assert len(json.dumps(exploration.data)) < 1_200_000
