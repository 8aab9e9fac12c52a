"""The header of a `.npy` file."""

import io
from functools import lru_cache
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

#: What `numpy.lib.format` and the reading around it raise on a damaged or hostile header.
DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    SyntaxError,
    TokenError,
    RecursionError,
    EOFError,
)
#: NumPy's own limit.
_MOST_BYTES = 10_000
#: By version: bytes of the header's length, and what reads it. Version 3 differs only in the names
#: of structured types, which are not read.
_VERSIONS = {
    (1, 0): (2, npy_format.read_array_header_1_0),
    (2, 0): (4, npy_format.read_array_header_2_0),
}


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type from the start of a .npy stream; leaves it at the first value.

    Raises:
        ValueError: or another of `DAMAGED`, when it is no .npy stream.
    """
    version = npy_format.read_magic(file)
    if version not in _VERSIONS:
        raise ValueError(f"version {version} is not supported")
    size, _ = _VERSIONS[version]
    prefix = file.read(size)
    length = int.from_bytes(prefix, "little")
    if length > _MOST_BYTES:
        raise ValueError(f"a header of {length:,} bytes")
    return _parsed(version, prefix + file.read(length))


# Files of one shape have one header, and Python's parser, which reads it, is slow.
@lru_cache(maxsize=1024)
def _parsed(version: tuple[int, int], text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        shape, fortran, dtype = _VERSIONS[version][1](io.BytesIO(text))
    except MemoryError as error:
        # Python's parser says so of a short text that is nested too deeply.
        raise ValueError("nested too deeply") from error
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"shape {shape} is none")
    return shape, fortran, dtype
