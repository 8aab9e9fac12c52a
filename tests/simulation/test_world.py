"""A made-up annotation is plausible, and the same each time."""

import pytest

from duetal.simulation.world import CLASSES, made_up_annotations


def test_it_depends_on_the_seed_alone() -> None:
    assert made_up_annotations(3).videos == made_up_annotations(3).videos
    assert made_up_annotations(3).videos != made_up_annotations(4).videos
    # A longer annotation begins like a shorter one.
    short, long = made_up_annotations(training=5), made_up_annotations(training=9)
    assert all(long.videos[name] == video for name, video in short.videos.items())


@pytest.mark.parametrize("seed", range(20))
def test_videos_are_plausible(seed: int) -> None:
    made = made_up_annotations(seed)
    assert made.classes == CLASSES
    for video in made:
        assert video.duration is not None
        assert video.segments
        assert 60 <= video.duration <= 180
        assert set(video.labels) == {segment.label for segment in video.segments}
        ends = 0.0
        for segment in video.segments:
            assert ends <= segment.start < segment.end <= video.duration
            ends = segment.end
    for names in (made.training_names(), made.evaluation_names()):
        assert {label for name in names for label in made.videos[name].labels} == set(CLASSES)


def test_about_a_third_is_action() -> None:
    made = made_up_annotations(training=200, test=0)
    action = sum(s.end - s.start for video in made for s in video.segments or ())
    whole = sum(video.duration or 0 for video in made)
    assert 0.25 < action / whole < 0.45
    assert 0.1 < sum(len(video.labels) > 1 for video in made) / len(made) < 0.3
