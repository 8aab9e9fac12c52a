"""What can be done to the statements of a video: each action gives the changes that it means."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from duetal.core.errors import UsageError
from duetal.core.video_names import composed
from duetal.review.statements import (
    Statement,
    StatementChange,
    StatementKind,
    Statements,
    Verdict,
)

#: Seconds of the shortest action: a shorter one would be a point.
SHORTEST = 0.01
#: Characters of the longest label.
LONGEST_LABEL = 200


class Verb(StrEnum):
    """What is done."""

    ACCEPT = "accept"
    REJECT = "reject"  #: A proposal is rejected; what a person added is removed.
    REOPEN = "reopen"  #: Nothing is said of a proposal any more.
    EDGES = "edges"  #: Another start or end.
    LABEL = "label"  #: Another class.
    SPLIT = "split"
    MERGE = "merge"
    ADD = "add"  #: An action, or a point where start and end are equal.
    #: From start to end, of a class or of all; open proposals in it are rejected.
    NOTHING_ELSE = "nothing else"
    LABELS = "labels"  #: The classes of the whole video: those that occur, and those that do not.
    RENAME = "rename"  #: A class in all videos; into an existing one both become one.
    CLASS = "class"  #: A new name that can be given.


class Action(BaseModel):
    """What a person does on the page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: Verb
    #: The statements that it is about.
    numbers: tuple[int, ...] = Field(default=(), max_length=100_000)
    label: str = Field(default="", max_length=LONGEST_LABEL)
    #: Seconds.
    start: FiniteFloat = 0.0
    end: FiniteFloat = 0.0
    #: Of `labels`: the classes that occur, and those that do not.
    present: tuple[str, ...] = Field(default=(), max_length=10_000)
    absent: tuple[str, ...] = Field(default=(), max_length=10_000)


@dataclass(frozen=True)
class Reviewed:
    """The video that an action is about."""

    name: str
    duration: float  #: Seconds; infinite where it is unknown.
    state: Statements
    #: Gives numbers for new statements.
    numbers: Callable[[], int] = count(1).__next__

    def changes(self, action: Action) -> list[StatementChange]:
        """What an action of a video changes.

        Raises:
            UsageError: it is about nothing that is there, or not possible; says why.
        """
        make = _OF_VIDEOS.get(action.verb)
        if make is None:
            raise UsageError(f"{action.verb} is not about one video")
        return make(self, action)

    def chosen(self, action: Action, least: int = 1) -> list[tuple[int, Statement]]:
        """The statements that the action names."""
        wanted = dict.fromkeys(action.numbers)
        there = [(number, self.state[number]) for number in wanted if number in self.state]
        if len(there) < max(least, len(wanted)):
            raise UsageError(f"{action.verb}: choose {'it' if least == 1 else 'several'} first")
        return there

    def change(self, number: int, after: Statement | None) -> StatementChange:
        """The change of a statement, or a new one."""
        return StatementChange(self.name, number, self.state.get(number), after)

    def span(self, start: float, end: float) -> tuple[float, float]:
        """A stretch of the video in milliseconds; UsageError where there is none."""
        start, end = (round(min(max(0.0, each), self.duration), 3) for each in (start, end))
        if end < start:
            raise UsageError("an action would end before it begins")
        return start, end


def label_of(text: str) -> str:
    """A label as it is stored; UsageError where it is none."""
    label = " ".join(composed(text).split())
    if not label:
        raise UsageError("a label needs a name")
    return label


def _judge(video: Reviewed, action: Action) -> list[StatementChange]:
    verdict = {
        Verb.ACCEPT: Verdict.ACCEPTED, Verb.REJECT: Verdict.REJECTED, Verb.REOPEN: Verdict.OPEN,
    }[action.verb]  # fmt: skip
    changes = []
    for number, one in video.chosen(action):
        # There is nothing to reject in what nobody proposed.
        after = None if one.score is None and verdict is not Verdict.ACCEPTED else one
        changes.append(video.change(number, after and after._replace(verdict=verdict)))
    return changes


def _edges(video: Reviewed, action: Action) -> list[StatementChange]:
    ((number, one),) = video.chosen(action)[:1]
    start, end = video.span(action.start, action.end)
    if one.start < one.end and end - start < SHORTEST:
        raise UsageError("an action would have no length; add a point in its place")
    return [video.change(number, _corrected(one)._replace(start=start, end=end))]


def _label(video: Reviewed, action: Action) -> list[StatementChange]:
    label = label_of(action.label)
    return [
        video.change(number, _corrected(one)._replace(label=label))
        for number, one in video.chosen(action)
    ]


def _split(video: Reviewed, action: Action) -> list[StatementChange]:
    ((number, one),) = video.chosen(action)[:1]
    at = round(action.start, 3)
    if not one.start + SHORTEST <= at <= one.end - SHORTEST:
        raise UsageError("split: go to a moment inside of the action first")
    return [
        video.change(number, _corrected(one)._replace(end=at)),
        video.change(video.numbers(), _corrected(one)._replace(start=at)),
    ]


