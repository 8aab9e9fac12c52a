"""The header of a `.npy` file."""

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


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type from the start of a .npy stream; leaves it at the first value.

    Raises:
        ValueError: or another of `DAMAGED`, when it is no .npy stream.
    """
    version = npy_format.read_magic(file)
    # Version 3 differs only in the names of structured types, which are not read.
    readers = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} is not supported")
    try:
        shape, fortran, dtype = readers[version](file)
    except MemoryError as error:
        # Python's parser says so of a short text that is nested too deeply.
        raise ValueError("nested too deeply") from error
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"shape {shape} is none")
    return shape, fortran, dtype
