"""The W-TALC pack: one .npy file that holds the feature arrays of all videos as a pickle.

`Thumos14reduced-I3D-JOINTFeatures.npy` and its kin are object arrays of N arrays (T, C), about a
gigabyte each. Nothing is unpickled: `core.pickled_arrays` finds where each array's values lie, and
they are read through a memory map like any other feature file.
"""

import math
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.npy import read_npy_header
from duetal.core.pickled_arrays import PickledArray, PickledString, index_arrays
from duetal.features.arrays import FeatureArray, Header, mapped_array, reading, refuse_truncated
from duetal.features.containers import Opener


def list_pack(path: Path) -> Sequence[Opener]:
    """The arrays of a pack in their order; the videos' names are not in it.

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
    return mapped_array(path, place, header, offset)


def _open(path: Path, place: str, array: PickledArray) -> FeatureArray:
    content = array.content
    header = None if array.dtype is None else Header.of(array.shape, array.dtype, path, place)
    if header is None or not isinstance(content, PickledString):
        raise DuetalError("an array without values", file=path, place=place)
    refuse_truncated(header, content.size, path, place)
    if not content.encoded:
        return mapped_array(path, place, header, content.offset, fortran=array.fortran)
    read = partial(_decode, path, place, header, content, "F" if array.fortran else "C")
    return FeatureArray(path, place, header, read, "the values are damaged")


def _decode(
    path: Path,
    place: str,
    header: Header,
    content: PickledString,
    order: Literal["C", "F"],
    start: int,
    stop: int,
) -> NDArray[np.floating]:
    """Rows of an array whose bytes were pickled as text; it is decoded whole."""
    with path.open("rb") as file:
        data = content.read(file)
    refuse_truncated(header, len(data), path, place)
    shape = (header.length, header.dim)
    values: NDArray[np.floating]
    values = np.ndarray(shape, header.dtype, data, order=order)  # type: ignore[arg-type]
    return values[start:stop]
