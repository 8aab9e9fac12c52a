"""Whether another process is writing into a folder."""

import contextlib
import sqlite3
from pathlib import Path

from filelock import ReadWriteLock, Timeout


class FolderLock:
    """A lock on a folder: held alone while it is prepared, then shared with all who write there.

    The system releases it when the process ends, however it ends. Where the file system has no
    locks, nobody is ever `alone`, and nothing waits.

    Args:
        folder: made if it is missing and can be made.
    """

    def __init__(self, folder: Path):
        self.alone = False
        self._lock: ReadWriteLock | None = None
        with contextlib.suppress(OSError, sqlite3.Error):
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / ".lock"
            # Not left to the library, whose files others who write there could not open.
            file.touch()
            self._lock = ReadWriteLock(file, is_singleton=False)
            try:
                self._lock.acquire_write(blocking=False)
                self.alone = True
            except Timeout:
                # Whoever prepares the folder is done in a moment.
                self._lock.acquire_read()

    def share(self) -> None:
        """Let others in."""
        if self.alone and self._lock is not None:
            self.alone = False
            self._lock.release()
            self._lock.acquire_read()

    def release(self) -> None:
        """Give the lock up."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
