"""Detections of a video that has not ended, against those of the whole video."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from duetal.core.errors import UsageError
from duetal.datasets import Dataset, open_dataset
from duetal.live.live_localizer import LiveDetection, LiveLocalizer
from duetal.runs.localizing import localize
from duetal.runs.run import Run, open_run

NAME = "v6"


@pytest.fixture(scope="module", params=["cbp", "both", "detector-1"])
def opened(request: pytest.FixtureRequest, tiny_detector_run: Path) -> tuple[Run, list[str]]:
    run = open_run(tiny_detector_run)
    return run, run.model.stages_named(request.param)


@pytest.fixture(scope="module")
def dataset(tiny_dataset: Path) -> Dataset:
    return open_dataset(tiny_dataset)


def rows(dataset: Dataset, repeats: int = 1) -> Iterator[dict[str, np.ndarray]]:
    name = dataset.evaluation[0]
    streams = {branch: stream.read(name) for branch, stream in dataset.streams.items()}
    for _ in range(repeats):
        for row in range(dataset.length(name)):
            yield {branch: features[row] for branch, features in streams.items()}


def told(live: LiveLocalizer, dataset: Dataset, repeats: int = 1) -> list[LiveDetection]:
    found = [one for row in rows(dataset, repeats) for one in live.add(row)]
    return found + live.finish()


def test_a_delay_as_long_as_the_video_gives_what_the_whole_video_does(
    opened: tuple[Run, list[str]], dataset: Dataset
) -> None:
    run, stages = opened
    found = told(LiveLocalizer(run, stages, delay=100.0, history=1000.0), dataset)
    whole = localize(run, dataset, dataset.evaluation[:1], stages=stages)
    duration = dataset.duration(dataset.evaluation[0])
    assert len(found) == len(whole) > 3
    for one, label, start, end, score in zip(
        found, whole.label, whole.start, whole.end, whole.score, strict=True
    ):
        assert one.label == whole.classes[label]
        # The whole video ends where it is annotated to end.
        assert (one.start, min(one.end, duration)) == pytest.approx((start, end))
        assert one.score == pytest.approx(score)


@pytest.mark.parametrize("delay", [2.0, 4.0])
def test_an_action_is_told_by_the_delay_after_its_end(
    opened: tuple[Run, list[str]], dataset: Dataset, delay: float
) -> None:
    run, stages = opened
    live = LiveLocalizer(run, stages, delay=delay, history=20.0, begin=1000.0)
    found, last = [], live.seconds
    for row in rows(dataset, 3):
        now = live.add(row)
        assert live.seconds > last
        last = live.seconds
        assert all(one.told == last for one in now)
        # Not later than the delay, and only of what had been seen to end.
        assert all(one.told - one.end <= delay + 1e-6 for one in now)
        assert all(1000 <= one.start < one.end < last for one in now)
        found += now
    assert found
    keys = [(one.label, one.start, one.end) for one in found + live.finish()]
    assert len(set(keys)) == len(keys)


def test_memory_is_that_of_the_history(opened: tuple[Run, list[str]], dataset: Dataset) -> None:
    run, stages = opened
    live = LiveLocalizer(run, stages, delay=2.0, history=10.0)
    kept = set()
    for row in rows(dataset, 4):
        live.add(row)
        kept.add(live.kept)
    assert max(kept) == int(np.ceil(10.0 / run.model.grid.seconds_per_snippet))
    assert len(live.remembered) < 2000


def test_a_lost_snippet_looks_like_the_one_before(
    opened: tuple[Run, list[str]], dataset: Dataset
) -> None:
    run, stages = opened
    first, *others = rows(dataset)
    lost = LiveLocalizer(run, stages, delay=100.0, history=1000.0)
    same = LiveLocalizer(run, stages, delay=100.0, history=1000.0)
    lost.add(None)  # Before anything came: time passes.
    for row in (first, None, *others):
        lost.add(row)
    for row in (first, first, *others):
        same.add(row)
    step = run.model.grid.seconds_per_snippet
    assert [(d.label, d.start - step, d.score) for d in lost.finish()] == [
        (d.label, pytest.approx(d.start), pytest.approx(d.score)) for d in same.finish()
    ]


@pytest.mark.parametrize(
    ("delay", "history", "cause"),
    [
        (0.5, 60.0, "delay: must be from 1.28 s (two snippets) to half of the 60 s kept, not 0.5"),
        (40.0, 60.0, "not 40"),
        (float("nan"), 60.0, "not nan"),
    ],
)
def test_impossible_delays(
    tiny_detector_run: Path, delay: float, history: float, cause: str
) -> None:
    run = open_run(tiny_detector_run)
    with pytest.raises(UsageError) as error:
        LiveLocalizer(run, run.model.stages_named("cbp"), delay=delay, history=history)
    assert cause in str(error.value)
