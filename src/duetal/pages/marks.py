"""Colours and shapes of branches and runs on a page.

A mark is the name of a class in `style.css` and of a shape in `SHAPES`.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

#: Paths about 10 units wide around (0, 0), one per colour.
SHAPES = {
    "mark-1": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
    "mark-2": "M-4.6-4.6H4.6V4.6H-4.6Z",
    "mark-3": "M0-6.7 6.7 0 0 6.7-6.7 0Z",
    "mark-4": "M0-6.5 6.5 5-6.5 5Z",
    "mark-5": "M0 6.5 6.5-5-6.5-5Z",
    "mark-6": "M-5-6.5 0-1.5 5-6.5 6.5-5 1.5 0 6.5 5 5 6.5 0 1.5-5 6.5-6.5 5-1.5 0-6.5-5Z",
}
#: Of all branches together.
JOINT = "mark-3"
_OF_BRANCHES = [mark for mark in SHAPES if mark != JOINT]


@dataclass(frozen=True)
class BranchMark:
    """A branch of the model as the pages show it: its name in files, its title and its mark."""

    name: str
    title: str
    mark: str


@dataclass(frozen=True)
class BranchMarks:
    """The branches of a run, in its order."""

    all: tuple[BranchMark, ...]

    @classmethod
    def of(cls, titles: Mapping[str, str]) -> "BranchMarks":
        """Branches by name, with a mark by position; past five branches marks are used again."""
        marks = itertools.cycle(_OF_BRANCHES)
        return cls(tuple(map(BranchMark, titles, titles.values(), marks)))

    def mark(self, name: str) -> str:
        """The mark of a branch; `JOINT` where no branch has the name."""
        return next((branch.mark for branch in self.all if branch.name == name), JOINT)

    def title(self, name: str) -> str:
        """The title of a branch; the name itself where no branch has it."""
        return next((branch.title for branch in self.all if branch.name == name), name)

    def name(self, name: str) -> str | None:
        """The name if a branch has it, else None: all branches together."""
        return name if any(branch.name == name for branch in self.all) else None

    def only(self, names: Iterable[str]) -> "BranchMarks":
        """Those of the given names; marks stay."""
        kept = set(names)
        return BranchMarks(tuple(branch for branch in self.all if branch.name in kept))

    def data(self) -> list[dict[str, str]]:
        """As the scripts read them."""
        return [asdict(branch) for branch in self.all]


def mark_of_run(number: int) -> str:
    """The mark of a run by its position on the page, from 0."""
    return f"mark-{number + 1}"
