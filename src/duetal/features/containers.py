"""Files that hold several arrays: .npz, .safetensors, HDF5, and the W-TALC pack.

Those that name their arrays serve in two ways: one file per video, holding that video's array (the
only one in the file, or the one called "features"); or one file for all, holding an array per
video. A pack is always for all videos, and its arrays have no names.
"""

import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.npy import DAMAGED, read_npy_header
from duetal.core.pickled_arrays import PickledArray, PickledString, index_arrays
from duetal.features.arrays import FeatureArray, Header, mapped_array, reading, refuse_truncated

#: The array taken from a per-video file that holds several.
DEFAULT_KEY = "features"

#: Reads an array's header and gives the array; raises DuetalError when it is no feature array.
Opener = Callable[[], FeatureArray]


def list_arrays(path: Path) -> Mapping[str, Opener]:
    """The arrays of a container file by name, none of them opened yet.

    DuetalError if the file can't be read or is of another type than its suffix.
    """
    return _LISTERS[path.suffix](path)


def open_only(path: Path) -> FeatureArray:
    """The array of a per-video container file: the only one, or the one called "features".

    DuetalError if there is none, or the file is unreadable, or it is no feature array.
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


def _place(key: str | int) -> str:
    return f"array {key!r}"


# --- .npz ---------------------------------------------------------------------------------------

#: Bytes that are decompressed at once.
_PIECE = 2**20
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
        shape, fortran, dtype = read_npy_header(file)
        available, begin = archive.getinfo(member).file_size - file.tell(), file.tell()
    header = Header.of(shape, dtype, path, place)
    refuse_truncated(header, available, path, place)
    row = math.prod(header.shape[1:]) * header.dtype.itemsize
    cursor = _MemberCursor(path, member)

    def read(start: int, stop: int) -> NDArray[np.floating]:
        """Decompress the member only as far as needed, and no part of it twice in a row."""
        if fortran:
            # A row's values lie apart: the whole array has to be read.
            whole = np.frombuffer(cursor.read(begin, row * header.length), header.dtype)
            return whole.reshape(header.shape, order="F")[start:stop]
        data = cursor.read(begin + start * row, (stop - start) * row)
        return np.frombuffer(data, header.dtype).reshape(-1, *header.shape[1:])

    return FeatureArray(path, place, header, read, damage, _ZIP_ERRORS)


class _MemberCursor:
    """Reads of a compressed .npz member, each of which goes on where the last one ended.

    Reading a long video in pieces would decompress it from its beginning for each of them. No file
    stays open between reads; what is kept is the state of the decompressor.
    """

    def __init__(self, path: Path, member: str):
        self.path, self.member = path, member
        self._inflating: Any = None
        self._at = self._raw = self._check = 0

    def read(self, begin: int, size: int) -> bytes:
        """The bytes `[begin, begin + size)` of the member."""
        with zipfile.ZipFile(self.path) as archive:
            info = archive.getinfo(self.member)
            if info.compress_type != zipfile.ZIP_DEFLATED:
                with archive.open(info) as plain:
                    plain.seek(begin)
                    return plain.read(size)
        with self.path.open("rb") as file:
            # A member's data lies behind its own header, of 30 bytes and two fields.
            file.seek(info.header_offset)
            header = file.read(30)
            sizes = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
            return self._inflate(file, info.header_offset + 30 + sum(sizes), info, begin, size)

    def _inflate(
        self, file: IO[bytes], first: int, info: zipfile.ZipInfo, begin: int, size: int
    ) -> bytes:
        if self._inflating is None or begin < self._at:
            self._inflating = zlib.decompressobj(-zlib.MAX_WBITS)
            self._at = self._check = 0
            self._raw = first
        end, last = begin + size, first + info.compress_size
        found = bytearray()
        file.seek(self._raw)
        while self._at < end:
            packed = file.read(min(_PIECE, last - self._raw))
            piece = self._inflating.decompress(packed, min(_PIECE, end - self._at))
            self._raw += len(packed) - len(self._inflating.unconsumed_tail)
            file.seek(self._raw)
            if not piece and (not packed or self._inflating.eof):
                break
            found += piece[max(0, begin - self._at) :]
            self._at += len(piece)
            self._check = zlib.crc32(piece, self._check)
        if self._at == info.file_size and self._check != info.CRC:
            self._inflating = None
            raise zipfile.BadZipFile("other contents than written")
        return bytes(found)


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
        end = min(values + end, path.stat().st_size)
        if begin < 0:
            raise ValueError("negative offset")
    if stored not in _SAFETENSORS_TYPES:
        cause = f"holds {stored}; features are F16 or F32"
        raise DuetalError(cause, file=path, place=place)
    header = Header.of(shape, np.dtype(_SAFETENSORS_TYPES[stored]), path, place)
    return mapped_array(path, place, header, values + begin, end)


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
        node = _own_node(file, key)
        if isinstance(node, h5py.Group) and len(node) == 1:
            node = _own_node(node, next(iter(node)))
        if not isinstance(node, h5py.Dataset):
            raise DuetalError("not an HDF5 dataset of this file", file=path, place=place)
        if node.is_virtual or node.external:
            cause = "its values lie in other files, which are not read"
            raise DuetalError(cause, file=path, place=place)
        shape, dtype, name = node.shape or (), node.dtype, node.name
        _refuse_unwritten(node, path, place)

    def read(start: int, stop: int) -> NDArray[np.floating]:
        with h5py.File(path, "r") as file:
            return np.asarray(file[name][start:stop])

    header = Header.of(shape, dtype, path, place)
    return FeatureArray(path, place, header, read, damage, _HDF5_ERRORS)


def _own_node(group: Any, key: str, links: int = 8) -> Any:
    """What a key of a group stands for, where it lies in the same file; None where it does not."""
    import h5py

    for name in filter(None, key.split("/")):
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links:
            root = group.file if link.path.startswith("/") else group
            group = _own_node(root, link.path, links - 1)
        elif isinstance(link, h5py.HardLink):
            group = group[name]
        else:
            return None
    return group


def _refuse_unwritten(node: Any, path: Path, place: str) -> None:
    """Refuse a dataset of more rows than were written: a short file can promise any number."""
    promised = math.prod(node.shape or ()) * node.dtype.itemsize
    if node.chunks:
        rows = (math.ceil(n / c) for n, c in zip(node.shape, node.chunks, strict=True))
        chunks, there = math.prod(rows), node.id.get_num_chunks()
        missing = f"{chunks:,} chunks promised, {there:,} there" if there < chunks else ""
    else:
        there = node.id.get_storage_size()
        missing = f"{promised:,} bytes promised, {there:,} there" if there < promised else ""
    if missing:
        raise DuetalError(f"truncated: {missing}", file=path, place=place)


# --- the W-TALC pack ----------------------------------------------------------------------------


def list_pack(path: Path) -> Sequence[Opener]:
    """The arrays of a W-TALC pack in their order; the videos' names are not in it.

    `Thumos14reduced-I3D-JOINTFeatures.npy` and its kin are .npy files of a pickled object array of
    N arrays (T, C), about a gigabyte each. Nothing is unpickled: `core.pickled_arrays` finds where
    each array's values lie. Also takes a plain array (N, T, C), which numpy makes when all videos
    are of one length.

    DuetalError if it is unreadable, truncated, not a pack, or a pickle with anything else in it.
    """
    damage = "not a .npy file, or its header is damaged"
    with reading(path, damage=damage), path.open("rb") as file:
        shape, fortran, dtype = read_npy_header(file)
        if dtype.hasobject:
            arrays = index_arrays(file, path)
            return [partial(_open_pickled, path, _place(i), a) for i, a in enumerate(arrays)]
        offset = file.tell()
        end = os.fstat(file.fileno()).st_size
    if len(shape) != 3 or fortran:
        raise DuetalError(f"not a pack of arrays (T, C): one array of shape {shape}", file=path)
    step = math.prod(shape[1:]) * dtype.itemsize

    def open_slice(i: int) -> FeatureArray:
        header = Header.of(shape[1:], dtype, path, _place(i))
        return mapped_array(path, _place(i), header, offset + i * step, end)

    return [partial(open_slice, i) for i in range(shape[0])]


def _open_pickled(path: Path, place: str, array: PickledArray) -> FeatureArray:
    content = array.content
    header = None if array.dtype is None else Header.of(array.shape, array.dtype, path, place)
    if header is None or not isinstance(content, PickledString):
        raise DuetalError("an array without values", file=path, place=place)
    if not content.encoded:
        offset, end = content.offset, content.offset + content.size
        return mapped_array(path, place, header, offset, end, fortran=array.fortran)
    refuse_truncated(header, content.size, path, place)

    def read(start: int, stop: int) -> NDArray[np.floating]:
        # The bytes were pickled as text, which has to be decoded whole.
        with path.open("rb") as file:
            data = content.read(file)
        refuse_truncated(header, len(data), path, place)
        shape = header.shape
        values = np.frombuffer(data, header.dtype, math.prod(shape))  # type: ignore[arg-type]
        return values.reshape(shape, order="F" if array.fortran else "C")[start:stop]

    return FeatureArray(path, place, header, read, "the values are damaged")


_LISTERS: Mapping[str, Callable[[Path], dict[str, Opener]]] = {
    ".npz": _list_npz,
    ".safetensors": _list_safetensors,
    ".h5": _list_hdf5,
    ".hdf5": _list_hdf5,
}

#: Suffixes of container files.
CONTAINER_SUFFIXES = frozenset(_LISTERS)
