"""The W-TALC pack: one .npy file that holds the feature arrays of all videos as a pickle.

`Thumos14reduced-I3D-JOINTFeatures.npy` and its kin are object arrays of N arrays (T, C), about a
gigabyte each. Nothing is unpickled: `core.pickled_arrays` finds where each array's values lie, and
they are read through a memory map like any other feature file.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.npy import read_npy_header
from duetal.core.pickled_arrays import PickledArray, PickledString, index_arrays
from duetal.features.arrays import FeatureArray, Header, MappedArray, reading, refuse_truncated
from duetal.features.containers import Opener


def list_pack(path: Path) -> Sequence[Opener]:
    """The arrays of a pack in their order; the pack itself does not know the videos' names.

    Also takes a plain array (N, T, C), which numpy makes when all videos are of one length.

    Raises:
        DuetalError: unreadable, truncated, not a pack, or a pickle with anything else in it.
    """
    damage = "not a .npy file, or its header is damaged"
    with reading(path, damage=damage), path.open("rb") as file:
        shape, fortran, dtype = read_npy_header(file)
        if dtype.hasobject:
            arrays = index_arrays(file, path)
            return [partial(_open, path, f"array {i}", array) for i, array in enumerate(arrays)]
        offset = file.tell()
        size = os.fstat(file.fileno()).st_size
    if len(shape) != 3 or fortran:
        raise DuetalError(f"not a pack of arrays (T, C): one array of shape {shape}", file=path)
    step = math.prod(shape[1:]) * dtype.itemsize
    return [
        partial(_open_slice, path, f"array {i}", shape[1:], dtype, offset + i * step, size)
        for i in range(shape[0])
    ]


def _open_slice(
    path: Path, place: str, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, size: int
) -> FeatureArray:
    header = Header.of(shape, dtype, path, place)
    refuse_truncated(header, size - offset, path, place)
    return MappedArray(path, place, header, offset)


def _open(path: Path, place: str, array: PickledArray) -> FeatureArray:
    if array.dtype is None:
        raise DuetalError("an array without values", file=path, place=place)
    header = Header.of(array.shape, array.dtype, path, place)
    if not isinstance(array.content, PickledString):
        raise DuetalError("an array without values", file=path, place=place)
    refuse_truncated(header, array.content.size, path, place)
    if array.content.encoded:
        return _EncodedArray(path, place, header, array.content, array.fortran)
    return MappedArray(path, place, header, array.content.offset, array.fortran)


@dataclass(frozen=True, slots=True)
class _EncodedArray:
    """An array whose bytes were pickled as text: decoded whole at every reading."""

    path: Path
    place: str | None
    header: Header
    content: PickledString
    fortran: bool

    def rows(self, start: int, stop: int) -> NDArray[np.floating]:
        """Rows `[start, stop)`, as a copy."""
        damage = "the values are damaged"
        with reading(self.path, self.place, damage=damage), self.path.open("rb") as file:
            data = self.content.read(file)
        refuse_truncated(self.header, len(data), self.path, self.place)
        shape = (self.header.length, self.header.width)
        values: NDArray[np.floating] = np.ndarray(
            shape,
            self.header.dtype,
            data,  # type: ignore[arg-type]
            order="F" if self.fortran else "C",
        )
        return values[start:stop]
