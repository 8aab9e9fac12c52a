"""Telling whether another process is writing into a folder."""

import contextlib
import os
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None


class FolderLock:
    """A lock on a folder: held alone while it is prepared, then shared with all who write there.

    The system gives it up when the process ends, however it ends. Where the file system knows no
    locks, nobody is ever `alone`, and nothing waits.

    Args:
        folder: made if it is missing and can be made.
    """

    def __init__(self, folder: Path):
        self.alone = False
        self._file: int | None = None
        if fcntl is None:
            return
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.alone = True
            except BlockingIOError:
                # Whoever prepares the folder is done in a moment.
                fcntl.flock(self._file, fcntl.LOCK_SH)

    def share(self) -> None:
        """Let others in."""
        self.alone = False
        if fcntl is not None and self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        """Give the lock up."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
