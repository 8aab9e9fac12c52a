"""What a frozen teacher is confident of."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from duetal.config import Config
from duetal.core.weak_videos import WeakVideos
from duetal.method.layers import BranchNetwork
from duetal.method.losses import LossSettings
from duetal.method.pseudo_labels import (
    BACKGROUND,
    FOREGROUND,
    IGNORED,
    ScoreRange,
    TeacherScore,
    count_labels,
    make_pseudo_labels,
    threshold,
)
from duetal.method.video_scoring import score_video

F, B, I = FOREGROUND, BACKGROUND, IGNORED  # noqa: E741
VIDEO, CLASS, NONE = ScoreRange.VIDEO, ScoreRange.CLASS, ScoreRange.NONE


@pytest.mark.parametrize(
    ("scores", "present", "normalization", "expected"),
    [
        pytest.param(
            [[0.0, 0.9], [0.5, 0.9], [1.0, 0.9]], [1, 0], VIDEO, [[B, B], [I, B], [F, B]],
            id="absent classes are background, whatever their score",
        ),
        pytest.param(
            [[0.0, 0.1], [1.0, 0.2], [0.5, 0.3]], [1, 1], VIDEO, [[B, B], [F, I], [I, I]],
            id="video: over the present classes together",
        ),
        pytest.param(
            [[0.0, 0.1], [1.0, 0.2], [0.5, 0.3]], [1, 1], CLASS, [[B, B], [F, I], [I, F]],
            id="class: each by itself",
        ),
        pytest.param(
            [[0.2, 0.1], [0.8, 0.69], [0.71, 0.0]], [1, 1], NONE, [[I, B], [F, I], [F, B]],
            id="none: as they are",
        ),
        pytest.param(
            [[9.0, -5.0], [1.0, -9.0], [5.0, 2.0]], [1, 0], VIDEO, [[F, B], [B, B], [I, B]],
            id="logits of any size; absent classes do not stretch the scale",
        ),
        pytest.param(
            [[0.7], [0.15], [0.0], [1.0]], [1], NONE, [[I], [I], [B], [F]],
            id="exactly at a threshold is ignored",
        ),
        pytest.param(
            [[0.4], [0.4 + 1e-7], [0.4]], [1], VIDEO, [[I], [I], [I]],
            id="a flat curve teaches nothing",
        ),
        pytest.param(
            [[0.4, 0.1], [0.4, 0.9], [0.4, 0.2]], [1, 1], CLASS, [[I, B], [I, F], [I, B]],
            id="nor does a flat curve beside another",
        ),
        pytest.param(
            [[1.0], [1.0], [0.0]], [1], CLASS, [[F], [F], [B]],
            id="ties at the top are all foreground",
        ),
        pytest.param([[0.9, 0.2]], [1, 0], VIDEO, [[I, B]], id="one snippet has no scale"),
        pytest.param([[0.9, 0.9]], [0, 0], VIDEO, [[B, B]], id="no class present"),
    ],
)  # fmt: skip
def test_threshold(
    scores: list[list[float]],
    present: list[int],
    normalization: ScoreRange,
    expected: list[list[int]],
) -> None:
    labels = threshold(
        np.array(scores, dtype=np.float64).astype(np.float64),
        np.array(present, dtype=bool),
        LossSettings(pseudo_normalization=normalization, pseudo_high=0.7),
    )
    assert labels.dtype == np.int8
    assert labels.tolist() == expected


EASY = LossSettings(pseudo_high=0.6, pseudo_low=0.3, pseudo_normalization=VIDEO)


@pytest.mark.parametrize("kind", ["cbp", "vlp"])
@pytest.mark.parametrize("score", list(TeacherScore))
def test_a_teacher_is_frozen_and_scores_whole_videos(
    videos: WeakVideos,
    make_config: Callable[..., Config],
    make_branch: Callable[[Config, str], BranchNetwork],
    kind: str,
    score: TeacherScore,
) -> None:
    teacher = make_branch(make_config(dropout=0.5), kind).eval()
    stream = videos.streams[kind]
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    state = torch.random.get_rng_state()
    settings = EASY.model_copy(update={"pseudo_score": score})
    pseudo = make_pseudo_labels(teacher, videos, stream, settings, window=16)

    assert not teacher.training
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(before[name], t) for name, t in teacher.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)  # no dropout was drawn
    for row, name in enumerate(videos.names):
        scores = score_video(teacher, stream, name, 16)
        if score is TeacherScore.PROBABILITY:
            scores = 1 / (1 + np.exp(-scores))
        np.testing.assert_array_equal(pseudo[row], threshold(scores, videos.labels[row], EASY))
    assert {F, B} <= set(np.unique(np.concatenate(list(pseudo))))


def test_counts_are_over_present_classes(videos: WeakVideos) -> None:
    labels = [np.full((videos.length(n), 3), F, dtype=np.int8) for n in videos.names]
    labels[0][:2] = B
    labels[0][2] = I
    counts = count_labels(labels, videos)
    lengths = np.array([videos.length(name) for name in videos.names])
    carried = int(videos.labels[0].sum())
    assert counts["background"] == 2 * carried
    assert counts["ignored"] == carried
    assert counts["snippets"] == int((lengths[:, None] * videos.labels).sum())
    for k, name in enumerate(videos.classes):
        total = int(lengths[videos.labels[:, k]].sum())
        assert sum(counts["classes"][name].values()) == total
