"""What is certain of a training video: segments, points as they grow, looked-through stretches."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from duetal.core.grid import TimeGrid
from duetal.core.known_times import KnownTimes
from duetal.core.weak_videos import WeakVideos
from duetal.method import loop
from duetal.method.certain_labels import KnownLossSettings, make_certain_labels
from duetal.method.layers import BranchNetwork
from duetal.method.loop import compute_losses
from duetal.method.losses import LossSettings, Predictions, known
from duetal.method.pseudo_labels import BACKGROUND, FOREGROUND, IGNORED, PseudoLabels
from duetal.method.sampling import Crop, load

GRID = TimeGrid(fps=1, stride=1, window=1)
ALL = (-np.inf, np.inf, 0)
#: Two bumps, the second of which is wider, and a third that is higher.
CURVE = [0.1, 0.2, 0.8, 0.2, 0.1, 0.3, 0.7, 0.8, 0.3, 0.1, 0.9, 0.1]


class Snippets:
    """A stream of which nothing but the lengths is read."""

    dim = 1

    def length(self, name: str) -> int:
        return len(CURVE)


def certain(times: KnownTimes | None, curve: list[float] = CURVE, **settings: float) -> str:
    """The labels of a class that the video has: one sign a snippet."""
    labels = np.array([[True, False]])
    named = {} if times is None else {"v": times}
    videos = WeakVideos(
        Path("d"),
        ("v",),
        ("a", "b"),
        labels,
        {"cbp": Snippets()},
        GRID,
        None,
        {},
        times=named,  # type: ignore[dict-item]
    )
    scores = np.stack([curve, curve], axis=1).astype(np.float32)
    found = make_certain_labels(videos, lambda name: scores, KnownLossSettings(**settings))[0]
    absent = IGNORED if times is None else BACKGROUND
    assert (found[:, 1] == absent).all(), "of a class that the video lacks"
    signs = {FOREGROUND: "#", BACKGROUND: ".", IGNORED: "?"}
    return "".join(signs[int(value)] for value in found[:, 0])


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (None, "????????????"),
        (KnownTimes(), "????????????"),
        # A segment of a video that was not looked through, and of one that was.
        (KnownTimes(segments=((2, 5, 0),)), "??###???????"),
        (KnownTimes(segments=((2, 5, 0),), complete=(ALL,)), "..###......."),
        # One that is shorter than a snippet is of the nearest.
        (KnownTimes(segments=((2.6, 2.7, 0),), complete=(ALL,)), "..#........."),
        (KnownTimes(complete=((3, 6, 0),)), "???...??????"),
        # What was rejected gives way to an action that overlaps it.
        (KnownTimes(segments=((2, 5, 0),), absent=((4, 8, 0),)), "??###...????"),
        (KnownTimes(absent=((9.4, 9.4, 0),)), "?????????.??"),
        # Points of another class say nothing of this one.
        (KnownTimes(points=((2.4, 1),)), "????????????"),
        # A point grows to its edges; where nobody looked, nothing is background.
        (KnownTimes(points=((7.4, 0),)), "??????##????"),
        # Between two points the lowest snippet is background, and so is all behind an edge.
        (KnownTimes(points=((2.4, 0), (7.4, 0)), complete=(ALL,)), "..#...##...."),
        # The higher bump has no point: nothing happens there.
        (KnownTimes(points=((7.4, 0),), complete=(ALL,)), "......##...."),
        # A stretch without a point is background, one with a point is searched.
        (KnownTimes(points=((7.4, 0),), complete=((0, 3, 0), (5, 12, 0))), "...??.##...."),
        # An action beside a point ends its stretch.
        (KnownTimes(points=((6.4, 0),), segments=((7, 9, 0),), complete=(ALL,)), "......###..."),
    ],
)
def test_what_is_certain(times: KnownTimes | None, expected: str) -> None:
    assert certain(times, point_high=0.8, point_low=0.5) == expected


def test_between_the_shares_nothing_is_taught() -> None:
    points = KnownTimes(points=((7.4, 0),), complete=(ALL,))
    assert certain(points, point_high=0.95, point_low=0.5) == "......?#...."


def test_a_flat_curve_grows_nothing() -> None:
    """An untrained branch knows no edge."""
    points = KnownTimes(points=((7.4, 0),), complete=(ALL,))
    assert certain(points, [0.5] * 12) == "???????#????"


def test_scores_of_pointed_videos_alone_are_read() -> None:
    def refuse(name: str) -> np.ndarray:
        raise AssertionError(name)

    times = {"v": KnownTimes(segments=((2, 5, 0),))}
    videos = WeakVideos(
        Path("d"),
        ("v",),
        ("a",),
        np.array([[True]]),
        {"cbp": Snippets()},
        GRID,
        None,
        {},
        times=times,  # type: ignore[dict-item]
    )
    assert (make_certain_labels(videos, refuse, KnownLossSettings())[0] == FOREGROUND).sum() == 3


def test_the_loss_is_of_certain_snippets_alone() -> None:
    logits = torch.zeros(1, 4, 2, requires_grad=True)
    target = torch.tensor([[[1, 0], [0, 0], [-1, 0], [-1, 0]]], dtype=torch.int8)
    mask = torch.tensor([[True, True, True, False]])
    batch = Predictions(logits, logits, mask, torch.tensor([[1.0, 0.0]]), certain=target)
    loss = known(batch, LossSettings())
    assert loss.item() == pytest.approx(np.log(2))
    loss.sum().backward()
    assert logits.grad is not None
    # Half of the weight for the class that the video has, in equal parts for its two snippets.
    expected = [[-0.125, 1 / 12], [0.125, 1 / 12], [0, 1 / 12], [0, 0]]
    np.testing.assert_allclose(logits.grad[0].numpy(), expected, atol=1e-6)


def test_no_teacher_overrules_what_is_certain(
    make_lesson: Callable[..., loop.Lesson],
    make_config: Callable[..., Any],
    make_branch: Callable[[Any, str], BranchNetwork],
) -> None:
    """Where a person has said what happens, what a teacher says changes no term."""
    config = make_config()
    lesson = make_lesson(config, make_branch(config, "cbp"), "cbp")
    videos = lesson.videos
    lengths = [videos.length(name) for name in videos.names]

    def labelled(value: int, other: int) -> PseudoLabels:
        labels = PseudoLabels(lengths, np.ones_like(videos.labels))
        for row in range(len(lengths)):
            labels.kept(row)[:] = other
            labels.kept(row)[:3] = value
        return labels

    micro = load(videos, videos.streams[lesson.phase.student], [Crop(0, 0, lengths[0])])
    found = []
    for teacher in (FOREGROUND, BACKGROUND):
        torch.manual_seed(0)
        said = replace(
            lesson, pseudo=labelled(teacher, FOREGROUND), certain=labelled(BACKGROUND, IGNORED)
        )
        found.append({name: loss.item() for name, loss in compute_losses(said, micro).items()})
    assert found[0] == found[1]
    assert found[0]["known"] > 0
