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
    MemoryError,
    EOFError,
)


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type from the start of a .npy stream; leaves it at the first value.

    Raises:
        ValueError: or another of `DAMAGED`, when it is no .npy stream.
    """
    version = npy_format.read_magic(file)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(file)
    if version == (2, 0):
        return npy_format.read_array_header_2_0(file)
    # Version 3 differs only in the names of structured types, which are not read.
    raise ValueError(f"version {version} is not supported")
