"""What a review states of a video: actions, labels, and stretches that were looked through."""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, Self

from duetal.core.errors import DuetalError


class StatementKind(StrEnum):
    """What is stated."""

    ACTION = "action"  #: A class from start to end; a point in it where they are equal.
    LABEL = "label"  #: A class occurs in the video, or does not.
    #: From start to end, nothing happens but the accepted actions; of its class, if it has one.
    LOOKED = "looked"
    CLASS = "class"  #: A name that can be given; of no video.


class Verdict(StrEnum):
    """What a person said of it."""

    OPEN = "open"  #: Nothing yet: a proposal.
    ACCEPTED = "accepted"  #: It is so; of a label: the class occurs.
    REJECTED = "rejected"  #: It is not so; of a label: the class does not occur.


class Statement(NamedTuple):
    """One statement; times in seconds on the clock of the detections."""

    kind: StatementKind
    label: str = ""
    start: float = 0.0
    end: float = 0.0
    #: Of a proposal; None of what a person added.
    score: float | None = None
    verdict: Verdict = Verdict.ACCEPTED

    @classmethod
    def of(cls, values: Iterable[object]) -> Self:
        """The statement of what `json.dumps` made of one."""
        kind, label, start, end, score, verdict = values
        return cls(StatementKind(kind), label, start, end, score, Verdict(verdict))  # type: ignore[arg-type]


#: What is stated of a video, by number.
Statements = Mapping[int, Statement]


class StatementChange(NamedTuple):
    """A statement before and after an action; None where it was not, or is no more, there."""

    video: str  #: Its name; empty for what is of no video.
    number: int
    before: Statement | None
    after: Statement | None

    @classmethod
    def read_all(cls, text: str) -> list[Self]:
        """The changes of a JSON text; raises a ValueError or TypeError where it holds no such."""
        return [
            cls(video, number, *(None if each is None else Statement.of(each) for each in states))
            for video, number, *states in json.loads(text)
        ]


class StaleError(DuetalError):
    """The review has changed since the page that asks for a change was shown."""
