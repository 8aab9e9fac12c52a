"""Compiling a numeric loop to machine code, with the result kept on disk where that is possible."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`numba.njit` for arguments of the given types, compiled on import.

    The machine code is cached on disk, so that only the first import ever takes its second or
    two. Where no cache folder can be written (a package in a read-only place, a user without a
    home) numba would raise; here every process compiles anew instead.

    Args:
        signature: numba's notation, such as `"float64[::1](float64[::1], int64)"`.
    """

    def compile_now(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(signature, cache=True)(function)
        except RuntimeError:
            return numba.njit(signature)(function)

    return compile_now
