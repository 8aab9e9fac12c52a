"""One feature array on disk: its header, and its rows on demand."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.files import refuse_special
from duetal.core.npy import DAMAGED, read_npy_header
from duetal.core.url_paths import UrlPath

#: Crops of a picture whose features are kept apart, whose mean is read: one, corners and middle,
#: and these with their mirror images.
CROPS = (1, 5, 10)
#: What reading raises on a damaged file.
Errors = tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True)
class Header:
    """Shape and type of a feature array, known without reading its values."""

    length: int  #: T, the number of snippets.
    dim: int  #: C, the number of channels.
    dtype: np.dtype[Any]  #: float16, float32 or float64.
    crops: int | None = None  #: Of each snippet, in an array (T, crops, C): their mean is read.

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array on disk."""
        return (
            (self.length, self.dim) if self.crops is None else (self.length, self.crops, self.dim)
        )

    @staticmethod
    def of(
        shape: tuple[int, ...], dtype: np.dtype[Any], path: Path | None, place: str | None
    ) -> "Header":
        """The header of an array of `shape` and `dtype`.

        DuetalError if it is not floating point, of shape (T, C) or (T, crops, C), with a snippet
        and a channel.
        """
        if dtype.hasobject:
            cause = "holds pickled Python objects, not a plain array; refused"
        elif dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
            cause = f"holds {dtype}, must be float16 or float32"
        elif len(shape) != 2 and not (len(shape) == 3 and shape[1] in CROPS):
            cause = f"has shape {shape}, must be (T, C): snippets, channels; or (T, 10, C) of crops"
        elif shape[0] < 1:
            cause = "holds no snippet (T = 0)"
        elif shape[-1] < 1:
            cause = "has no channel (C = 0)"
        else:
            return _shared(shape[0], shape[-1], dtype, shape[1] if len(shape) == 3 else None)
        raise DuetalError(cause, file=path, place=place)


#: Arrays of one shape share a header.
_shared = lru_cache(maxsize=4096)(Header)


@dataclass(frozen=True, slots=True)
class FeatureArray:
    """An array (T, C) or (T, crops, C) on disk whose header has been read and checked."""

    path: Path  #: The file it lies in.
    place: str | None  #: Where in the file, when the file holds several arrays.
    header: Header  #: Its shape and type.
    read: Callable[[int, int], NDArray[np.floating]]  #: Gives its rows `[start, stop)`, unchecked.
    damage: str  #: The message where `read` raises one of `errors`.
    errors: Errors = DAMAGED  #: What `read` raises on a damaged file.

    def rows(self, start: int, stop: int) -> NDArray[np.floating]:
        """Rows `[start, stop)` (n, C), unchecked; no file stays open afterwards.

        They are in the stored type, but for the mean of crops, which is in float32. DuetalError if
        the file can't be read, or has changed since its header was.
        """
        with reading(self.path, self.place, damage=self.damage, errors=self.errors):
            rows = self.read(start, stop)
        return rows if self.header.crops is None else rows.mean(axis=1, dtype=np.float32)


def mapped_array(
    path: Path, place: str | None, header: Header, offset: int, end: int, *, fortran: bool = False
) -> FeatureArray:
    """An array whose values lie in the file's bytes `[offset, end)`: read through a memory map."""
    refuse_truncated(header, end - offset, path, place)
    read = _MappedRows(path, header, offset, "F" if fortran else "C")
    return FeatureArray(path, place, header, read, "has become shorter")


@dataclass(frozen=True, slots=True)
class _MappedRows:
    """Reads rows through a memory map. No closure, which takes eight times the memory."""

    path: Path
    header: Header
    offset: int
    order: Literal["C", "F"]

    def __call__(self, start: int, stop: int, /) -> NDArray[np.floating]:
        header = self.header
        values: NDArray[np.floating] = np.memmap(
            str(self.path), header.dtype, "r", self.offset, header.shape, self.order
        )
        return values[start:stop]


def open_npy(path: Path) -> FeatureArray:
    """Read the header of a .npy file.

    DuetalError if it is unreadable, truncated, not .npy, or no feature array (see `Header.of`).
    """
    damage = "not a .npy file, or its header is damaged"
    with reading(path, damage=damage), path.open("rb") as file:
        shape, fortran, dtype = read_npy_header(file)
        offset, end = file.tell(), path.stat().st_size
    header = Header.of(shape, dtype, path, None)
    return mapped_array(path, None, header, offset, end, fortran=fortran)


@dataclass(frozen=True, slots=True)
class NpyFile:
    """A .npy file of a folder, not yet opened; a `Path` of each would take far more memory."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name

    def open(self) -> FeatureArray:
        """The array, with its header read; errors as `open_npy`."""
        return open_npy(self.path)


def refuse_truncated(header: Header, available: int, path: Path, place: str | None) -> None:
    """Raise DuetalError when fewer than the promised bytes are there."""
    promised = math.prod((*header.shape, header.dtype.itemsize))
    if available < promised:
        cause = f"truncated: {promised:,} bytes of values promised, {max(0, available):,} there"
        raise DuetalError(cause, file=path, place=place)


@contextmanager
def reading(
    path: Path, place: str | None = None, *, damage: str, errors: Errors = DAMAGED
) -> Iterator[None]:
    """Raise DuetalError for what goes wrong in the block: the system's refusal, or `damage`."""
    try:
        if not isinstance(path, UrlPath):
            refuse_special(path)
        yield
    except MemoryError as error:
        raise DuetalError("does not fit into memory", file=path, place=place) from error
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        cause = "no such file" if missing else f"cannot read: {error.strerror or error}"
        # HDF5 raises OSError for everything; only the system's own carry an error number.
        cause = damage if error.errno is None else cause
        raise DuetalError(cause, file=path, place=place) from error
    except errors as error:
        raise DuetalError(damage, file=path, place=place) from error
