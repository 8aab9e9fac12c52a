"""The tables of scores: mAP by stage and tIoU, AP by class, per-snippet diagnostics."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from duetal.core.records import Record
from duetal.results import schema
from duetal.results.reading import RunResults


@dataclass(frozen=True)
class Score:
    """One number of a table in percent; `spread` is its standard deviation over seeds."""

    mean: float
    spread: float | None = None
    best: bool = False


@dataclass(frozen=True)
class StageRow:
    """The scores of one stage or phase, by column name; None where it was not measured."""

    stage: str  #: Or the phase.
    title: str
    branch: str
    scores: dict[str, Score | None]
    first: bool = False  #: Whether it is the first stage of its branch.


@dataclass(frozen=True)
class ScoreTable:
    """mAP of all stages."""

    tiou: list[str]  #: Names of the columns of single thresholds, like "0.5".
    averages: list[str]  #: Names of the columns of averages, like "0.1:0.7".
    headline: str  #: The main column: the average over the widest range.
    rows: list[StageRow]  #: One per stage, in the order of training.
    counts: str  #: What was evaluated, as text.


@dataclass(frozen=True)
class LabelTable:
    """The evaluation by labels alone: how well each stage ranks held-out videos."""

    #: One per stage, in the order of training: mAP, and the highest-scoring label right.
    rows: list[StageRow]
    videos: int  #: How many were held out.
    chance: float  #: The mAP of a random order, in percent.


def label_table(run: RunResults) -> LabelTable | None:
    """The table of labels over all seeds; None if the run has segments or no evaluation."""
    files = [seed.labels for seed in run.seeds if seed.labels is not None]
    if not files or not files[0].stages or any(seed.evaluation for seed in run.seeds):
        return None
    first = files[0]
    rows = []
    for number, stage in enumerate(first.stages):
        same = [file.stages[number] for file in files if len(file.stages) == len(first.stages)]
        scores = _means(("mean_ap", "first_right"), same)
        rows.append(StageRow(stage.stage, stage.title, stage.branch, scores))
    return LabelTable(rows, len(first.videos), 100 * first.chance)


def score_table(run: RunResults) -> ScoreTable | None:
    """The mAP table of a run; None before any evaluation."""
    evaluation = next((seed.evaluation for seed in run.seeds if seed.evaluation), None)
    stages: Sequence[schema.StageScores | schema.StageSummary] = []
    if run.summary is not None:
        stages = run.summary.stages
    elif evaluation is not None:
        stages = evaluation.stages
    counts = _counts(evaluation.stages[-1]) if evaluation and evaluation.stages else ""
    return _table(stages, counts) if stages else None


def unseen_table(run: RunResults) -> ScoreTable | None:
    """The same of the classes that were not trained on, a row for each that found them."""
    found = run.unseen
    if found is None:
        return None
    rows: list[schema.StageScores | schema.StageSummary] = []
    for title, one in (found.scores | found.summary).items():
        values = {"stage": title, "title": title, "branch": "", **dict(one)}
        kind = schema.StageSummary if title in found.summary else schema.StageScores
        rows.append(kind.model_validate(values))
    first = next(iter(found.scores.values()), None)
    counts = f"{', '.join(first.per_class)}, in {first.videos:,} videos" if first else ""
    return _table(rows, counts) if rows else None


def _table(stages: Sequence[schema.StageScores | schema.StageSummary], counts: str) -> ScoreTable:
    tiou = [f"{value:g}" for value in dict.fromkeys(t for s in stages for t in s.tiou)]
    averages = list(dict.fromkeys(name for stage in stages for name in stage.averages))
    rows = [_row(stage, [*tiou, *averages]) for stage in stages]
    marked = mark_best([list(row.scores.values()) for row in rows])
    first = {row.branch: row.stage for row in reversed(rows) if row.branch != schema.ENSEMBLE}
    rows = [
        replace(
            row,
            scores=dict(zip(row.scores, scores, strict=True)),
            first=first.get(row.branch) == row.stage,
        )
        for row, scores in zip(rows, marked, strict=True)
    ]
    headline = max(averages, key=_width) if averages else tiou[0]
    return ScoreTable(tiou, averages, headline, rows, counts)


def _row(stage: schema.StageScores | schema.StageSummary, columns: list[str]) -> StageRow:
    found: dict[str, tuple[float, float | None]]
    if isinstance(stage, schema.StageSummary):
        cells = zip(stage.tiou, stage.mean_ap, stage.std, strict=False)
        found = {f"{t:g}": (mean, std) for t, mean, std in cells}
        found |= {name: (spread.mean, spread.std) for name, spread in stage.averages.items()}
    else:
        pairs = zip(stage.tiou, stage.mean_ap, strict=False)
        found = {f"{t:g}": (value, None) for t, value in pairs}
        found |= {name: (value, None) for name, value in stage.averages.items()}
    scores: dict[str, Score | None] = dict.fromkeys(columns)
    for column, (mean, std) in found.items():
        scores[column] = Score(100 * mean, None if std is None else 100 * std)
    return StageRow(stage.stage, stage.title, stage.branch, scores)


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


def _width(average: str) -> float:
    """Width of a range like "0.1:0.7"; a name that is no range is the narrowest."""
    try:
        first, last = map(float, average.split(":"))
    except ValueError:
        return -1.0
    return last - first


def _counts(stage: schema.StageScores) -> str:
    counts = {
        "videos": stage.videos,
        "segments": stage.segments,
        f"predictions ({stage.title})": stage.predictions,
    }
    text = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in stage.dropped.items() if count)
    return f"{text}; dropped: {dropped}" if dropped else text


@dataclass(frozen=True)
class ClassRow:
    """AP of one class at a few stages, in percent, mean over tIoU (and seeds)."""

    name: str
    points: list[tuple[StageRow, float]]


def class_rows(run: RunResults, table: ScoreTable) -> list[ClassRow]:
    """AP by class at the start and the end of each branch and of the ensemble, best class first."""
    values: defaultdict[str, defaultdict[str, list[float]]]
    values = defaultdict(lambda: defaultdict(list))
    stages = (stage for s in run.seeds if s.evaluation for stage in s.evaluation.stages)
    for stage in stages:
        for name, by_tiou in stage.per_class.items():
            if by_tiou:
                values[name][stage.stage].append(100 * fmean(by_tiou))
    by_branch: defaultdict[str, list[str]] = defaultdict(list)
    for row in table.rows:
        by_branch[row.branch].append(row.stage)
    ends = {stage for own in by_branch.values() for stage in (own[0], own[-1])}
    shown = [row for row in table.rows if row.stage in ends]
    rows = [
        ClassRow(name, [(row, fmean(by[row.stage])) for row in shown if row.stage in by])
        for name, by in values.items()
    ]
    rows = [row for row in rows if row.points]
    return sorted(rows, key=lambda row: -row.points[-1][1])


def stage_diagnostics(run: RunResults) -> list[StageRow]:
    """Per-snippet precision, recall and F1 by stage, mean over seeds."""
    found = [diagnostics.stages for diagnostics in _diagnosed(run)]
    stages = {
        stage.stage: stage for s in run.seeds if s.evaluation for stage in s.evaluation.stages
    }
    return [
        StageRow(
            name, stage.title, stage.branch, _means(schema.SnippetScores.model_fields, records)
        )
        for name, stage in stages.items()
        if (records := [scores[name] for scores in found if name in scores])
    ]


def pseudo_label_diagnostics(run: RunResults) -> list[StageRow]:
    """Precision and recall of each step's pseudo-labels, mean over seeds; the teacher's branch."""
    found = [diagnostics.pseudo_labels for diagnostics in _diagnosed(run)]
    teachers = {name: phase.teacher or "" for name, phase in run.phases().items()}
    rows = []
    for name in dict.fromkeys(name for phases in found for name in phases):
        records = [phases[name] for phases in found if name in phases]
        scores = _means(schema.PseudoLabelScores.model_fields, records)
        rows.append(StageRow(name, name, teachers.get(name, ""), scores))
    return rows


def _means(columns: Iterable[str], records: Sequence[Record]) -> dict[str, Score | None]:
    """Each field in `columns` over the records of the seeds."""
    return {c: over_seeds(getattr(record, c) for record in records) for c in columns}


def _diagnosed(run: RunResults) -> list[schema.Diagnostics]:
    evaluations = (seed.evaluation for seed in run.seeds)
    return [e.diagnostics for e in evaluations if e is not None and e.diagnostics is not None]


def over_seeds(values: Iterable[float | None]) -> Score | None:
    """Mean and spread of fractions, in percent; None where none is known."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return None
    return Score(fmean(known), stdev(known) if len(known) > 1 else None)
