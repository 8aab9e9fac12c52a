"""The choice of a checkpoint: what is held out, what is measured, what wins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.core.weak_videos import WeakVideos
from duetal.results.schema import StageRecord
from duetal.runs.selection import best_stages, last_stages
from duetal.tuning.held_out import hold_out, video_mean_ap


def weak(labels: np.ndarray) -> WeakVideos:
    names = tuple(f"v{row}" for row in range(len(labels)))
    classes = tuple(f"c{column}" for column in range(labels.shape[1]))
    none: Any = None
    return WeakVideos(Path("data"), names, classes, labels, none, TimeGrid(), None, {})


LABELS = arrays(np.bool_, st.tuples(st.integers(2, 12), st.integers(1, 4)))


@given(LABELS, st.floats(0.05, 0.9), st.integers(0, 99))
def test_every_class_keeps_a_video_to_train_on(
    labels: np.ndarray, fraction: float, seed: int
) -> None:
    videos = weak(labels | (np.arange(len(labels)) == 0)[:, None])
    try:
        kept, held = hold_out(videos, fraction, seed)
    except DuetalError:
        # Whichever video left, a class would lose its only one.
        counts = videos.labels.sum(axis=0)
        assert all((counts[row] == 1).any() for row in videos.labels)
        return
    assert sorted(kept.names + held.names) == sorted(videos.names)
    assert set(kept.names).isdisjoint(held.names)
    assert kept.labels.any(axis=0).all()
    assert 1 <= len(held.names) <= max(1, round(fraction * len(videos.names)))
    for part in (kept, held):
        rows = [videos.names.index(name) for name in part.names]
        assert (part.labels == videos.labels[rows]).all()


def test_what_is_held_out_depends_on_the_seed_alone() -> None:
    videos = weak(np.ones((20, 2), dtype=bool))
    first = hold_out(videos, 0.2, 7)[1].names
    assert len(first) == 4
    assert hold_out(videos, 0.2, 7)[1].names == first
    assert any(hold_out(videos, 0.2, seed)[1].names != first for seed in range(5))


def test_nothing_to_hold_out_is_an_error() -> None:
    with pytest.raises(DuetalError, match="no training video can be held out"):
        hold_out(weak(np.eye(3, dtype=bool)), 0.2, 0)


def slow_mean_ap(scores: np.ndarray, labels: np.ndarray) -> float:
    """From the definition: the mean precision at the rank of every right video, ties at worst."""
    found = []
    for column in range(labels.shape[1]):
        precisions = []
        for row in range(len(labels)):
            if labels[row, column]:
                above = [r for r in range(len(labels)) if scores[r, column] >= scores[row, column]]
                precisions.append(sum(labels[r, column] for r in above) / len(above))
        if precisions:
            found.append(sum(precisions) / len(precisions))
    return sum(found) / len(found) if found else 0.0


@given(LABELS, st.data())
def test_video_mean_ap_is_its_definition(labels: np.ndarray, data: st.DataObject) -> None:
    # Few distinct values, so that there are ties.
    tenths = data.draw(arrays(np.int64, labels.shape, elements=st.integers(0, 4)))
    assert video_mean_ap(tenths / 10, labels) == pytest.approx(slow_mean_ap(tenths / 10, labels))
    # A video of weight 3 counts as three.
    times = data.draw(arrays(np.int64, len(labels), elements=st.integers(1, 3)))
    often = (np.repeat(x, times, axis=0) for x in (tenths / 10, labels))
    weights = np.repeat(times[:, None], labels.shape[1], axis=1)
    found = video_mean_ap(tenths / 10, labels, weights)
    assert found == pytest.approx(slow_mean_ap(*often))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.9, 0.8, 0.1, 0.0], 1.0), ([0.1, 0.0, 0.9, 0.8], 5 / 12), ([0.5] * 4, 0.5)],
)
def test_video_mean_ap_by_hand(scores: list[float], expected: float) -> None:
    labels = np.array([True, True, False, False])[:, None]
    assert video_mean_ap(np.array(scores)[:, None], labels) == pytest.approx(expected)


NAMES = ["cbp-warmup", "vlp-zeroshot", "vlp-b1", "cbp-f1", "vlp-b2", "cbp-f2"]
STAGES = [StageRecord(name=name, title=name, branch=name[:3]) for name in NAMES]


@pytest.mark.parametrize(
    ("mean_ap", "cbp", "vlp"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "cbp-f2", "vlp-b2"),
        ([0.9, 0.9, 0.3, 0.4, 0.5, 0.6], "cbp-warmup", "vlp-zeroshot"),
        ([0.9, 0.9, 0.9, 0.9, 0.5, 0.6], "cbp-f1", "vlp-b1"),
    ],
)
def test_the_best_wins_and_of_equals_the_later(mean_ap: list[float], cbp: str, vlp: str) -> None:
    final = best_stages(STAGES, dict(zip(NAMES, mean_ap, strict=True)))
    assert final == {"cbp": cbp, "vlp": vlp}


def test_the_last() -> None:
    assert last_stages(STAGES) == {"cbp": "cbp-f2", "vlp": "vlp-b2"}
    assert last_stages(STAGES[:1]) == {"cbp": "cbp-warmup"}
