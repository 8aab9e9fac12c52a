"""Feature arrays in an object store: the rows that are wanted, by one request, kept locally."""

import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from duetal.core.errors import DuetalError
from duetal.core.local_cache import local_cache, local_copy
from duetal.core.npy import DAMAGED, read_npy_header
from duetal.core.url_paths import CONNECTIONS, FileMark, UrlPath, find_unlisted, read_range
from duetal.features.arrays import FeatureArray, Header, refuse_truncated
from duetal.features.containers import Opener, open_only
from duetal.features.metadata import SETTINGS_FILE
from duetal.features.row_cache import Layout, RowCache, Rows

#: Bytes that are fetched to read a header; those of a feature array have 128.
_HEAD = 4096


class RemoteFolder:
    """The `.npy` files of a folder in an object store, by video.

    Of a feature store, whose arrays are of one type and width, the sizes that the folder lists tell
    T, so opening asks once for all; a header is compared when its array is first read. Of another
    folder all headers are read at once, by as many requests as the connection takes.
    """

    def __init__(self, folder: UrlPath):
        listed = folder.marks().items()
        self.folder = folder
        self._marks = {n.removesuffix(".npy"): m for n, m in listed if n.endswith(".npy")}
        self._is_store = (folder.parent.parent / SETTINGS_FILE).is_file()
        self._layouts: dict[str, Layout] = {}
        self._lock = threading.Lock()

    def opener(self, file: Path) -> Opener:
        """What opens a file of the folder."""
        if file.suffix != ".npy":
            return partial(_open_copy, self.folder / file.name)
        return partial(self._open, file.stem)

    def find(self, names: Sequence[str]) -> list[Path]:
        """The arrays of some videos that are there although the folder does not list them."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            marks = list(pool.map(find_unlisted, map(self._path, names)))
        found = {name: mark for name, mark in zip(names, marks, strict=True) if mark is not None}
        self._marks |= found
        return [self._path(name) for name in found]

    def _path(self, name: str) -> UrlPath:
        path: UrlPath = self.folder / f"{name}.npy"
        return path

    def _open(self, name: str) -> FeatureArray:
        path, mark = self._path(name), self._marks[name]
        with self._lock:
            if not self._layouts:
                self._read_layouts(name)
        layout = self._layouts.get(name)
        if layout is None and self._is_store:
            layout = next(iter(self._layouts.values())).of_size(mark.size)
        if layout is None:
            layout = self._layouts[name] = _read_layout(path, mark)
        refuse_truncated(layout.header, mark.size - layout.offset, path, None)
        rows = _RemoteRows(path, mark, layout, is_checked=name in self._layouts)
        return FeatureArray(path, None, layout.header, rows.read, "damaged")

    def _read_layouts(self, name: str) -> None:
        """Read the header of one array, or of all; a bad one is told when it is opened."""

        def read(each: str) -> None:
            with suppress(DuetalError):
                self._layouts[each] = _read_layout(self._path(each), self._marks[each])

        if self._is_store:
            self._layouts[name] = _read_layout(self._path(name), self._marks[name])
            return
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(read, self._marks))


class _RemoteRows:
    """Reads the rows of one array."""

    def __init__(self, path: UrlPath, mark: FileMark, layout: Layout, *, is_checked: bool):
        self._path, self._mark, self._layout = path, mark, layout
        self._cache, self._is_checked = RowCache(local_cache(), mark.key(path)), is_checked

    def read(self, start: int, stop: int) -> Rows:
        """Rows `[start, stop)`, as stored."""
        stop = min(stop, self._layout.header.length)
        if not self._is_checked:
            there = _read_layout(self._path, self._mark)
            if there != self._layout:
                what = f"{there.header.shape} {there.header.dtype}"
                cause = f"holds {what}, which is not what its size means in this store"
                raise DuetalError(cause, file=self._path)
            self._is_checked = True
        return self._cache.rows(self._layout, start, stop, self._fetch)

    def _fetch(self, start: int, stop: int) -> Rows:
        layout, header = self._layout, self._layout.header
        if layout.fortran:  # A row is all over the file.
            end = layout.offset + header.length * layout.row
            data = read_range(self._path, layout.offset, end, self._mark)
            return np.frombuffer(data, header.dtype).reshape(header.shape, order="F")[start:stop]
        begin, end = (layout.offset + row * layout.row for row in (start, stop))
        data = read_range(self._path, begin, end, self._mark)
        return np.frombuffer(data, header.dtype).reshape(-1, *header.shape[1:])


def _read_layout(path: UrlPath, mark: FileMark) -> Layout:
    """Shape and type of an array: as they are kept here, or by a request of its beginning."""
    cache = RowCache(local_cache(), mark.key(path))
    kept = cache.layout()
    if kept is not None:
        return kept
    begin = io.BytesIO(read_range(path, 0, min(_HEAD, mark.size), mark))
    try:
        shape, fortran, dtype = read_npy_header(begin)
    except DAMAGED as error:
        cause = "not a .npy file, or its header is damaged"
        raise DuetalError(cause, file=path) from error
    return Layout(Header.of(shape, dtype, path, None), begin.tell(), fortran)


def _open_copy(url: UrlPath) -> FeatureArray:
    copy = local_copy(url)
    return copied(url, lambda: open_only(copy))


def copied(url: UrlPath, opener: Opener) -> FeatureArray:
    """The array of a file that can't be read in part: of its local copy, which the opener opens."""
    local_copy(url)
    with at_url(url):
        array = opener()

    def read(start: int, stop: int) -> Rows:
        local_copy(url)  # Room may have been made of it.
        return array.read(start, stop)

    return replace(array, path=url, read=read)


@contextmanager
def at_url(url: Path) -> Iterator[None]:
    """Name the URL in errors of its copy."""
    try:
        yield
    except DuetalError as error:
        raise DuetalError(error.cause, file=url, place=error.place) from error
