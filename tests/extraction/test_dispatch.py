"""Whatever workers are lost over: every video ends once, and only what kills is given up."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duetal.extraction.cluster import AT_HAND, ATTEMPTS, Dispatch
from duetal.extraction.sources import Video


def videos(count):
    return [Video(str(number), f"{number}.mp4") for number in range(count)]


def test_a_worker_has_a_few_videos_at_hand_in_their_order():
    first, *others = videos(6)
    dispatch = Dispatch(iter([first, *others]))
    at_hand = dispatch.more([])
    assert at_hand == [first, *others[: AT_HAND - 1]]
    assert dispatch.more(at_hand) == []
    assert dispatch.more(at_hand[1:]) == [others[AT_HAND - 1]]


def test_videos_are_taken_when_they_are_needed():
    taken = []

    def source():
        for video in videos(50):
            taken.append(video)
            yield video

    Dispatch(source()).more([])
    assert len(taken) == AT_HAND


def test_what_a_worker_was_lost_with_is_tried_alone():
    dispatch = Dispatch(iter(videos(9)))
    at_hand = dispatch.more([])
    assert all(dispatch.lost(video) for video in at_hand)
    assert dispatch.more([]) == at_hand[:1]
    # Nothing is added to it, and a worker that has other videos is not given it.
    assert dispatch.more(at_hand[:1]) == []
    others = dispatch.more([videos(9)[8]])
    assert not set(others) & set(at_hand)
    assert dispatch.more([]) == at_hand[1:2]


def test_a_video_is_given_up_after_so_many_attempts():
    dispatch = Dispatch(iter(videos(1)))
    for attempt in range(1, ATTEMPTS + 1):
        (video,) = dispatch.more([])
        dispatch.more([])
        assert dispatch.lost(video) == (attempt < ATTEMPTS)
        assert dispatch.is_empty == (attempt == ATTEMPTS)
    assert dispatch.more([]) == []


@given(
    count=st.integers(0, 30),
    killers=st.sets(st.integers(0, 29)),
    workers=st.integers(1, 5),
    seed=st.integers(0, 10_000),
)
def test_every_video_ends_once_and_the_killers_alone_are_given_up(count, killers, workers, seed):
    """Workers finish or are killed by a killer in random order; there is no other loss."""
    chance = random.Random(seed)
    dispatch = Dispatch(iter(videos(count)))
    crew = [[] for _ in range(workers)]
    finished, given_up = [], []
    for _ in range(10_000):
        worker = chance.choice(crew)
        worker += dispatch.more(worker)
        deadly = any(int(video.name) in killers for video in worker)
        if deadly and chance.random() < 0.5:
            given_up += [video for video in worker if not dispatch.lost(video)]
            worker.clear()
        elif worker and int(worker[0].name) not in killers:
            finished.append(worker.pop(0))
        if dispatch.is_empty and not any(crew):
            break
    else:
        pytest.fail("it never ends")
    assert sorted(finished + given_up, key=lambda video: int(video.name)) == videos(count)
    assert {int(video.name) for video in given_up} == killers & set(range(count))
