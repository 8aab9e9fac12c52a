"""Whether one method is better than another: a paired bootstrap over videos."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from duetal.core.annotations import Annotations
from duetal.core.array_types import Bools, Floats, Ints
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.core.tables import html_table
from duetal.evaluation.considered import Considered, GroundTruth, consider
from duetal.evaluation.mean_ap import averaged
from duetal.evaluation.protocols import Protocol
from duetal.evaluation.result import PlainRecord

if TYPE_CHECKING:
    from duetal.evaluation.resampling import Resampler

#: Called with what is being done, the steps done, and the steps in all.
Progress = Callable[[str, int, int], None]

#: The share of resamples inside an interval.
CONFIDENCE = 0.95

#: An interval contained the true value in 90 to 94 % of trials with 40 videos, in 91 to 96 % with
#: 60, in 92 to 96 % with 100 (`scripts/interval_coverage.py`).
FEW_VIDEOS = 100


@dataclass(frozen=True)
class Contender:
    """One method of a comparison."""

    name: str
    runs: tuple[Detections, ...]  # Of each of its seeds, in seconds; its score is their mean.


@dataclass(frozen=True)
class Difference(PlainRecord):
    """How far a score lies above the first contender's."""

    value: float  # On the videos themselves.
    low: float  # Of its 95 % interval.
    high: float

    json_keys: ClassVar = {"value": "difference"}

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class VideoInfluence(PlainRecord):
    """A video, and how much the difference shrinks without it."""

    video: str
    influence: float


@dataclass(frozen=True)
class Versus(PlainRecord):
    """One contender against the first."""

    name: str
    averages: Mapping[str, Difference]  # By the average's name.
    better: float  # The share of resamples in which its headline average is the higher one.
    per_class: Mapping[str, Difference]  # Of AP, over the headline's thresholds, by class.
    videos: tuple[VideoInfluence, ...]  # By falling influence on the headline's difference.


@dataclass(frozen=True, repr=False)
class Comparison(PlainRecord):
    """Contenders on the same ground truth."""

    protocol: str  # Its name.
    subset: str  # Its name, as the annotation spells it.
    headline: str  # The average that classes and videos are compared by.
    videos: int  # How many.
    segments: int  # To find in them.
    draws: int  # Number of resamples.
    seed: int  # Of the resamples.
    confidence: float  # The share of resamples inside an interval.
    scores: Mapping[str, Mapping[str, float]]  # By contender and by the average's name.
    versus: tuple[Versus, ...]  # Every other contender against the first.
    notes: tuple[str, ...]  # What a reader must know, one line each.

    def __repr__(self) -> str:
        names = ", ".join(self.scores)
        return f"<Comparison of {names} on {self.videos:,} videos under {self.protocol}>"

    def _repr_html_(self) -> str:
        header = ("", f"mAP {self.headline} (%)", "difference", f"{self.confidence:.0%} interval")
        differences = {each.name: each.averages[self.headline] for each in self.versus}
        rows: list[Sequence[object]] = []
        for name, averages in self.scores.items():
            cells: list[object] = [name, 100 * averages[self.headline]]
            if (found := differences.get(name)) is not None:
                interval = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
                cells += [100 * found.value, interval]
            rows.append(cells)
        return html_table(repr(self).strip("<>"), header, rows)


