"""What can be wrong with a dataset, as a value: `duetal check` lists them, opening raises them."""

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from duetal.core.errors import DuetalError


class Severity(enum.StrEnum):
    """Whether the dataset can be used in spite of it."""

    FATAL = "fatal"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Args:
        severity: fatal where training or evaluation would fail, or would use other data than the
            dataset names; a warning where the data look wrong and can be used.
        file: the file or folder at fault.
        place: where in it.
        message: what is wrong, in one line.
    """

    severity: Severity
    file: Path | None
    place: str | None
    message: str

    @staticmethod
    def fatal(error: DuetalError) -> "Problem":
        """The fatal problem of an error."""
        return Problem(Severity.FATAL, error.file, error.place, error.cause)

    @staticmethod
    def warning(message: str, file: Path | None, place: str | None = None) -> "Problem":
        """A problem one can live with."""
        return Problem(Severity.WARNING, file, place, message)

    def error(self) -> DuetalError:
        """The problem as an error to raise."""
        return DuetalError(self.message, file=self.file, place=self.place)

    def __str__(self) -> str:
        return f"{self.severity}: {self.error()}"


#: Takes a problem; returning means that the caller may go on without the thing at fault.
Report = Callable[[Problem], object]


def raise_fatal(problem: Problem) -> None:
    """The report of those who only want a dataset that can be used."""
    if problem.severity is Severity.FATAL:
        raise problem.error()


@contextmanager
def going_on(report: Report) -> Iterator[None]:
    """Report a DuetalError as a fatal problem instead of letting it end everything."""
    try:
        yield
    except DuetalError as error:
        report(Problem.fatal(error))
