"""The bootstrap's weighted AP against datasets that contain a video twice; and its intervals."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.evaluation import Protocol, evaluate, protocol_named
from duetal.evaluation.comparison import Contender, compare, intervals
from duetal.evaluation.considered import consider
from duetal.evaluation.resampling import Resampler

TIOU = (0.3, 0.5)
PROTOCOL = Protocol("test", "", TIOU, {"low": (0.3, 0.3), "all": (0.3, 0.5)}, TIOU)

Row = tuple[str, str, float, float, float]


def made_up(seed: int, videos: int = 12, hits: float = 0.6) -> tuple[Annotations, list[Row]]:
    """An annotation of two classes, and detections of which about `hits` fit a segment."""
    generator = np.random.default_rng(seed)
    known, rows = {}, []
    for number in range(videos):
        name = f"v{number}"
        label = ("jump", "dive")[number % 2]
        starts = np.sort(generator.uniform(0, 90, size=3))
        segments = tuple(Segment(float(s), float(s) + 5.0, label) for s in starts)
        known[name] = VideoAnnotation(name, "test", 100.0, (label,), segments)
        for segment in segments:
            shift = 0.5 if generator.random() < hits else 20.0
            score = float(generator.random())
            rows.append((name, label, segment.start + shift, segment.end + shift, score))
    return Annotations(known, ("dive", "jump")), rows


def repeated(annotations: Annotations, rows: list[Row], weights: list[int]) -> float:
    """The average of the dataset in which every video stands as often as its weight."""
    videos, copies = {}, []
    for video, weight in zip(annotations, weights, strict=True):
        for copy in range(weight):
            name = f"{video.name}-{copy}"
            videos[name] = VideoAnnotation(
                name, "test", video.duration, video.labels, video.segments
            )
            copies += [(name, *row[1:]) for row in rows if row[0] == video.name]
    found = Detections.from_rows(copies)
    return evaluate(found, Annotations(videos, annotations.classes), PROTOCOL).averages["all"]


@pytest.mark.parametrize("seed", range(8))
def test_a_weight_is_as_many_copies_of_the_video(seed: int) -> None:
    annotations, rows = made_up(seed)
    weights = np.random.default_rng(seed).integers(0, 4, size=len(annotations))
    resampler = Resampler(consider(Detections.from_rows(rows), annotations, PROTOCOL))
    ap = resampler.average_precision(weights)
    assert np.nanmean(ap) == pytest.approx(repeated(annotations, rows, weights.tolist()))


def test_every_weight_one_is_the_evaluation() -> None:
    annotations, rows = made_up(3)
    # A video that the annotation does not list: false positives in every resample.
    rows = [*rows, ("elsewhere", "dive", 0.0, 5.0, 2.0)]
    found = Detections.from_rows(rows)
    resampler = Resampler(consider(found, annotations, PROTOCOL))
    ap = resampler.average_precision(np.ones(len(annotations), dtype=np.int64))
    expected = evaluate(found, annotations, PROTOCOL).per_class
    np.testing.assert_allclose(ap, [expected["dive"], expected["jump"]])


def test_a_class_without_a_segment_in_the_resample_is_not_a_number() -> None:
    annotations, rows = made_up(0, videos=4)
    resampler = Resampler(consider(Detections.from_rows(rows), annotations, PROTOCOL))
    ap = resampler.average_precision(np.array([1, 0, 1, 0]))  # "jump" in the even ones alone
    assert np.isnan(ap[0]).all()
    assert not np.isnan(ap[1]).any()


def test_a_method_is_not_better_than_itself() -> None:
    annotations, rows = made_up(1)
    found = Detections.from_rows(rows)
    result = compare(
        [Contender("a", (found,)), Contender("b", (found,))], annotations, PROTOCOL, draws=100
    )
    (versus,) = result.versus
    assert all(d.value == d.low == d.high == 0.0 for d in versus.averages.values())
    assert versus.better == 0.0
    assert not versus.averages["all"].is_significant
    assert result.scores["a"] == pytest.approx(evaluate(found, annotations, PROTOCOL).averages)


def test_a_clearly_better_method_is_significant_and_a_lucky_one_is_not() -> None:
    annotations, weak = made_up(5, videos=40, hits=0.3)
    _, strong = made_up(5, videos=40, hits=0.9)
    lucky = [*weak[1:], (*weak[0][:4], weak[0][4] + 0.01)]
    contenders = [
        Contender(name, (Detections.from_rows(rows),))
        for name, rows in (("weak", weak), ("strong", strong), ("lucky", lucky))
    ]
    result = compare(contenders, annotations, PROTOCOL, draws=300)
    by_name = {versus.name: versus for versus in result.versus}
    assert by_name["strong"].averages["all"].is_significant
    assert by_name["strong"].averages["all"].low > 0.1
    assert by_name["strong"].better == 1.0
    assert not by_name["lucky"].averages["all"].is_significant


def test_the_interval_covers_the_truth_about_as_often_as_its_confidence() -> None:
    """Two methods that are equally good: 0 lies in a 95 % interval 19 times of 20."""
    covered = 0
    for seed in range(60):
        annotations, first = made_up(seed, videos=100)
        # The same segments, other luck.
        generator = np.random.default_rng(1000 + seed)
        second = []
        for video in annotations:
            for segment in video.segments or ():
                shift = 0.5 if generator.random() < 0.6 else 20.0
                start, end = segment.start + shift, segment.end + shift
                second.append((video.name, segment.label, start, end, float(generator.random())))
        contenders = [
            Contender("first", (Detections.from_rows(first),)),
            Contender("second", (Detections.from_rows(second),)),
        ]
        result = compare(contenders, annotations, PROTOCOL, draws=200, seed=seed)
        covered += not result.versus[0].averages["all"].is_significant
    assert covered >= 52  # binomial(60, 0.95): fewer in 1 of 100 trials


@pytest.mark.parametrize(
    ("drawn", "without", "expected"),
    [
        # The jackknife's standard error is no larger: percentiles, less the resamples' bias of 1.
        ([0.0, 2.0] * 50, [1.0, 1.0], (-1.0, 1.0)),
        # Three times the variance of the bootstrap: wider by √((1 + 3) / 2).
        ([0.0, 2.0] * 50, [-(1.5**0.5) * 2**0.5, 1.5**0.5 * 2**0.5], (-(2**0.5), 2**0.5)),
        # A resample without the class, and the class's only video.
        ([0.0, 2.0, math.nan] * 50, [math.nan, 0.0], (-1.0, 1.0)),
        ([math.nan, 0.0, 0.0], [math.nan, 0.0], (0.0, 0.0)),
        # A mean outside of the percentiles: the value is inside all the same.
        ([0.0] * 99 + [100.0], [0.0, 0.0], (-1.0, 0.0)),
    ],
    ids=["bias", "wider", "absent", "constant", "skewed"],
)
def test_an_interval(
    drawn: list[float], without: list[float], expected: tuple[float, float]
) -> None:
    columns = (np.array(each)[:, None] for each in (drawn, without))
    low, high = intervals(np.zeros(1), *columns)
    assert (low[0], high[0]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("videos", "seeds", "deviations"),
    [
        (100, 3, (1.0, 0.0, 1.0)),
        (100, 3, (1.0, 0.1, 1.0)),
        (100, 3, (0.2, 0.3, 0.5)),
        (100, 5, (1.0, 0.1, 1.0)),
        (60, 2, (1.0, 0.1, 1.0)),
    ],
)
def test_an_interval_over_videos_and_seeds_covers_the_truth(
    videos: int, seeds: int, deviations: tuple[float, float, float]
) -> None:
    """Means of values that vary with the video, with the seed, and with both."""
    generator, covered = np.random.default_rng(0), 0
    shapes = ((videos, 1), (1, seeds), (videos, seeds))
    for _ in range(100):
        parts = zip(deviations, shapes, strict=True)
        values = sum((d * generator.normal(size=shape) for d, shape in parts), np.zeros(()))
        drawn = [
            values[generator.integers(videos, size=videos)][
                :, generator.integers(seeds, size=seeds)
            ].mean()
            for _ in range(200)
        ]
        without = [np.delete(values, i, axis=0).mean() for i in range(videos)]
        without_seed = [np.delete(values, i, axis=1).mean() for i in range(seeds)]
        columns = (np.array(each)[:, None] for each in (drawn, without, without_seed))
        low, high = intervals(np.array([values.mean()]), *columns)
        covered += int(low[0] <= 0 <= high[0])
    assert covered >= 88


def test_a_difference_of_one_seed_is_none_over_seeds() -> None:
    annotations, rows = made_up(5, videos=40, hits=0.2)
    _, better = made_up(5, videos=40, hits=0.9)
    low, high = Detections.from_rows(rows), Detections.from_rows(better)
    for runs, is_seen in (((low, low, high), False), ((high, high, high), True)):
        contenders = [Contender("low", (low, low, low)), Contender("mixed", runs)]
        by_videos = compare(contenders, annotations, PROTOCOL, draws=100)
        by_both = compare(contenders, annotations, PROTOCOL, draws=100, over_seeds=True)
        assert by_videos.versus[0].averages["all"].is_significant
        assert by_both.versus[0].averages["all"].is_significant == is_seen
        assert by_both.scores == by_videos.scores


def test_the_video_that_makes_the_difference_comes_first() -> None:
    annotations, rows = made_up(2, hits=1.0)
    ruined = [
        (*row[:2], row[2] + 50, row[3] + 50, row[4]) if row[0] == "v3" else row for row in rows
    ]
    contenders = [
        Contender("ruined", (Detections.from_rows(ruined),)),
        Contender("whole", (Detections.from_rows(rows),)),
    ]
    result = compare(contenders, annotations, PROTOCOL, draws=100)
    first = result.versus[0].videos[0]
    assert first.video == "v3"
    assert first.influence == pytest.approx(result.versus[0].averages["all"].value)
    assert next(iter(result.versus[0].per_class)) == "dive"


def test_a_contender_of_several_seeds_has_their_mean() -> None:
    annotations, rows = made_up(4)
    _, others = made_up(4, hits=0.2)
    runs = tuple(Detections.from_rows(r) for r in (rows, others))
    contenders = [Contender("one", runs[:1]), Contender("both", runs)]
    result = compare(contenders, annotations, PROTOCOL, draws=100)
    alone = [evaluate(run, annotations, PROTOCOL).averages["all"] for run in runs]
    assert result.scores["both"]["all"] == pytest.approx(sum(alone) / 2)


def test_draws_are_repeated_by_their_seed() -> None:
    annotations, rows = made_up(6)
    _, others = made_up(6, hits=0.4)
    contenders = [
        Contender("a", (Detections.from_rows(rows),)),
        Contender("b", (Detections.from_rows(others),)),
    ]
    first, again, other = (
        compare(contenders, annotations, PROTOCOL, draws=100, seed=seed) for seed in (0, 0, 1)
    )
    assert first.to_json() == again.to_json()
    assert first.versus[0].averages["all"].low != other.versus[0].averages["all"].low


def test_refuses_what_is_no_comparison() -> None:
    annotations, rows = made_up(0)
    found = Detections.from_rows(rows)
    one = Contender("a", (found,))
    with pytest.raises(UsageError, match="two contenders"):
        compare([one], annotations, PROTOCOL)
    with pytest.raises(UsageError, match="called 'a'"):
        compare([one, one], annotations, PROTOCOL)
    with pytest.raises(UsageError, match="too few"):
        compare([one, Contender("b", (found,))], annotations, PROTOCOL, draws=10)
    with pytest.raises(UsageError, match="seed -1 is negative"):
        compare([one, Contender("b", (found,))], annotations, PROTOCOL, seed=-1)
    for runs in ((found,), (found, found)):
        with pytest.raises(UsageError, match="equally many runs"):
            compare([one, Contender("b", runs)], annotations, PROTOCOL, over_seeds=True)


def test_refuses_contenders_on_different_videos() -> None:
    annotations, rows = made_up(0)
    videos = dict(annotations.videos)
    videos["t"] = VideoAnnotation("t", "train", 9.0, ("dive",), (Segment(0.0, 5.0, "dive"),))
    annotations = Annotations(videos, annotations.classes)
    contenders = [
        Contender("tested", (Detections.from_rows(rows),)),
        Contender("trained", (Detections.from_rows([("t", "dive", 0.0, 5.0, 1.0)]),)),
    ]
    with pytest.raises(DuetalError, match="other videos"):
        compare(contenders, annotations, PROTOCOL, draws=100)


@pytest.mark.real
def test_real_detections_worsened_by_hand_lose(real_data: Path) -> None:
    from duetal.formats import read_annotations
    from duetal.formats.activitynet import read_detections

    found = read_detections(real_data / "thumos14" / "detections_train.json")
    annotations = read_annotations(real_data / "thumos14" / "gt.json")
    worse = replace(found, start=found.start + 30, end=found.end + 30)
    protocol = protocol_named("thumos14/seconds-210")
    contenders = [Contender("real", (found,)), Contender("shifted", (worse,))]
    result = compare(contenders, annotations, protocol, draws=100)
    average = result.versus[0].averages[result.headline]
    assert average.value < 0
    assert average.is_significant
    assert len(result.versus[0].videos) == 200
    assert math.isclose(result.scores["real"]["0.1:0.7"], 0.0981, abs_tol=5e-4)


def test_every_step_is_reported() -> None:
    annotations = Annotations(
        {"v": VideoAnnotation("v", "test", labels=("x",), segments=(Segment(0, 1, "x"),))}, ("x",)
    )
    found = Detections.from_rows([("v", "x", 0.0, 1.0, 0.5)])
    steps: list[tuple[str, int, int]] = []
    contenders = [Contender(name, (found,)) for name in ("a", "b")]
    compare(contenders, annotations, PROTOCOL, draws=100, progress=lambda *step: steps.append(step))
    # The videos themselves, the resamples, and without each video; of both contenders.
    assert steps == [("comparing", n, 204) for n in range(1, 205)]
