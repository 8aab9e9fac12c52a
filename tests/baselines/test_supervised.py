"""The convolution that is trained on true segments."""

import numpy as np
import pytest
import torch

from duetal.baselines import SupervisedSettings, train_supervised
from duetal.core.annotations import Segment
from duetal.core.errors import DuetalError

QUICK = SupervisedSettings(epochs=15, learning_rate=0.01, dropout=0.0)


def segments_of(toy):
    """The toy's truth as segments, by video."""
    seconds = toy.videos.grid.start
    return {
        name: [
            Segment(float(seconds(first)), float(seconds(last + 1)), label)
            for label, column in zip(toy.videos.classes, inside.T, strict=True)
            if column.any()
            for first, last in [np.flatnonzero(column)[[0, -1]]]
        ]
        for name, inside in toy.truth.items()
    }


def test_it_finds_actions_in_new_videos(make_toy):
    train, test = make_toy(videos=60), make_toy(videos=90)
    classifier = train_supervised(train.videos, segments_of(train), QUICK)
    # The last 30 videos have the same classes and were not trained on.
    new = test.videos.names[60:]
    found = [classifier.score(test.stream.read(name)) for name in new]
    right = [
        (snippets > 0.5) == test.truth[name] for name, (snippets, _) in zip(new, found, strict=True)
    ]
    assert np.concatenate(right).mean() > 0.97
    present = [video > 0.5 for _, video in found]
    assert (np.array(present) == test.videos.labels[60:]).mean() > 0.95


def test_it_learns_from_the_segments_and_not_from_the_labels(toy):
    nothing = dict.fromkeys(toy.videos.names, ())
    classifier = train_supervised(toy.videos, nothing, QUICK)
    assert classifier.score(toy.stream.read("v00"))[0].max() < 0.1


def test_a_snippet_is_scored_with_three_neighbours_on_either_side(toy):
    classifier = train_supervised(toy.videos, segments_of(toy), SupervisedSettings(epochs=1))
    features = toy.stream.read("v00")[:20].copy()
    before, _ = classifier.score(features)
    features[10] += 1000
    changed = np.flatnonzero((classifier.score(features)[0] != before).any(axis=1))
    assert changed.min() >= 7
    assert changed.max() <= 13


def test_the_seed_fixes_the_result_and_the_callers_random_state_is_left_alone(toy):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    quick = SupervisedSettings(epochs=1)
    first, again, other = (
        train_supervised(toy.videos, segments_of(toy), quick, seed=seed).network[-1].weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_video_without_a_snippet_is_named(toy):
    toy.stream.arrays["v03"] = np.zeros((0, 8), dtype=np.float32)
    with pytest.raises(DuetalError, match=r"'v03'.*no snippet"):
        train_supervised(toy.videos, segments_of(toy))
