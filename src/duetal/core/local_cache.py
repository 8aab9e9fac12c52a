"""What was fetched is kept in a local folder of bounded size; what was read last stays longest."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import is_url, replacing
from duetal.core.url_paths import FileMark, UrlPath, read_range

#: Bytes that are left free on the cache's disk, for what else is written there.
_RESERVE = 2**30
#: Bytes of one request of a file that is fetched whole.
_PIECE = 2**26


def cache_folder() -> Path:
    """Where downloads are kept: `$DUETAL_CACHE`, or `~/.cache/duetal`."""
    named = os.environ.get("DUETAL_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "duetal"


def cache_limit() -> int:
    """Bytes that what was fetched may take up: `$DUETAL_CACHE_GB`, or 20 GB; 0 keeps nothing."""
    named = os.environ.get("DUETAL_CACHE_GB", "20")
    try:
        return max(0, int(float(named) * 1e9))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"DUETAL_CACHE_GB: {named!r} is no number of gigabytes") from error


class LocalCache:
    """Files in a folder, by what they are a copy of; several processes may share the folder.

    It is never an error that something can't be kept: a disk that is full or not writable is told
    once, and from then on nothing is written.
    """

    def __init__(self, folder: Path, limit: int):
        self.folder, self.limit = folder, limit
        #: Whether things are kept; False after the disk has refused.
        self.writes = limit > 0
        self._unchecked = limit  # Bytes written since the size was checked; at once, at first.
        self._lock = threading.Lock()

    def file(self, key: str) -> Path:
        """The file that belongs to a key; it need not be there."""
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / name[2:]

    def keep(self, size: int, write: Callable[[], object]) -> None:
        """Write `size` bytes, after room has been made; the disk may refuse."""
        if not self.writes:
            return
        try:
            with self._lock:
                self._unchecked += size
                if self._unchecked > min(self.limit // 16, _PIECE):
                    self._unchecked = size
                    self._make_room(size)
            write()
        except (OSError, DuetalError) as error:
            if isinstance(getattr(error, "file", None), UrlPath):
                raise  # Not the disk, but what was to be read.
            with self._lock:
                told, self.writes = not self.writes, False
            if not told:
                cause = error.cause if isinstance(error, DuetalError) else error.strerror
                line = f"nothing more is kept here, and it is fetched again each time: {cause}"
                hint = "DUETAL_CACHE names another folder"
                from duetal.core.console import PlainConsole

                PlainConsole(stderr=True).print(f"warning: {self.folder}: {line}; {hint}")

    def _make_room(self, size: int) -> None:
        """Remove what was read longest ago, until `size` bytes more fit into the bound."""
        found = []
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):  # Another process makes room too.
                status = path.stat()
                # A file of rows has holes where none was read.
                taken = getattr(status, "st_blocks", status.st_size // 512) * 512
                found.append((status.st_mtime, taken, path))
        used = sum(taken for _, taken, _ in found)
        self.folder.mkdir(parents=True, exist_ok=True)
        bound = min(self.limit, used + shutil.disk_usage(self.folder).free - _RESERVE) - size
        for _, taken, path in sorted(found):
            if used <= bound:
                break
            path.unlink(missing_ok=True)
            used -= taken
        if used > bound:
            raise DuetalError(f"no room on the disk for {size:,} bytes")


def local_cache() -> LocalCache:
    """The cache that the environment names, one for all of a process."""
    return _cache(cache_folder() / "fetched", cache_limit())


_cache = lru_cache(maxsize=8)(LocalCache)


def local_model(source: str) -> str:
    """A model's folder at a URL, or the `.npy` and `.json` of class embeddings, as local ones.

    They are fetched once. What is no URL is given as it is.

    Raises:
        DuetalError: a file can't be read.
    """
    if not is_url(source):
        return source
    path = UrlPath(source)
    is_array = path.suffix == ".npy"
    files = [path, path.with_suffix(".json")] if is_array else list(path.glob("*.*"))
    marks = {file: FileMark.of(file) for file in files if file.is_file()}
    keys = "".join(mark.key(file) for file, mark in marks.items())
    folder = cache_folder() / "models" / hashlib.sha256(keys.encode()).hexdigest()
    for file, known in marks.items():
        if not (folder / file.name).is_file():
            _fetch(file, known, folder / file.name)
    return str(folder / path.name if is_array else folder)


def _fetch(path: UrlPath, known: FileMark, target: Path) -> None:
    with replacing(target) as temporary, temporary.open("wb") as file:
        for start in range(0, known.size, _PIECE):
            file.write(read_range(path, start, min(start + _PIECE, known.size), known))


def local_copy(path: UrlPath) -> Path:
    """A file at a URL, whole, as a local one; fetched unless it is kept.

    Raises:
        DuetalError: it can't be read, or is larger than the cache.
    """
    known, cache = FileMark.of(path), local_cache()
    # The name ends as the file's, by whose suffix readers go.
    copy = cache.file(known.key(path)).with_suffix(path.suffix)
    if copy.is_file():
        with suppress(OSError):
            os.utime(copy)
        return copy
    if known.size <= cache.limit:
        cache.keep(known.size, partial(_fetch, path, known, copy))
    if not copy.is_file():
        cause = (
            f"is one file of {known.size:,} bytes, for which the cache {cache.folder} has no room"
        )
        raise DuetalError(f"{cause}; DUETAL_CACHE_GB sets its size", file=path)
    return copy
