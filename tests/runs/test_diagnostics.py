"""Precision and recall by snippet, against examples counted by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from duetal.core.annotations import Segment, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.core.grid import TimeGrid
from duetal.results import checkpoints
from duetal.runs.diagnostics import (
    count_hits,
    precision_recall,
    pseudo_label_scores,
    read_pseudo_labels,
    snippet_hits,
    snippet_scores,
    snippet_truth,
)

#: A snippet a second; snippet t has its centre at t + 0.5.
GRID = TimeGrid(fps=16.0, stride=16, window=16)
CLASSES = ("Diving", "HighJump", "LongJump")


def video(*segments: tuple[float, float, str]) -> VideoAnnotation:
    made = tuple(Segment(*segment) for segment in segments)
    return VideoAnnotation("v", "test", 6.0, tuple({s.label for s in made}), made)


def test_truth_is_at_the_snippets_centres() -> None:
    known = video((1.0, 3.0, "HighJump"), (4.6, 9.0, "HighJump"), (2.0, 2.4, "Diving"))
    truth, present = snippet_truth(known, CLASSES, 6, GRID)
    assert present.tolist() == [True, True, False]
    assert np.flatnonzero(truth[:, 1]).tolist() == [1, 2, 5]
    assert not truth[:, [0, 2]].any()


def test_nothing_predicted_has_no_precision_and_nothing_true_no_recall() -> None:
    assert precision_recall(np.zeros(3, dtype=np.int64)) == (None, None)
    hits = count_hits(np.array([True, True, False, False]), np.array([True, False, True, True]))
    assert precision_recall(hits) == (1 / 2, 1 / 3)


def test_a_stage_is_judged_over_present_classes_on_stretched_scores() -> None:
    scores = np.zeros((4, 3))
    # Over the present classes scores span 0.1 to 0.3, so "action" is above 0.2.
    scores[:, 0] = [0.3, 0.25, 0.1, 0.1]
    scores[:, 1] = [0.1, 0.1, 0.15, 0.21]
    scores[:, 2] = 0.9
    known = video((0.0, 1.0, "Diving"), (2.0, 4.0, "HighJump"))
    hits = snippet_hits(scores, known, CLASSES, GRID)
    assert hits.tolist() == [3, 3, 2]
    assert not snippet_hits(scores, video(), CLASSES, GRID).any()
    assert snippet_scores(hits).to_json() == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    )


def test_a_flat_stage_predicts_nothing() -> None:
    hits = snippet_hits(np.full((4, 3), 0.5), video((0.0, 1.0, "Diving")), CLASSES, GRID)
    assert snippet_scores(hits).to_json() == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_pseudo_labels_are_judged_over_present_classes() -> None:
    labels = np.zeros((4, 3), dtype=np.int8)
    labels[:, 0] = [1, 1, -1, 0]
    labels[:, 1] = 1
    known = {"v": video((1.0, 4.0, "Diving")), "without pseudo-labels": video((0.0, 1.0, "Diving"))}
    scores = pseudo_label_scores({"v": labels, "unknown": labels}, known, CLASSES, GRID)
    assert scores.to_json() == {
        "foreground_precision": 1 / 2,
        "foreground_recall": 1 / 3,
        "background_precision": 0.0,
        "background_recall": 0.0,
    }


def test_a_file_of_something_else_holds_no_pseudo_labels(tmp_path: Path) -> None:
    path = tmp_path / "B1.safetensors"
    checkpoints.save(path, {"v": torch.zeros(3, 2)}, {})
    with pytest.raises(DuetalError, match="holds no pseudo-labels"):
        read_pseudo_labels(path)
    checkpoints.save(path, {"v": torch.ones(3, 2, dtype=torch.int8)}, {})
    assert read_pseudo_labels(path)["v"].tolist() == [[1, 1]] * 3
