"""What to look at next in a review: its curves and proposals, and what was said of them already."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from duetal.core.array_types import Bools, Singles
from duetal.pages.columns import dequantise
from duetal.review.next_up import ClassScores, NextUp
from duetal.review.open_review import OpenReview
from duetal.review.statements import StatementKind, Statements, Verdict

#: Suggestions that the page is given.
MOST_SHOWN = 20
#: Of scores that are made of proposals: seconds between two, and the most of a video.
_STEP, _MOST = 0.5, 2000


class WhatNext:
    """What to look at next in an open review, by what is stated at the moment."""

    def __init__(self, review: OpenReview) -> None:
        self.review = review
        #: Of the review while its curves are these: another round of training brings others.
        self.about = review.about
        #: What is known of each video's classes, and the video's version of which it is so.
        self._known: dict[str, tuple[int, dict[str, Bools]]] = {}

    def to_json(self, most: int = MOST_SHOWN) -> dict[str, Any]:
        """The suggestions as the page shows them, and what they are made of."""
        corrections, known = self.review.corrections, dict[tuple[str, str], Bools]()
        for name in self.review.videos:
            version = corrections.version(name)
            if self._known.get(name, (0, {}))[0] != version:
                self._known[name] = version, self._known_of(name, corrections.state(name))
            own = self._known.get(name, (0, {}))[1]
            known |= {(name, label): said for label, said in own.items()}
        numbers = {name: number for number, name in enumerate(self.review.videos)}
        found = [asdict(one) for one in self._next_up.order(known, most)]
        return {"next": [f | {"video": numbers[f["video"]]} for f in found], "basis": self.basis}

    @cached_property
    def basis(self) -> str:
        """What the order is made of."""
        titles = {title for one in self._next_up.scores for title in one.branches}
        if titles == {_PROPOSED}:
            return "by the scores of the proposals alone: there are no curves"
        named = [b.title for b in self.about.branches if b.title in titles]
        if len(named) > 1:
            return f"by how much {' and '.join(named)} disagree about a class"
        return f"by how uncertain the scores of {named[0]} are, the only branch" if named else ""

    @cached_property
    def _next_up(self) -> NextUp:
        scores: list[ClassScores] = []
        for name in self.review.videos:
            scores += list(self._curves(name)) or self._of_proposals(name)
        return NextUp(scores)

    @cached_property
    def _scores(self) -> Mapping[str, Mapping[str, ClassScores]]:
        """By video and label."""
        found: dict[str, dict[str, ClassScores]] = {}
        for one in self._next_up.scores:
            found.setdefault(one.video, {})[one.label] = one
        return found

    def _curves(self, name: str) -> Iterator[ClassScores]:
        """The curves of a video's classes."""
        kept = self.review.corrections.scores(name)
        titles = {branch.name: branch.title for branch in self.about.branches}
        curves: dict[str, dict[str, Singles]] = {}
        for branch, of_branch in kept.get("scores", {}).items():
            for label, text in of_branch.items():
                curves.setdefault(label, {})[titles.get(branch, branch)] = dequantise(text)
        pool, grid = kept.get("pool", 1), self.about.grid
        begin = self.review.videos[name].begin
        for label, own in curves.items():
            length = min(map(len, own.values()))
            # A point joins `pool` snippets.
            centres = begin + grid.centre(np.arange(length) * pool + (pool - 1) / 2)
            branches = {title: curve[:length] for title, curve in own.items()}
            yield ClassScores(name, label, centres, branches)

    def _of_proposals(self, name: str) -> list[ClassScores]:
        """Scores that are made of a video's proposals: at each moment the best there is."""
        state = self.review.corrections.state(name)
        found = [s for s in state.values() if s.score is not None]
        end = max((s.end for s in found), default=0.0)
        step = max(_STEP, end / _MOST)
        centres = step * np.arange(0.5, int(end / step), dtype=np.float64)
        curves: dict[str, Singles] = {}
        for one in found:
            curve = curves.setdefault(one.label, np.zeros(len(centres), dtype=np.float32))
            own = slice(*np.searchsorted(centres, (one.start, one.end)))
            curve[own] = np.maximum(curve[own], (one.score or 0.0) / self._best)
        return [ClassScores(name, la, centres, {_PROPOSED: curve}) for la, curve in curves.items()]

    @cached_property
    def _best(self) -> float:
        """The highest score of a proposal: scores of any model are on any scale."""
        states = self.review.corrections.states().values()
        return max((s.score or 0.0 for state in states for s in state.values()), default=0.0) or 1.0

    def _known_of(self, name: str, state: Statements) -> dict[str, Bools]:
        """(T,) where a person has said whether a class happens, by label."""
        said = [s for s in state.values() if s.verdict is not Verdict.OPEN]
        found = {}
        for label, scores in self._scores.get(name, {}).items():
            known = np.zeros(len(scores.centres), dtype=np.bool_)
            for one in said:
                if one.label not in (label, ""):
                    continue
                if one.kind is StatementKind.LABEL:
                    known |= one.verdict is Verdict.REJECTED
                else:
                    known[slice(*np.searchsorted(scores.centres, (one.start, one.end)))] = True
            if known.any():
                found[label] = known
        return found


#: What is shown in place of a branch's title where scores are made of proposals.
_PROPOSED = "score"
