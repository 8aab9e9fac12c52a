"""Files that hold several named arrays: .npz, .safetensors and HDF5.

Such a file serves in two ways: one file per video, holding that video's array (the only one in
the file, or the one called "features"); or one file for all, holding an array per video.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.npy import DAMAGED, read_npy_header
from duetal.features.arrays import FeatureArray, Header, mapped_array, reading, refuse_truncated

#: The array taken from a per-video file that holds several.
DEFAULT_KEY = "features"

#: Reads an array's header and gives the array; raises DuetalError when it is no feature array.
Opener = Callable[[], FeatureArray]


def list_arrays(path: Path) -> Mapping[str, Opener]:
    """The arrays of a container file by name, none of them opened yet.

    Raises:
        DuetalError: the file can't be read or is of another type than its suffix.
    """
    return _LISTERS[path.suffix](path)


def open_only(path: Path) -> FeatureArray:
    """The array of a per-video container file: the only one, or the one called "features".

    Raises:
        DuetalError: unreadable, no array, several and none called "features", no feature array.
    """
    arrays = list_arrays(path)
    if len(arrays) == 1:
        return next(iter(arrays.values()))()
    if DEFAULT_KEY in arrays:
        return arrays[DEFAULT_KEY]()
    if not arrays:
        raise DuetalError("holds no array", file=path)
    names = ", ".join(sorted(arrays)[:5])
    raise DuetalError(f"holds several arrays and none called {DEFAULT_KEY!r}: {names}", file=path)


def _place(key: str) -> str:
    return f"array {key!r}"


# --- .npz ---------------------------------------------------------------------------------------

_ZIP_ERRORS = (*DAMAGED, zipfile.BadZipFile, zlib.error, RuntimeError)


def _list_npz(path: Path) -> dict[str, Opener]:
    damage = "not an .npz file, or truncated"
    with reading(path, damage=damage, errors=_ZIP_ERRORS), zipfile.ZipFile(path) as archive:
        members = archive.namelist()
    return {
        member.removesuffix(".npy"): partial(_open_member, path, member)
        for member in members
        if member.endswith(".npy")
    }


def _open_member(path: Path, member: str) -> FeatureArray:
    place, damage = _place(member.removesuffix(".npy")), "damaged .npz member"
    with (
        reading(path, place, damage=damage, errors=_ZIP_ERRORS),
        zipfile.ZipFile(path) as archive,
        archive.open(member) as file,
    ):
        shape, _, dtype = read_npy_header(file)
        available = archive.getinfo(member).file_size - file.tell()
    header = Header.of(shape, dtype, path, place)
    refuse_truncated(header, available, path, place)
    return FeatureArray(path, place, header, partial(_unzip, path, member), damage, _ZIP_ERRORS)


def _unzip(path: Path, member: str, start: int, stop: int) -> NDArray[np.floating]:
    """Rows of a member, which is decompressed only as far as needed."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        (length, dim), fortran, dtype = read_npy_header(file)
        row = dim * dtype.itemsize
        if fortran:
            # A row's values lie apart: the whole array has to be read.
            whole = np.frombuffer(file.read(row * length), dtype)
            return whole.reshape((length, dim), order="F")[start:stop]
        file.seek(start * row, 1)
        return np.frombuffer(file.read((stop - start) * row), dtype).reshape(-1, dim)


# --- .safetensors -------------------------------------------------------------------------------

_SAFETENSORS_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_SAFETENSORS_HEADER_LIMIT = 100_000_000  # the library's own limit


def _list_safetensors(path: Path) -> dict[str, Opener]:
    """Read the header ourselves: it gives each array's place in the file, for a memory map.

    The format: 8 bytes little-endian header size N, N bytes of JSON, then the values in C order.
    """
    damage, errors = "not a .safetensors file, or truncated", (*DAMAGED, AttributeError)
    with reading(path, damage=damage, errors=errors), path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= _SAFETENSORS_HEADER_LIMIT:
            raise ValueError("header size")
        entries = json.loads(file.read(size).decode("utf-8"))
        entries.pop("__metadata__", None)
        names = [str(name) for name in entries]
    return {name: partial(_open_tensor, path, name, entries[name], 8 + size) for name in names}


def _open_tensor(path: Path, name: str, entry: Any, values: int) -> FeatureArray:
    place = _place(name)
    with reading(path, place, damage="damaged entry in the header"):
        begin, end = (int(offset) for offset in entry["data_offsets"])
        shape = tuple(int(size) for size in entry["shape"])
        stored = str(entry["dtype"])
        available = min(end, path.stat().st_size - values) - begin
        if begin < 0:
            raise ValueError("negative offset")
    if stored not in _SAFETENSORS_TYPES:
        cause = f"holds {stored}; features are F16 or F32"
        raise DuetalError(cause, file=path, place=place)
    header = Header.of(shape, np.dtype(_SAFETENSORS_TYPES[stored]), path, place)
    refuse_truncated(header, available, path, place)
    return mapped_array(path, place, header, values + begin)


# --- HDF5 ---------------------------------------------------------------------------------------

_HDF5_ERRORS = (*DAMAGED, RuntimeError)


def _list_hdf5(path: Path) -> dict[str, Opener]:
    import h5py

    damage = "not an HDF5 file, truncated or damaged"
    with reading(path, damage=damage, errors=_HDF5_ERRORS), h5py.File(path, "r") as file:
        keys = list(file)
    return {key: partial(_open_dataset, path, key) for key in keys}


def _open_dataset(path: Path, key: str) -> FeatureArray:
    """Open a dataset at the file's root, or the only dataset of a group there."""
    import h5py

    place = _place(key)
    damage = "damaged HDF5 dataset"
    with reading(path, place, damage=damage, errors=_HDF5_ERRORS), h5py.File(path, "r") as file:
        node = file[key]
        if isinstance(node, h5py.Group) and len(node) == 1:
            node = next(iter(node.values()))
        if not isinstance(node, h5py.Dataset):
            raise DuetalError("not an HDF5 dataset", file=path, place=place)
        shape, dtype, key = node.shape or (), node.dtype, node.name
    header, read = Header.of(shape, dtype, path, place), partial(_read_dataset, path, key)
    return FeatureArray(path, place, header, read, damage, _HDF5_ERRORS)


def _read_dataset(path: Path, key: str, start: int, stop: int) -> NDArray[np.floating]:
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(file[key][start:stop])


_LISTERS: Mapping[str, Callable[[Path], dict[str, Opener]]] = {
    ".npz": _list_npz,
    ".safetensors": _list_safetensors,
    ".h5": _list_hdf5,
    ".hdf5": _list_hdf5,
}

#: Suffixes of container files.
CONTAINER_SUFFIXES = frozenset(_LISTERS)
