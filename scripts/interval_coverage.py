"""How often the interval of `duetal compare` contains the true difference, and where it misses.

    OMP_NUM_THREADS=1 python scripts/interval_coverage.py [--trials 400] [--thumos14 FOLDER]

Made-up videos, each of one of several classes, and two methods whose hits vary with the video; the
truth is their mean difference on ten times 6,000 videos. With the folder of THUMOS14's `gt.json`
and `detections_train.json`, also samples, with replacement, of its 200 videos at tIoU 0.3; there
the other method is the same with noise in starts and scores, and the truth the difference on all
200. Each line has the plain percentiles of the resamples, and the interval of `duetal compare`: how
many contain the truth, lie below it, lie above it.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.array_types import Floats, Ints
from duetal.core.detections import Detections
from duetal.evaluation import Protocol, protocol_named
from duetal.evaluation.comparison import intervals
from duetal.evaluation.considered import consider
from duetal.evaluation.resampling import Resampler
from duetal.formats import read_annotations, read_detections

VIDEOS = (40, 60, 100)
DRAWS = 300
PROTOCOL = Protocol("made-up", "", (0.3, 0.5), {"all": (0.3, 0.5)}, (0.3, 0.5))
#: By name: how many classes, and how often each method hits.
WORLDS = {
    "20 classes": (20, (0.5, 0.7)),
    "20 classes, no difference": (20, (0.6, 0.6)),
    "5 classes": (5, (0.4, 0.7)),
}
#: Gives the difference under each of (D, V) weightings of the videos.
Scorer = Callable[[Ints], Floats]


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x))."""
    return float(1 / (1 + np.exp(-x)))


def made_up(generator: Generator, videos: int, classes: int, hits: tuple[float, float]) -> Scorer:
    """Videos of up to seven actions, and the detections of two methods."""
    labels = tuple(f"c{k}" for k in range(classes))
    known = {}
    rows: tuple[list[tuple[str, str, float, float, float]], ...] = ([], [])
    for number in range(videos):
        name, label = f"v{number}", labels[generator.integers(classes)]
        starts = 30.0 * np.arange(generator.integers(1, 8))
        segments = tuple(Segment(float(s), float(s) + 5, label) for s in starts)
        known[name] = VideoAnnotation(name, "test", 300.0, (label,), segments)
        ease = generator.normal()
        for found, share in zip(rows, hits, strict=True):
            hit = sigmoid(np.log(share / (1 - share)) + ease + generator.normal() / 2)
            for segment in segments:
                good = generator.random() < hit
                start = segment.start + (0.5 if good else 12.0)
                score = sigmoid(generator.normal() + good + 0.3 * ease)
                found.append((name, label, start, start + 5, score))
            for _ in range(generator.poisson(2)):
                start, other = generator.uniform(0, 280), labels[generator.integers(classes)]
                found.append((name, other, start, start + 5, sigmoid(generator.normal() - 0.5)))
    detections = [Detections.from_rows(r, videos=known, classes=labels) for r in rows]
    return scorer(detections[0], detections[1], Annotations(known, labels), PROTOCOL)


def scorer(first: Detections, second: Detections, truth: Annotations, protocol: Protocol) -> Scorer:
    """How far the second's mAP lies above the first's."""
    resamplers = [Resampler(consider(each, truth, protocol)) for each in (first, second)]

    def score(weightings: Ints) -> Floats:
        rows = []
        for weights in weightings:
            found = [each.average_precision(weights) for each in resamplers]
            low, high = (ap[~np.isnan(ap).any(axis=1)] for ap in found)
            rows.append(high.mean() - low.mean() if len(low) else 0.0)
        return np.array(rows)[:, None]

    return score


def real(folder: Path) -> Scorer:
    """Detections of THUMOS14 against the same with noise."""
    generator = np.random.default_rng(0)
    found = read_detections(folder / "detections_train.json")
    found = found.take(found.score > np.quantile(found.score, 0.6))
    noise = generator.normal(size=(2, len(found)))
    worse = replace(
        found, start=found.start + 1.5 * noise[0], score=found.score * np.exp(0.3 * noise[1])
    )
    protocol = protocol_named("thumos14/seconds-210")
    protocol = replace(protocol, tiou=(0.3,), averages={"0.3": (0.3, 0.3)}, shown=(0.3,))
    return scorer(worse, found, read_annotations(folder / "gt.json"), protocol)


def samples(world: str, count: int, trials: int) -> Iterator[tuple[Scorer, Ints]]:
    """Trials of made-up videos: a score, and the (V,) videos of the sample."""
    for trial in range(trials):
        yield made_up(np.random.default_rng(trial), count, *WORLDS[world]), np.arange(count)


def real_samples(score: Scorer, count: int, trials: int) -> Iterator[tuple[Scorer, Ints]]:
    """Trials of videos drawn from THUMOS14's."""
    for trial in range(trials):
        yield score, np.random.default_rng(trial).integers(200, size=count)


def report(title: str, trials: Iterator[tuple[Scorer, Ints]], truth: float, videos: int) -> None:
    """Print a line: of both intervals how many contain the truth, lie below it and above it."""
    generator, rows = np.random.default_rng(1), []
    for score, sample in trials:
        size = max(videos, int(sample.max()) + 1)

        def weigh(chosen: Ints, size: int = size) -> Ints:
            return np.bincount(chosen, minlength=size)

        whole = score(weigh(sample)[None])
        drawn = score(
            np.stack([weigh(generator.choice(sample, len(sample))) for _ in range(DRAWS)])
        )
        without = score(np.stack([weigh(np.delete(sample, i)) for i in range(len(sample))]))
        plain = np.percentile(drawn, [2.5, 97.5], axis=0)
        rows.append([*plain[:, 0], *np.ravel(intervals(whole[0], drawn, without))])
    bounds = np.array(rows)
    cells = []
    for low, high in (bounds.T[:2], bounds.T[2:]):
        below, above = np.mean(high < truth), np.mean(low > truth)
        cells.append(f"{1 - below - above:8.1%} {below:6.1%} {above:6.1%}")
    print(f"{title:>34}  {cells[0]}  {cells[1]}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--thumos14", type=Path)
    arguments = parser.parse_args()
    print(f"{'':>34}  {'percentiles, below, above':>23}  {'duetal compare':>23}")
    for world, how in WORLDS.items():
        many = [made_up(np.random.default_rng(10**6 + k), 6000, *how) for k in range(10)]
        every = np.ones((1, 6000), dtype=np.int64)
        truth = float(np.mean([score(every) for score in many]))
        for count in VIDEOS:
            trials = samples(world, count, arguments.trials)
            report(f"{world}, {count} videos", trials, truth, count)
    if arguments.thumos14:
        score = real(arguments.thumos14)
        truth = float(score(np.ones((1, 200), dtype=np.int64))[0, 0])
        for count in VIDEOS:
            trials = real_samples(score, count, arguments.trials)
            report(f"THUMOS14, {count} videos", trials, truth, 200)


if __name__ == "__main__":
    main()
