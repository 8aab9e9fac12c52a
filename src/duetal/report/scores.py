"""The tables of scores: mAP by stage and tIoU, AP by class, per-snippet diagnostics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from duetal.results.reading import RunResults
from duetal.results.schema import ENSEMBLE, Diagnostics, StageScores, StageSummary


@dataclass(frozen=True)
class Score:
    """One number of a table in percent; `spread` is its standard deviation over seeds."""

    mean: float
    spread: float | None = None
    best: bool = False


@dataclass(frozen=True)
class StageRow:
    """The scores of one stage, by column name; a column it was not measured at is None."""

    stage: str
    title: str
    branch: str
    scores: dict[str, Score | None]
    #: Whether it is the first stage of its branch.
    first: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """mAP of all stages.

    Args:
        tiou: names of the columns of single thresholds, like "0.5".
        averages: names of the columns of averages, like "0.1:0.7".
        headline: the main column: the average over the widest range.
        rows: one per stage, in the order of training.
        counts: what was evaluated, as text.
    """

    tiou: list[str]
    averages: list[str]
    headline: str
    rows: list[StageRow]
    counts: str


@dataclass(frozen=True)
class LabelRow:
    """How well a stage ranks held-out videos by label: mAP, and the highest-scoring label right."""

    stage: str
    title: str
    branch: str
    mean_ap: Score | None
    first_right: Score | None


@dataclass(frozen=True)
class LabelTable:
    """The evaluation by labels alone.

    Args:
        rows: one per stage, in the order of training.
        videos: how many were held out.
        chance: the mAP of a random order, in percent.
    """

    rows: list[LabelRow]
    videos: int
    chance: float


def label_table(run: RunResults) -> LabelTable | None:
    """The table of labels over all seeds; None if the run has segments or no evaluation."""
    files = [seed.labels for seed in run.seeds if seed.labels is not None]
    if not files or not files[0].stages or any(seed.evaluation for seed in run.seeds):
        return None
    first = files[0]
    rows = []
    for number, stage in enumerate(first.stages):
        same = [file.stages[number] for file in files if len(file.stages) == len(first.stages)]
        rows.append(
            LabelRow(
                stage.stage,
                stage.title,
                stage.branch,
                over_seeds(row.mean_ap for row in same),
                over_seeds(row.first_right for row in same),
            )
        )
    return LabelTable(rows, len(first.videos), 100 * first.chance)


def score_table(run: RunResults) -> ScoreTable | None:
    """The mAP table of a run; None before any evaluation."""
    evaluation = next((seed.evaluation for seed in run.seeds if seed.evaluation), None)
    stages: Sequence[StageScores | StageSummary] = []
    if run.summary is not None:
        stages = run.summary.stages
    elif evaluation is not None:
        stages = evaluation.stages
    if not stages:
        return None
    tiou = [f"{value:g}" for value in dict.fromkeys(t for s in stages for t in s.tiou)]
    averages = list(dict.fromkeys(name for stage in stages for name in stage.averages))
    rows = [_row(stage, [*tiou, *averages]) for stage in stages]
    marked = mark_best([list(row.scores.values()) for row in rows])
    rows = [
        replace(row, scores=dict(zip(row.scores, scores, strict=True)))
        for row, scores in zip(rows, marked, strict=True)
    ]
    return ScoreTable(
        tiou=tiou,
        averages=averages,
        headline=max(averages, key=_width) if averages else tiou[0],
        rows=_mark_first(rows),
        counts=_counts(evaluation.stages[-1]) if evaluation and evaluation.stages else "",
    )


def _row(stage: StageScores | StageSummary, columns: list[str]) -> StageRow:
    scores: dict[str, Score]
    if isinstance(stage, StageSummary):
        cells = zip(stage.tiou, stage.mean_ap, stage.std, strict=False)
        scores = {f"{t:g}": _spread(mean, std) for t, mean, std in cells}
        for name, spread in stage.averages.items():
            scores[name] = _spread(spread.mean, spread.std)
    else:
        pairs = zip(stage.tiou, stage.mean_ap, strict=False)
        scores = {f"{t:g}": Score(100 * value) for t, value in pairs}
        scores |= {name: Score(100 * value) for name, value in stage.averages.items()}
    by_column = {column: scores.get(column) for column in columns}
    return StageRow(stage.stage, stage.title, stage.branch, by_column)


def _spread(mean: float, std: float | None) -> Score:
    return Score(100 * mean, None if std is None else 100 * std)


def mark_best(rows: Sequence[Sequence[Score | None]]) -> list[list[Score | None]]:
    """Mark the best of each column, ties included; a single row has none."""
    best = [max((s.mean for s in cells if s), default=None) for cells in zip(*rows, strict=True)]
    return [
        [
            score and replace(score, best=len(rows) > 1 and score.mean == top)
            for score, top in zip(row, best, strict=True)
        ]
        for row in rows
    ]


def _mark_first(rows: list[StageRow]) -> list[StageRow]:
    first = {row.branch: row.stage for row in reversed(rows) if row.branch != ENSEMBLE}
    return [replace(row, first=first.get(row.branch) == row.stage) for row in rows]


def _width(average: str) -> float:
    """Width of a range like "0.1:0.7"; a name that is no range is the narrowest."""
    try:
        first, last = map(float, average.split(":"))
    except ValueError:
        return -1.0
    return last - first


def _counts(stage: StageScores) -> str:
    known = [
        f"{value:,} {name}"
        for name, value in (
            ("videos", stage.videos),
            ("segments", stage.segments),
            (f"predictions ({stage.title})", stage.predictions),
        )
        if value is not None
    ]
    text = ", ".join(known)
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in stage.dropped.items() if count)
    return f"{text}; dropped: {dropped}" if dropped else text


@dataclass(frozen=True)
class ClassRow:
    """AP of one class at a few stages, in percent, mean over tIoU (and seeds)."""

    name: str
    points: list[tuple[StageRow, float]]


def class_rows(run: RunResults, table: ScoreTable) -> list[ClassRow]:
    """AP by class at the start and the end of each branch and of the ensemble, best class first."""
    evaluations = [seed.evaluation for seed in run.seeds if seed.evaluation]
    values: dict[str, dict[str, list[float]]] = {}
    for evaluation in evaluations:
        for stage in evaluation.stages:
            for name, by_tiou in stage.per_class.items():
                if by_tiou:
                    by_stage = values.setdefault(name, {})
                    by_stage.setdefault(stage.stage, []).append(100 * fmean(by_tiou))
    shown = _first_and_last(table.rows)
    rows = [
        ClassRow(name, [(row, fmean(by[row.stage])) for row in shown if row.stage in by])
        for name, by in values.items()
    ]
    rows = [row for row in rows if row.points]
    return sorted(rows, key=lambda row: -row.points[-1][1])


def _first_and_last(rows: Iterable[StageRow]) -> list[StageRow]:
    by_branch: dict[str, list[StageRow]] = {}
    for row in rows:
        by_branch.setdefault(row.branch, []).append(row)
    kept = {row.stage: row for group in by_branch.values() for row in (group[0], group[-1])}
    return [row for row in rows if row.stage in kept]


@dataclass(frozen=True)
class DiagnosticRow:
    """Per-snippet precision and recall and the like, in percent; None is "not measured".

    `key` is the stage or the phase, `name` what the table calls it.
    """

    key: str
    name: str
    branch: str
    values: dict[str, Score | None]


def stage_diagnostics(run: RunResults) -> list[DiagnosticRow]:
    """Per-snippet precision, recall and F1 by stage, mean over seeds."""
    columns = ("precision", "recall", "f1")
    found = [diagnostics.stages for diagnostics in _diagnosed(run)]
    stages = {
        stage.stage: stage for s in run.seeds if s.evaluation for stage in s.evaluation.stages
    }
    return [
        DiagnosticRow(
            name,
            stage.title,
            stage.branch,
            {c: over_seeds(getattr(s[name], c) for s in found if name in s) for c in columns},
        )
        for name, stage in stages.items()
        if any(name in scores for scores in found)
    ]


def pseudo_label_diagnostics(run: RunResults) -> list[DiagnosticRow]:
    """Precision and recall of each step's pseudo-labels, mean over seeds."""
    columns = (
        "foreground_precision",
        "foreground_recall",
        "background_precision",
        "background_recall",
    )
    found = [diagnostics.pseudo_labels for diagnostics in _diagnosed(run)]
    names = dict.fromkeys(name for phases in found for name in phases)
    phases = run.phases()
    return [
        DiagnosticRow(
            name,
            name,
            (phases[name].teacher if name in phases else None) or "",
            {c: over_seeds(getattr(p[name], c) for p in found if name in p) for c in columns},
        )
        for name in names
    ]


def _diagnosed(run: RunResults) -> list[Diagnostics]:
    evaluations = (seed.evaluation for seed in run.seeds)
    return [e.diagnostics for e in evaluations if e is not None and e.diagnostics is not None]


def over_seeds(values: Iterable[float | None]) -> Score | None:
    """Mean and spread of fractions, in percent; None where none is known."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return None
    return Score(fmean(known), stdev(known) if len(known) > 1 else None)
