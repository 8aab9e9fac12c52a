"""What each step of training taught, whether its student believed it, and what it changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from duetal.pages.run_files import SnippetFile, open_signals
from duetal.pages.scores import Score, ScoreTable, StageRow, over_seeds, pseudo_label_diagnostics
from duetal.results.log_events import LabelCounts, SegmentCounts
from duetal.results.reading import RunResults, SeedResults
from duetal.results.schema import DETECTOR, ENSEMBLE, PhaseRecord

#: The values of a pseudo-label by what a phase distils.
KINDS = {"foreground": 1, "background": 0}
IGNORED = -1
Pair = tuple[float, float]


@dataclass(frozen=True)
class Change:
    """A stage beside the one that it is to improve on: points of mAP that it lies above it."""

    title: str
    before: str
    points: float

    @property
    def is_worse(self) -> bool:
        """Whether the loss shows in a number of one decimal."""
        return self.points <= -0.05


@dataclass(frozen=True)
class Step:
    """One phase with a teacher; numbers in percent, over the seeds."""

    phase: str
    teacher: str
    student: str
    #: Share of the snippets by pseudo-label, or None where there are none.
    taught: Mapping[str, Score | None]
    #: Pseudo-segments and how many of them are taught, summed over the seeds.
    segments: tuple[int, int] | None
    right: Mapping[str, Score | None]  #: By the fields of `PseudoLabelScores`.
    #: Before and after: the shares of what is taught that the student, when it teaches in its turn,
    #: labels likewise, and as the opposite.
    believed: tuple[Pair | None, Pair | None]
    #: The weighted loss of what is taught, in the first and the last epoch.
    loss: Pair | None
    change: Change | None


@dataclass
class _Gathered:
    """What the seeds recorded of a phase."""

    counts: list[LabelCounts] = field(default_factory=list)
    segments: list[SegmentCounts] = field(default_factory=list)
    beliefs: list[tuple[Pair | None, Pair | None]] = field(default_factory=list)
    losses: list[Pair] = field(default_factory=list)


def steps(run: RunResults, table: ScoreTable | None) -> list[Step]:
    """Every phase with a teacher, in the order of training.

    Raises:
        DuetalError: a file of pseudo-labels is damaged.
    """
    phases = run.phases()
    taught = {name: phase for name, phase in phases.items() if phase.teacher}
    gathered = {name: _Gathered() for name in taught}
    for seed in run.seeds:
        beliefs = _beliefs(seed, phases)
        alone = {term for name in phases.keys() - taught.keys() for term in _terms(seed, name)}
        for name, found in gathered.items():
            if name in seed.log.pseudo_labels:
                found.counts.append(seed.log.pseudo_labels[name])
            if name in seed.log.pseudo_segments:
                found.segments += seed.log.pseudo_segments[name].classes.values()
            if name in beliefs:
                found.beliefs.append(beliefs[name])
            if loss := _taught_loss(seed, name, alone):
                found.losses.append(loss)
    right = {row.stage: row.scores for row in pseudo_label_diagnostics(run)}
    changed = dict(changes(table, phases))
    return [
        Step(
            name,
            phase.teacher or "",
            phase.student,
            _shares(gathered[name].counts),
            _sums(gathered[name].segments),
            right.get(name, {}),
            (
                _mean_pair(before for before, _ in gathered[name].beliefs),
                _mean_pair(after for _, after in gathered[name].beliefs),
            ),
            _mean_pair(gathered[name].losses),
            changed.get(phase.stage),
        )
        for name, phase in taught.items()
    ]


def changes(
    table: ScoreTable | None, phases: Mapping[str, PhaseRecord]
) -> Iterator[tuple[str, Change]]:
    """How far each stage lies above what it is to improve on, by the headline score.

    That is the branch's stage before; for the ensemble the best final branch; for the first round
    of the detector its teacher.
    """
    teachers = {phase.stage: phase.teacher for phase in phases.values()}
    last: dict[str, StageRow] = {}
    for row in table.rows if table else ():
        before: StageRow | None = last.get(row.branch)
        if row.branch == ENSEMBLE:
            before = max(last.values(), key=lambda own: _headline(own, table), default=None)
        elif before is None and row.branch == DETECTOR:
            before = last.get(teachers.get(row.stage) or "")
        last[row.branch] = row
        if before is not None and table is not None:
            points = _headline(row, table) - _headline(before, table)
            if np.isfinite(points):
                yield row.stage, Change(row.title, before.title, points)


def _headline(row: StageRow, table: ScoreTable | None) -> float:
    """The main score of a stage; minus infinity where it has none."""
    score = row.scores[table.headline] if table else None
    return score.mean if score else -np.inf


def _beliefs(
    seed: SeedResults, phases: Mapping[str, PhaseRecord]
) -> dict[str, tuple[Pair | None, Pair | None]]:
    """`Step.believed` by phase."""
    with ExitStack() as stack:
        files = open_signals(seed.folder, "", stack).labels
        order = [phases[name] for name in files if name in phases]
        found = {}
        for number, phase in enumerate(order):
            before = [p.name for p in order[:number] if p.teacher == phase.student]
            after = [p.name for p in order[number:] if p.teacher == phase.student]
            values = [KINDS[kind] for kind in phase.distils if kind in KINDS]
            found[phase.name] = (
                _agreement(files[phase.name], files[before[-1]], values) if before else None,
                _agreement(files[phase.name], files[after[0]], values) if after else None,
            )
        return found


def _agreement(taught: SnippetFile, own: SnippetFile, values: Sequence[int]) -> Pair | None:
    """Percent of the taught snippets that the student's own labels agree with, and contradict.

    None where nothing is taught.
    """
    same = opposite = total = 0
    for name in taught.videos:
        labels, others = taught.labels(name), own.labels(name)
        if labels is None or others is None or labels.shape != others.shape:
            continue
        # A class that the video does not carry is background everywhere, to both.
        present = ((labels != KINDS["background"]) | (others != KINDS["background"])).any(axis=0)
        chosen = np.isin(labels, values) & present
        same += int((chosen & (labels == others)).sum())
        opposite += int((chosen & (labels != others) & (others != IGNORED)).sum())
        total += int(chosen.sum())
    return (100 * same / total, 100 * opposite / total) if total else None


def _terms(seed: SeedResults, phase: str) -> dict[str, Pair]:
    """The terms of a phase's loss in its first and its last epoch, where both are finite."""
    epochs = seed.log.epochs.get(phase, {})
    if not epochs:
        return {}
    first, last = epochs[min(epochs)].terms, epochs[max(epochs)].terms
    pairs = {term: (value, last.get(term)) for term, value in first.items()}
    return {t: (a, b) for t, (a, b) in pairs.items() if a is not None and b is not None}


def _taught_loss(seed: SeedResults, phase: str, alone: set[str]) -> Pair | None:
    """The sum of the terms that no phase without a teacher has (`alone`); None without such."""
    pairs = [pair for term, pair in _terms(seed, phase).items() if term not in alone]
    if not pairs or not alone:
        return None
    return sum(a for a, _ in pairs), sum(b for _, b in pairs)


def _shares(counts: Sequence[LabelCounts]) -> dict[str, Score | None]:
    """The share of each kind of pseudo-label."""
    rows = [row.model_dump(include=set(LabelCounts.model_fields)) for row in counts]
    return {
        kind: over_seeds(row[kind] / max(sum(row.values()), 1) for row in rows)
        for kind in LabelCounts.model_fields
    }


def _sums(counts: Sequence[SegmentCounts]) -> tuple[int, int] | None:
    if not counts:
        return None
    return sum(one.segments for one in counts), sum(one.taught for one in counts)


def _mean_pair(pairs: Iterable[Pair | None]) -> Pair | None:
    """The mean over those that are known."""
    known = [pair for pair in pairs if pair is not None]
    if not known:
        return None
    first, second = np.mean(known, axis=0).tolist()
    return first, second
