"""The rows of remote arrays that were read, kept on the local disk.

A file for each array: its layout as JSON in the first 4 KiB, then a sum of each row (uint64; 0: not
kept), then the rows, where they would lie in a file of the whole array. A row counts when its sum
fits, so a row that was written in part, by a machine that lost power or a disk that filled up, is
fetched again.
"""

import json
import math
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.files import replacing
from duetal.core.local_cache import LocalCache
from duetal.features.arrays import Header

_START = 4096
#: Bytes between missing rows that are fetched again rather than by a request more.
_GAP = 2**18
Rows = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Layout:
    """What the beginning of a `.npy` says: shape and type, and where and how the values lie."""

    header: Header
    offset: int
    fortran: bool = False

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return math.prod(self.header.shape[1:]) * self.header.dtype.itemsize

    def of_size(self, size: int) -> "Layout | None":
        """That of another array of the kind, by the size of its file; None: not of the kind."""
        length, rest = divmod(size - self.offset, self.row)
        if rest or length < 1 or self.fortran:
            return None
        return replace(self, header=replace(self.header, length=length))


class RowCache:
    """The rows of one array, by what it is a copy of; read and written by any number at once."""

    def __init__(self, cache: LocalCache, key: str):
        self._cache, self._path = cache, cache.file(f"{key}\nrows")
        self._lock = threading.Lock()

    def layout(self) -> Layout | None:
        """The array's layout, where any of it is kept."""
        with suppress(OSError, ValueError, TypeError), self._path.open("rb") as file:
            length, dim, dtype, crops, *rest = json.loads(file.read(_START).rstrip(b"\0"))
            return Layout(Header(length, dim, np.dtype(dtype), crops), *rest)
        return None

    def rows(
        self, layout: Layout, start: int, stop: int, fetch: Callable[[int, int], Rows]
    ) -> Rows:
        """Rows `[start, stop)`, of which `fetch` reads what is not kept, in few pieces."""
        values = np.empty((stop - start, *layout.header.shape[1:]), layout.header.dtype)
        missing = np.flatnonzero(~self._kept(layout, start, values))
        breaks = np.flatnonzero(np.diff(missing) > _GAP // layout.row + 1) + 1
        for piece in np.split(missing, breaks) if missing.size else ():
            first, end = int(piece[0]), int(piece[-1]) + 1
            values[first:end] = fetch(start + first, start + end)
            kept = partial(self._keep, layout, start + first, values[first:end])
            self._cache.keep((end - first) * layout.row, kept)
        return values

    def _kept(self, layout: Layout, start: int, values: Rows) -> NDArray[np.bool_]:
        """Fill in the rows that are kept; which these are."""
        sums = np.zeros(len(values), np.uint64)
        with suppress(OSError), self._path.open("rb", buffering=0) as file:
            file.seek(_START + 8 * start)
            file.readinto(sums.data)
            if sums.any():
                file.seek(_begin(layout) + start * layout.row)
                file.readinto(values.data)
                os.utime(self._path)
        kept: NDArray[np.bool_] = sums == _sums(values) if sums.any() else sums.astype(bool)
        return kept

    def _keep(self, layout: Layout, start: int, values: Rows) -> None:
        with self._lock:
            if self.layout() != layout:
                self._create(layout)
        # Another process may have made room just now.
        with suppress(FileNotFoundError), self._path.open("r+b", buffering=0) as file:
            file.seek(_begin(layout) + start * layout.row)
            if file.write(values.data) < values.nbytes:
                return  # The disk is full, and says so when it is written to again.
            file.seek(_START + 8 * start)
            file.write(_sums(values).data)

    def _create(self, layout: Layout) -> None:
        of = layout.header
        about = [of.length, of.dim, of.dtype.str, of.crops, layout.offset, layout.fortran]
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(about).encode().ljust(_START, b"\0"))
            file.truncate(_begin(layout) + of.length * layout.row)


def _begin(layout: Layout) -> int:
    """Where the rows begin."""
    return _START + 8 * layout.header.length


def _sums(values: Rows) -> NDArray[np.uint64]:
    """One number a row, never 0, that tells a row from one that was not written, or in part."""
    bits = values.reshape(len(values), -1).view(f"u{values.dtype.itemsize}")
    return np.asarray(bits.sum(axis=1, dtype=np.uint64) + np.uint64(1))
