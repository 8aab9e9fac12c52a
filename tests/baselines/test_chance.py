"""Label-only chance."""

import numpy as np
import pytest

from duetal.baselines import guess_by_labels


def rows(detections):
    return [
        (detections.videos[v], detections.classes[k], start, end, score)
        for v, k, start, end, score in zip(
            detections.video,
            detections.label,
            detections.start.tolist(),
            detections.end.tolist(),
            detections.score.tolist(),
            strict=True,
        )
    ]


def test_every_class_is_guessed_in_every_part_of_every_video(toy):
    prior = toy.videos.labels.mean(axis=0)
    found = rows(guess_by_labels(toy.videos, {"a": 10.0, "b": 6.0}, parts=(1, 2)))
    expected = [
        (name, label, start * seconds, end * seconds, score)
        for name, seconds in (("a", 10.0), ("b", 6.0))
        for label, share in zip(toy.videos.classes, prior.tolist(), strict=True)
        for start, end, score in ((0, 1, share), (0, 0.5, share / 2), (0.5, 1, share / 2))
    ]
    assert found == expected


def test_the_more_frequent_class_scores_higher(toy):
    labels = np.zeros_like(toy.videos.labels)
    labels[:30, 0] = labels[:10, 1] = labels[:1, 2] = True
    toy.videos.labels[:] = labels
    found = rows(guess_by_labels(toy.videos, {"a": 10.0}, parts=(2,)))
    assert [score for *_, score in found[::2]] == pytest.approx([30 / 120, 10 / 120, 1 / 120])


def test_no_feature_is_read(toy):
    guess_by_labels(toy.videos, {"a": 10.0})
    assert toy.stream.reads == 0


def test_no_video_no_guess(toy):
    assert len(guess_by_labels(toy.videos, {})) == 0
