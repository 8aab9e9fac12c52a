"""Errors for users: one line with the file, the place in it and the cause."""

import difflib
import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class DuetalError(Exception):
    """A fault outside the program: a file, its content, a value in it.

    The command line prints it as one line and exits with `exit_code`.

    Args:
        cause: what is wrong, in one line.
        file: the file at fault, when there is one.
        place: where in the file: a line, a key, a video, a row.
    """

    exit_code = 1

    def __init__(self, cause: str, *, file: Path | str | None = None, place: str | None = None):
        self.cause = cause
        self.file = Path(file) if isinstance(file, str) else file
        self.place = place
        parts = [str(part) for part in (file, place, cause) if part is not None]
        # A name from outside may hold a newline; the message stays one line.
        super().__init__(": ".join(parts).replace("\r", "\\r").replace("\n", "\\n"))


class UsageError(DuetalError):
    """A wrong call or setting: an unknown key, an impossible value."""

    exit_code = 2


#: Called with an error after which reading goes on without the faulty item.
Report = Callable[[DuetalError], object]


def raise_error(error: DuetalError) -> NoReturn:
    """The default report: stop at the first error."""
    raise error


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Report a DuetalError of the block, and leave the block, instead of raising it."""
    try:
        yield
    except DuetalError as error:
        report(error)


def first_line(error: object) -> str:
    """The first line of an error or its message; the name of its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


#: What libraries say where memory or the disk runs out; few of them raise Python's own errors.
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUDA out of memory", "std::bad_alloc")
_FULL_DISK = ("No space left on device", "errno = 28", "os error 28", "Disk quota exceeded",
              "file write failed")  # fmt: skip
_LOST = ("Connection reset by peer", "Connection closed by peer", "Broken pipe")
_LOST_KINDS = {"BrokenProcessPool", "ProcessExitedException", "ActorDiedError",
               "WorkerCrashedError"}  # fmt: skip


def machine_fault(error: BaseException) -> str | None:
    """What the machine lacks or has lost, in words, whichever library tells; None for other errors.

    Such an error is nobody's mistake: neither the program's nor a damaged file's.
    """
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    # By name: the libraries are not imported for this.
    kinds = {type(each).__name__ for each in chain}
    said = " ".join(str(each) for each in chain)
    numbers = {getattr(each, "errno", None) for each in chain}
    if kinds & {"MemoryError", "OutOfMemoryError"} or any(sign in said for sign in _OUT_OF_MEMORY):
        return f"out of memory: {first_line(error) if str(error) else 'no more to be had'}"
    if numbers & {errno.ENOSPC, errno.EDQUOT} or any(sign in said for sign in _FULL_DISK):
        return "the disk is full; what was finished before is whole"
    # So PyTorch says it. A server's connection that is lost is an OSError, or a library's own.
    by_torch = " ".join(str(each) for each in chain if isinstance(each, RuntimeError))
    if kinds & _LOST_KINDS or any(sign in by_torch for sign in _LOST):
        return f"a process that took part is lost, killed or out of memory: {first_line(error)}"
    return None


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """Such as "unknown setting 'batchsize'; the nearest is 'batch_size'"."""
    nearest = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.0)
    hint = f"; the nearest is {nearest[0]!r}" if nearest else ""
    return f"unknown {what} {name!r}{hint}"