def compare(
    contenders: Sequence[Contender],
    annotations: Annotations,
    protocol: Protocol,
    subset: str | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
    match_names: bool = False,
    over_seeds: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Comparison:
    """Compare contenders with the first of them, by a paired bootstrap over videos.

    Each resample draws as many videos as there are, with replacement, the same for all contenders
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993). The interval shows how the
    difference varies with the videos and, with `over_seeds`, with the seed of training, which is
    then resampled likewise; see `intervals`.

    Args:
        contenders: two or more.
        annotations: with segments.
        protocol: see `consider`.
        subset: see `consider`.
        draws: resamples; 100 or more.
        seed: of the resamples; 0 or more.
        match_names: see `consider`.
        over_seeds: the runs of all contenders are of the same seeds, two or more, in one order.
        progress: called with what is being done, the steps done, and the steps in all.

    Raises:
        UsageError: fewer than two contenders, two of one name, fewer than 100 draws, a negative
            seed, or with `over_seeds` a single run or unequal numbers of them.
        DuetalError: contenders would be compared on different videos; or as `consider`.
    """
    from duetal.evaluation.resampling import Resampler  # Imports numba.

    _check_arguments(contenders, draws, seed, over_seeds=over_seeds)
    considered = [
        [
            consider(run, annotations, protocol, subset, match_names=match_names)
            for run in contender.runs
        ]
        for contender in contenders
    ]
    _check_videos(contenders, considered)
    first, averages = considered[0][0], averaged(protocol)
    resamplers = [[Resampler(run) for run in runs] for runs in considered]
    count, seeds = len(first.truth.videos), len(contenders[0].runs) if over_seeds else 0
    done, steps = itertools.count(1), (1 + draws + count + seeds) * len(contenders)

    def step() -> None:
        progress("comparing", next(done), steps)

    # Scores on all videos, on the resamples, and without each video and each seed; by contender.
    generator = np.random.default_rng(seed)
    whole, drawn, without, without_seed = (
        [_scores(each, list(averages.values()), *weightings, step) for each in resamplers]
        for weightings in (
            (np.ones((1, count), dtype=np.int64), None),
            (_draw(count, draws, generator), _draw(seeds, draws, generator) if seeds else None),
            (1 - np.eye(count, dtype=np.int64), None),
            (np.ones((seeds, count), dtype=np.int64), 1 - np.eye(seeds, dtype=np.int64)),
        )
    )
    notes = [note for runs in considered for run in runs for note in run.notes]
    if count < FEW_VIDEOS:
        notes.append(f"with fewer than {FEW_VIDEOS} videos the intervals may be too narrow")
    return Comparison(
        protocol=protocol.name,
        subset=first.subset,
        headline=list(averages)[-1],
        videos=count,
        segments=len(first.truth),
        draws=draws,
        seed=seed,
        confidence=CONFIDENCE,
        scores={
            # The columns of the classes come after those of the averages.
            contender.name: dict(zip(averages, scores[0].tolist(), strict=False))
            for contender, scores in zip(contenders, whole, strict=True)
        },
        versus=tuple(
            _versus(
                contenders[i].name,
                first.truth,
                list(averages),
                *(scores[i] - scores[0] for scores in (whole, drawn, without, without_seed)),
            )
            for i in range(1, len(contenders))
        ),
        notes=tuple(dict.fromkeys(notes)),
    )


def _check_arguments(
    contenders: Sequence[Contender], draws: int, seed: int, *, over_seeds: bool
) -> None:
    names = [contender.name for contender in contenders]
    if len(names) < 2:
        raise UsageError("a comparison needs two contenders or more")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two contenders are called {name!r}")
    if draws < 100:
        raise UsageError(f"{draws} draws are too few for a 95 % interval; 100 or more")
    if seed < 0:
        raise UsageError(f"seed {seed} is negative")
    runs = {len(contender.runs) for contender in contenders}
    if over_seeds and (len(runs) > 1 or runs == {1}):
        raise UsageError("over seeds: all contenders need equally many runs, two or more")


def _check_videos(
    contenders: Sequence[Contender], considered: Sequence[Sequence[Considered]]
) -> None:
    first = considered[0][0]
    for contender, runs in zip(contenders, considered, strict=True):
        if any(run.truth.videos != first.truth.videos for run in runs):
            cause = (
                f"{contender.name!r} would be judged on other videos (subset {runs[0].subset!r}) "
                f"than {contenders[0].name!r} ({first.subset!r}); choose one with --subset"
            )
            raise DuetalError(cause, file=contender.runs[0].source)


def _scores(
    resamplers: Sequence["Resampler"],
    averages: Sequence[Bools],
    weightings: Ints,
    of_seeds: Ints | None,
    step: Callable[[], None],
) -> Floats:
    """(D, A + C) scores under each of (D, V) weightings of the videos: the mean over the seeds.

    `of_seeds` are (D, S) weightings of these; None: all count alike.

    First the averages, then AP of each class over the thresholds of the last of them; NaN where a
    class has no segment.
    """
    rows = []
    for row, weights in enumerate(weightings):
        found = [each.average_precision(weights) for each in resamplers]
        ap = np.average(found, axis=0, weights=None if of_seeds is None else of_seeds[row])
        # A resample may miss all segments of a class; the mean is over those it has.
        present = ap[~np.isnan(ap).any(axis=1)]
        means = [present[:, over].mean() if len(present) else 0.0 for over in averages]
        step()
        rows.append([*means, *ap[:, averages[-1]].mean(axis=1)])
    return np.array(rows)


def _draw(count: int, draws: int, generator: np.random.Generator) -> Ints:
    """(D, N) how often each of N videos or seeds is in each resample."""
    chosen = generator.integers(count, size=(draws, count))
    return np.stack([np.bincount(row, minlength=count) for row in chosen])


def intervals(
    whole: Floats, drawn: Floats, without: Floats, without_seed: Floats | None = None
) -> tuple[Floats, Floats]:
    """Lower and upper bounds (A,) of differences, from percentiles of the resamples.

    Two corrections. mAP is biased where a class is in few videos, and more so in a resample: the
    distance of the resamples' mean from the difference is taken off. And their standard error is
    too small there, while the jackknife's is too large (Efron and Stein, The Jackknife Estimate of
    Variance, 1981): the interval is widened to the root mean square of both.

    A mean over S seeds has a resampled variance of (S - 1)/S of the jackknife's, which is without
    bias; and few seeds tell their spread badly: Student's quantile takes the place of the normal
    one, with the degrees of freedom of Welch and Satterthwaite.

    Args:
        whole: (A,) on the videos themselves.
        drawn: (D, A) on the resamples; NaN where a class has no segment.
        without: (V, A) without each video; likewise.
        without_seed: (S, A) without each seed, where these are resampled too.
    """
    tail = 50.0 * (1.0 - CONFIDENCE)
    off = np.nanpercentile(drawn, [tail, 100.0 - tail], axis=0) - np.nanmean(drawn, axis=0)
    variance = np.nanvar(drawn, axis=0)
    of_videos, wider = _jackknife(whole, without), np.ones_like(whole)
    of_seeds, seeds = np.zeros_like(whole), 0 if without_seed is None else len(without_seed)
    if without_seed is not None and seeds:
        of_seeds = _jackknife(whole, without_seed)
        wider = _students(of_seeds, np.maximum(of_videos, 1e-30), seeds, len(without))
    drawn_of_videos = np.maximum(variance - of_seeds * (seeds - 1) / max(seeds, 1), 0)
    wanted = (drawn_of_videos + np.maximum(of_videos, drawn_of_videos)) / 2 + of_seeds
    ratio = np.divide(wanted, variance, out=np.ones_like(variance), where=variance > 0)
    wider = wider * np.sqrt(ratio)
    # Never inside out: skewed resamples may have their mean outside of the percentiles.
    return whole + np.minimum(off[0] * wider, 0), whole + np.maximum(off[1] * wider, 0)


def _jackknife(whole: Floats, without: Floats) -> Floats:
    """(A,) the variance of differences, from those (N, A) without each video or seed."""
    changes = without - whole
    count = np.maximum((~np.isnan(changes)).sum(axis=0), 1)
    # The only video of a class has no influence that could be known.
    changes = np.nan_to_num(changes)
    spread = (changes**2).sum(axis=0) - changes.sum(axis=0) ** 2 / count
    return np.asarray((count - 1) / count * spread)


def _students(of_seeds: Floats, of_videos: Floats, seeds: int, videos: int) -> Floats:
    """(A,) Student's 97.5 % quantile over the normal one, for the sum of two variances."""
    per_freedom = of_seeds**2 / (seeds - 1) + of_videos**2 / max(videos - 1, 1)
    inverse = per_freedom / (of_seeds + of_videos) ** 2
    known = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 6: 2.447, 10: 2.228, 30: 2.042}
    quantile = np.interp(
        inverse, [0, *(1 / f for f in reversed(known))], [1.96, *reversed(known.values())]
    )
    return np.asarray(quantile / 1.96)


def _versus(
    name: str,
    truth: GroundTruth,
    averages: Sequence[str],
    whole: Floats,
    drawn: Floats,
    without: Floats,
    without_seed: Floats,
) -> Versus:
    """A contender's differences from the first, in columns as those of `_scores`."""
    lows, highs = intervals(whole[0], drawn, without, without_seed)
    columns = zip(whole[0].tolist(), lows.tolist(), highs.tolist(), strict=True)
    differences = [Difference(*column) for column in columns]
    headline = len(averages) - 1
    per_class = zip(truth.classes, differences[len(averages) :], strict=True)
    influence = whole[0, headline] - without[:, headline]
    order = np.argsort(-np.abs(influence), kind="stable")
    return Versus(
        name,
        dict(zip(averages, differences, strict=False)),
        float((drawn[:, headline] > 0).mean()),
        dict(sorted(per_class, key=lambda item: -abs(item[1].value))),
        tuple(VideoInfluence(truth.videos[row], float(influence[row])) for row in order),
    )
