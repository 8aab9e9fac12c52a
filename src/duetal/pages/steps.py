"""What each step of training taught, whether its student believed it, and what it changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from duetal.pages.run_files import SnippetFile, open_signals
from duetal.pages.scores import Score, ScoreTable, pseudo_label_diagnostics
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
    """One phase with a teacher; means over the seeds."""

    phase: str
    teacher: str
    student: str
    right: Mapping[str, Score | None]  #: By the fields of `PseudoLabelScores`.
    #: Before and after: percent of what is taught that the student, when it teaches in its turn,
    #: labels likewise, and as the opposite.
    believed: tuple[Pair | None, Pair | None]
    #: The weighted loss of what is taught, in the first and the last epoch.
    loss: Pair | None
    change: Change | None


def steps(run: RunResults, table: ScoreTable | None) -> list[Step]:
    """Every phase with a teacher, in the order of training.

    Raises:
        DuetalError: a file of pseudo-labels is damaged.
    """
    phases = run.phases()
    beliefs = [_beliefs(seed, phases) for seed in run.seeds]
    losses = [_taught_losses(seed, phases) for seed in run.seeds]
    right = {row.stage: row.scores for row in pseudo_label_diagnostics(run)}
    changed = dict(changes(table, phases))
    return [
        Step(
            name,
            phase.teacher,
            phase.student,
            right.get(name, {}),
            (
                _mean_pair(found[name][0] for found in beliefs if name in found),
                _mean_pair(found[name][1] for found in beliefs if name in found),
            ),
            _mean_pair(found.get(name) for found in losses),
            changed.get(phase.stage),
        )
        for name, phase in phases.items()
        if phase.teacher
    ]


def changes(
    table: ScoreTable | None, phases: Mapping[str, PhaseRecord]
) -> Iterator[tuple[str, Change]]:
    """How far each stage lies above what it is to improve on, by the headline score.

    That is the branch's stage before; for the ensemble the best final branch; for the first round
    of the detector its teacher.
    """
    teachers = {phase.stage: phase.teacher for phase in phases.values()}
    last: dict[str, tuple[str, float]] = {}
    for row in table.rows if table else ():
        score = row.scores[table.headline] if table else None
        if score is None:
            continue
        before = last.get(row.branch)
        if row.branch == ENSEMBLE:
            before = max(last.values(), key=lambda own: own[1], default=None)
        elif before is None and row.branch == DETECTOR:
            before = last.get(teachers.get(row.stage) or "")
        last[row.branch] = (row.title, score.mean)
        if before is not None:
            yield row.stage, Change(row.title, before[0], score.mean - before[1])


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


def _taught_losses(seed: SeedResults, phases: Mapping[str, PhaseRecord]) -> dict[str, Pair]:
    """`Step.loss` by phase: of the terms that no phase without a teacher has."""
    ends: dict[str, list[Mapping[str, float | None]]] = {
        name: [epochs[min(epochs)].terms, epochs[max(epochs)].terms]
        for name, epochs in seed.log.epochs.items()
        if epochs and name in phases
    }
    alone = {t for name, (first, _) in ends.items() if not phases[name].teacher for t in first}
    found = {}
    for name, both in ends.items():
        values = [[terms.get(t) for t in both[0] if t not in alone] for terms in both]
        first, last = ([value for value in own if value is not None] for own in values)
        if alone and first and len(first) == len(last) == len(values[0]):
            found[name] = (sum(first), sum(last))
    return found


def _mean_pair(pairs: Iterable[Pair | None]) -> Pair | None:
    """The mean over those that are known."""
    known = [pair for pair in pairs if pair is not None]
    if not known:
        return None
    first, second = np.mean(known, axis=0).tolist()
    return first, second
