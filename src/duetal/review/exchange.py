"""Corrections in outside forms: as annotations, and as the table to train on; and in again.

`duetal.formats.csv_table` shows the table. Its rows are: an action from start to end, in seconds; a
point, which lies in an action of unknown edges; a stretch that was proposed for a class and is none
of it; a stretch that was looked through, in which nothing happens but the actions listed; a class
that occurs, at times that are unknown; and a class that does not occur in the video. What is not
listed is not known.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from duetal.core.annotations import NOTHING_HAPPENS, Annotations, Segment, VideoAnnotation
from duetal.formats.csv_table import ABSENT, COMPLETE, PRESENT, REVIEW_HEADER
from duetal.formats.delimited import write_rows
from duetal.formats.marked import facts_text
from duetal.own_videos.corrected_dataset import KnownRow
from duetal.review.statements import (
    Statement,
    StatementChange,
    StatementKind,
    Statements,
    Verdict,
)

#: Seconds by which times may differ that are one and the same: forms count milliseconds or frames.
SAME = 0.021


def looked_through(state: Statements, duration: float) -> bool:
    """Whether all of a video was looked through."""
    reached = 0.0
    looked = (s for s in state.values() if s.kind is StatementKind.LOOKED and not s.label)
    for one in sorted(looked):
        if one.start <= reached + SAME:
            reached = max(reached, one.end)
    return reached >= duration - SAME


def as_annotations(
    states: Mapping[str, Statements], durations: Mapping[str, float], classes: tuple[str, ...]
) -> Annotations:
    """What is known of the videos: accepted actions, points as actions of no length, and labels.

    The segments of a video of which labels alone are known are None. A video without any statement
    of a person is left out: nothing is known of it. `durations` are seconds by the videos' names.
    """
    videos = {}
    for name, duration in durations.items():
        accepted = [s for s in states.get(name, {}).values() if s.verdict is Verdict.ACCEPTED]
        actions = sorted(
            Segment(s.start, s.end, s.label) for s in accepted if s.kind is StatementKind.ACTION
        )
        labels = {s.label for s in accepted if s.kind is StatementKind.LABEL}
        labels |= {segment.label for segment in actions}
        complete = looked_through(states.get(name, {}), duration)
        if not (labels or complete):
            continue
        segments = tuple(actions) if actions or (complete and not labels) else None
        facts = {} if labels else {NOTHING_HAPPENS: True}
        videos[name] = VideoAnnotation(
            name, None, duration, tuple(sorted(labels)), segments, facts=facts_text(facts)
        )
    known = dict.fromkeys((*classes, *sorted({la for v in videos.values() for la in v.labels})))
    return Annotations(videos, tuple(known))


def write_table(path: Path, states: Mapping[str, Statements]) -> None:
    """Write the table to train on; it is a DuetalError if it can't be written."""
    write_rows(path, ",", REVIEW_HEADER, known_rows(states), errors="replace")


def known_rows(states: Mapping[str, Statements]) -> Iterator[KnownRow]:
    """The rows of the table to train on."""
    for name, state in states.items():
        if name:
            yield from _rows(name, state)


def _rows(name: str, state: Statements) -> Iterator[KnownRow]:
    for one in sorted(state.values(), key=lambda s: (s.kind, s.start, s.end, s.label)):
        if one.verdict is Verdict.OPEN or one.kind is StatementKind.CLASS:
            continue
        known = PRESENT if one.verdict is Verdict.ACCEPTED else ABSENT
        if one.kind is StatementKind.LABEL:
            yield name, one.label, "", "", known
        elif one.kind is StatementKind.LOOKED and one.label:
            yield from ((name, one.label, *gap, ABSENT) for gap in _gaps(one, state))
        else:
            known = COMPLETE if one.kind is StatementKind.LOOKED else known
            yield name, one.label, one.start, one.end, known


def _gaps(looked: Statement, state: Statements) -> Iterator[tuple[float, float]]:
    """Where a stretch that was looked through for a class is without it.

    Between two actions there is nothing of it, unless a point lies there, whose edges are unknown.
    """
    own = sorted(
        (s.start, s.end)
        for s in state.values()
        if s.kind is StatementKind.ACTION
        and (s.label, s.verdict) == (looked.label, Verdict.ACCEPTED)
        and s.end >= looked.start
        and s.start <= looked.end
    )
    reached, has_point = looked.start, False
    for start, end in [*own, (looked.end, np.inf)]:
        if start == end:
            has_point = has_point or end > reached
            continue
        if start > reached and not has_point:
            yield reached, start
        reached, has_point = max(reached, end), False


def changes_to(
    states: Mapping[str, Statements], annotations: Annotations, numbers: Callable[[], int]
) -> list[StatementChange]:
    """What makes the review say what annotations say that were made or corrected elsewhere.

    An action that is there is accepted, at its times there; one that is not is added. What was
    accepted here and is not there is rejected, or removed if a person had added it. Proposals
    that nobody has judged are left alone. Videos that the review does not have are left out.
    """
    changes: list[StatementChange] = []
    for video in annotations:
        if video.name not in states:
            continue
        state = states[video.name]
        if video.segments is not None:
            changes += _segment_changes(video, state, numbers)
        said = {s.label: n for n, s in state.items() if s.kind is StatementKind.LABEL}
        located = {segment.label for segment in video.segments or ()} | {
            s.label
            for s in state.values()
            if s.kind is StatementKind.ACTION and s.verdict is Verdict.ACCEPTED
        }
        for label in video.labels:
            if label in said or label not in located:
                number = said.get(label) or numbers()
                after = Statement(StatementKind.LABEL, label)
                changes.append(StatementChange(video.name, number, state.get(number), after))
    return changes


def _segment_changes(
    video: VideoAnnotation, state: Statements, numbers: Callable[[], int]
) -> Iterator[StatementChange]:
    left = {n: s for n, s in state.items() if s.kind is StatementKind.ACTION}
    for segment in video.segments or ():
        # An accepted one before a proposal, and of these the nearest.
        near = [
            (s.verdict is not Verdict.ACCEPTED, max(differences), n)
            for n, s in left.items()
            if s.label == segment.label
            and max(
                differences := (abs(s.start - segment.start), abs(s.end - segment.end))
            ) <= SAME
        ]  # fmt: skip
        number = min(near)[2] if near else numbers()
        before = left.pop(number, None)
        after = (before or Statement(StatementKind.ACTION, segment.label))._replace(
            verdict=Verdict.ACCEPTED
        )
        if before is None:
            after = after._replace(start=segment.start, end=segment.end)
        yield StatementChange(video.name, number, before, after)
    for number, one in left.items():
        if one.verdict is Verdict.ACCEPTED:
            rejected = None if one.score is None else one._replace(verdict=Verdict.REJECTED)
            yield StatementChange(video.name, number, one, rejected)
