"""What to look at next: the stretches of videos whose correction would teach most, and why.

A class is worth looking at as far as its scores are in doubt: where there are two branches, as far
as they disagree, and else as far as the scores are near the middle. Each stretch that was looked
through for a class teaches less than the one before. So the classes in doubt come first, and the
others join them by and by. Within a class the stretches are drawn by what is seen of it, not taken
by doubt: those of the greatest doubt are alike. A stretch's draw is always the same, so that the
order stays as it is while a person works.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from duetal.core.array_types import Bools, Floats, Singles

#: Seconds of a stretch, about.
STRETCH = 10.0
#: Stretches of a class after which another teaches by a factor e less than the first.
COVERED = 8.0
#: How often a stretch is drawn in which nothing of the class is seen; on average one counts 1 more.
EMPTY = 0.1
#: From this doubt on a moment is called one.
IN_DOUBT = 0.2


@dataclass(frozen=True)
class ClassScores:
    """The scores of a class in a video, T of them."""

    video: str
    label: str
    centres: Floats  #: (T,) seconds, evenly spaced.
    branches: Mapping[str, Singles]  #: (T,) probabilities by the title of what gives them.

    @cached_property
    def highest(self) -> Singles:
        """(T,) the highest score of a branch."""
        highest: Singles = np.stack([*self.branches.values()]).max(axis=0)
        return highest

    @cached_property
    def doubt(self) -> Singles:
        """(T,) by how much the branches differ; of one, its distance from the nearer of 0 and 1."""
        if len(self.branches) == 1:
            return np.minimum(self.highest, 1 - self.highest)
        lowest: Singles = np.stack([*self.branches.values()]).min(axis=0)
        return self.highest - lowest


@dataclass(frozen=True)
class Suggestion:
    """A stretch to look through for a class."""

    video: str
    label: str
    start: float  #: Seconds.
    end: float
    at: float  #: Seconds at which it is most in doubt.
    reason: str


class NextUp:
    """The stretches of videos, and the order in which to look through them for a class each.

    Args:
        scores: of the classes that may occur in each video.
        length: seconds of a stretch, about.
        draw: another number is another draw.
    """

    def __init__(
        self, scores: Sequence[ClassScores], length: float = STRETCH, draw: int = 0
    ) -> None:
        self.scores = [one for one in scores if len(one.centres)]
        classes: dict[str, int] = {}
        totals: list[list[float]] = []
        rows: list[tuple[float, ...]] = []
        for index, one in enumerate(self.scores):
            column = classes.setdefault(one.label, len(classes))
            totals += [[0.0, 0.0, 0.0]] * (len(classes) - len(totals))
            extent = np.maximum(one.highest, one.doubt)
            count = max(1, round((_step(one) + np.ptp(one.centres)) / length))
            edges = np.linspace(0, len(one.centres), min(count, len(one.centres)) + 1).astype(int)
            for part, (first, stop) in enumerate(pairwise(edges)):
                seen = float(extent[first:stop].sum())
                rows.append((index, first, stop, column, seen, _drawn(one, part, draw)))
            sums = (float(one.doubt.sum()), float(extent.sum()), len(edges) - 1)
            totals[column] = [a + b for a, b in zip(totals[column], sums, strict=True)]
        #: How much of what is seen of each class is in doubt, from 0 to 1.
        self.doubts = {
            label: totals[k][0] / max(totals[k][1], 1e-9) for label, k in classes.items()
        }
        columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
        self._owner, self._first, self._stop, self._column = columns[:4].astype(np.intp)
        mean = np.array([seen / count for _, seen, count in totals])[self._column]
        # Of exponential values over weights each is the least with a chance like its weight.
        weight = EMPTY + columns[4] / np.maximum(mean, 1e-9)
        self._drawn = np.argsort(columns[5] / weight, kind="stable")
        self._bounds = np.searchsorted(self._owner, np.arange(len(self.scores) + 1))

    def order(self, known: Mapping[tuple[str, str], Bools], most: int) -> list[Suggestion]:
        """What to look at, the first first; `most` at most.

        `known` is (T,) where a person has said whether a class happens, by video and label, of
        those of which anything was said. Stretches of which half is known are left out.
        """
        left = np.ones(len(self._owner), dtype=np.bool_)
        for index, one in enumerate(self.scores):
            if (said := known.get((one.video, one.label))) is not None:
                own = slice(*self._bounds[index : index + 2])
                shares = np.add.reduceat(said.astype(float), self._first[own])
                left[own] = shares / (self._stop[own] - self._first[own]) < 0.5
        seen = {label for (_, label), said in known.items() if said.any()}
        # What a class is worth when so many of its stretches are known: d · exp(-n / COVERED).
        worth = np.full(len(left), -np.inf)
        for column, doubt in enumerate(self.doubts.values()):
            own = self._drawn[self._column[self._drawn] == column]
            ahead = own[left[own]]
            numbers = len(own) - len(ahead) + np.arange(len(ahead))
            worth[ahead] = np.log(max(doubt, 1e-6)) - numbers / COVERED
        rows = np.argsort(-worth, kind="stable")[: min(most, int(left.sum()))]
        return [self._suggestion(int(row), seen) for row in rows]

    def _suggestion(self, row: int, seen: set[str]) -> Suggestion:
        one = self.scores[self._owner[row]]
        first, stop = int(self._first[row]), int(self._stop[row])
        place = first + int(np.argmax(one.doubt[first:stop]))
        half = _step(one) / 2
        start, end = float(one.centres[first]) - half, float(one.centres[stop - 1]) + half
        reason = _reason(one, place, self.doubts[one.label])
        if one.label not in seen:
            reason += "; none of it is checked yet"
        at = float(one.centres[place])
        return Suggestion(one.video, one.label, max(0.0, start), end, at, reason)


def _step(one: ClassScores) -> float:
    """Seconds between scores."""
    return float(np.ptp(one.centres)) / max(1, len(one.centres) - 1)


def _drawn(one: ClassScores, part: int, draw: int) -> float:
    """A value from an exponential distribution, always the same of a stretch."""
    name = f"{draw}\n{one.video}\n{one.label}\n{part}".encode("utf-8", "surrogateescape")
    number = int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big")
    return -float(np.log((number + 0.5) / 2**32))


def _reason(one: ClassScores, place: int, doubt: float) -> str:
    """Why to look at a class at one of its scores; `doubt` is that of the class."""
    label, at = one.label, f"{one.centres[place]:.0f} s"
    said = ", ".join(f"{title} {values[place]:.2f}" for title, values in one.branches.items())
    if len(one.branches) > 1:
        here = f"the branches disagree about {label} at {at}: {said}"
        elsewhere = f"the branches disagree about {doubt:.0%} of {label}, though not here"
    else:
        here = f"{label} at {at} is uncertain: {said}"
        elsewhere = f"{doubt:.0%} of {label} is uncertain, though not here"
    return here if one.doubt[place] >= IN_DOUBT else elsewhere
