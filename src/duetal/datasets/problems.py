"""Problems of a dataset as values: `duetal check` lists them, opening raises the fatal ones."""

import enum
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from duetal.core import errors
from duetal.core.errors import DuetalError


class Severity(enum.StrEnum):
    """Whether the dataset can be used in spite of it."""

    FATAL = "fatal"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    #: Fatal where training or evaluation would fail, or would use other data than the dataset
    #: names; a warning where the data look wrong and can be used.
    severity: Severity
    file: Path | None  #: The file or folder at fault.
    place: str | None  #: Where in it.
    message: str  #: What is wrong, in one line.

    @staticmethod
    def of(error: DuetalError) -> "Problem":
        """The fatal problem of an error."""
        return Problem(Severity.FATAL, error.file, error.place, error.cause)

    @staticmethod
    def fatal(message: str, file: Path | None, place: str | None = None) -> "Problem":
        """A problem that keeps the dataset from being used."""
        return Problem(Severity.FATAL, file, place, message)

    @staticmethod
    def warning(message: str, file: Path | None, place: str | None = None) -> "Problem":
        """A problem in spite of which the dataset can be used."""
        return Problem(Severity.WARNING, file, place, message)

    def error(self) -> DuetalError:
        """The problem as an error to raise."""
        return DuetalError(self.message, file=self.file, place=self.place)

    def __str__(self) -> str:
        return f"{self.severity}: {self.error()}"


#: Takes a problem; returning means that the caller may go on without the thing at fault.
OnProblem = Callable[[Problem], object]


def raise_fatal(problem: Problem) -> None:
    """Raise a problem if it is fatal: the callback for opening a dataset."""
    if problem.severity is Severity.FATAL:
        raise problem.error()


def reporting(report: OnProblem) -> AbstractContextManager[None]:
    """Report a DuetalError of the block as a fatal problem instead of raising it."""
    return errors.reporting(lambda error: report(Problem.of(error)))