def _merge(video: Reviewed, action: Action) -> list[StatementChange]:
    chosen = [(n, _corrected(s)) for n, s in video.chosen(action, least=2)]
    (number, first), others = chosen[0], chosen[1:]
    start = min(one.start for _, one in chosen)
    end = max(one.end for _, one in chosen)
    merged = video.change(number, first._replace(start=start, end=end))
    return [merged, *(video.change(other, None) for other, _ in others)]


def _add(video: Reviewed, action: Action) -> list[StatementChange]:
    start, end = video.span(action.start, action.end)
    if 0 < end - start < SHORTEST:
        end = start
    one = Statement(StatementKind.ACTION, label_of(action.label), start, end)
    return [video.change(video.numbers(), one)]


def _nothing_else(video: Reviewed, action: Action) -> list[StatementChange]:
    start, end = video.span(action.start, action.end)
    if end - start < SHORTEST:
        raise UsageError("nothing else: choose a stretch of some length")
    label = label_of(action.label) if action.label else ""
    about = {n: s for n, s in video.state.items() if label in ("", s.label)}
    within = [
        video.change(number, one._replace(verdict=Verdict.REJECTED))
        for number, one in about.items()
        if one.verdict is Verdict.OPEN and start <= (one.start + one.end) / 2 <= end
    ]
    covered = [
        video.change(number, None)
        for number, one in about.items()
        if one.kind is StatementKind.LOOKED and start <= one.start and one.end <= end
    ]
    looked = Statement(StatementKind.LOOKED, label, start, end)
    return [*within, *covered, video.change(video.numbers(), looked)]


def _labels(video: Reviewed, action: Action) -> list[StatementChange]:
    wanted = dict.fromkeys(map(label_of, action.absent), Verdict.REJECTED)
    wanted |= dict.fromkeys(map(label_of, action.present), Verdict.ACCEPTED)
    changes = []
    for number, one in video.state.items():
        if one.kind is StatementKind.LABEL:
            verdict = wanted.pop(one.label, None)
            after = None if verdict is None else one._replace(verdict=verdict)
            changes.append(video.change(number, after))
    for label, verdict in wanted.items():
        one = Statement(StatementKind.LABEL, label, verdict=verdict)
        changes.append(video.change(video.numbers(), one))
    return changes


def _corrected(one: Statement) -> Statement:
    """What a person changes, a person says."""
    if one.kind is not StatementKind.ACTION:
        raise UsageError("only actions have edges and a label to change")
    return one._replace(verdict=Verdict.ACCEPTED)


_OF_VIDEOS: Mapping[Verb, Callable[[Reviewed, Action], list[StatementChange]]] = {
    Verb.ACCEPT: _judge,
    Verb.REJECT: _judge,
    Verb.REOPEN: _judge,
    Verb.EDGES: _edges,
    Verb.LABEL: _label,
    Verb.SPLIT: _split,
    Verb.MERGE: _merge,
    Verb.ADD: _add,
    Verb.NOTHING_ELSE: _nothing_else,
    Verb.LABELS: _labels,
}


def rename(states: Mapping[str, Statements], old: str, new: str) -> list[StatementChange]:
    """A class under another name, in all videos; into a name that is there, both become one."""
    new = label_of(new)
    changes = []
    known = states.get("", {}).values()
    is_joined = any(s.kind is StatementKind.CLASS and s.label == new for s in known)
    for video, state in states.items():
        twins = {s.kind: number for number, s in state.items() if s.label == new}
        for number, one in state.items():
            if one.label != old or old == new:
                continue
            after: Statement | None = one._replace(label=new)
            if one.kind is StatementKind.LOOKED and is_joined:
                # It was looked through for one of the two alone.
                after = None
            # A video says of a class once whether it occurs; that it does outweighs.
            is_of_all = one.kind in (StatementKind.LABEL, StatementKind.CLASS)
            twin = twins.get(one.kind) if is_of_all else None
            if twin is not None and one.verdict in (state[twin].verdict, Verdict.REJECTED):
                after = None
            elif twin is not None:
                changes.append(StatementChange(video, twin, state[twin], None))
            changes.append(StatementChange(video, number, one, after))
    return changes


def title_of(action: Action, changes: Iterable[StatementChange]) -> str:
    """What an action is called beside undo: "accept: HighJump, 1.3 s"."""
    changes = list(changes)
    if action.verb is Verb.RENAME:
        return f"rename: {action.label}"
    if action.verb is Verb.LABELS:
        return f"labels: {', '.join(action.present) or 'none'}"
    ones = [one for c in changes if (one := c.after or c.before) is not None]
    if not ones:
        return str(action.verb)
    first = ones[-1] if action.verb is Verb.NOTHING_ELSE else ones[0]
    parts = [first.label] if first.label else []
    if first.kind in (StatementKind.ACTION, StatementKind.LOOKED):
        parts.append(f"{first.start:.1f} s" if math.isfinite(first.start) else "")
    more = f" and {len(ones) - 1} more" if len(ones) > 1 and action.verb is not Verb.SPLIT else ""
    return f"{action.verb}: {', '.join(filter(None, parts))}{more}"
