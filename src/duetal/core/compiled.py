"""Compiling a numeric loop to machine code, with the result kept on disk where that is possible."""

from collections.abc import Callable
from typing import Any, Literal

import numba


def compiled(
    signature: str | None = None, *, error_model: Literal["python", "numpy"] = "python"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`numba.njit`, with the machine code cached on disk where that is possible.

    Only the first process ever takes the second or two of compiling. Where no cache folder can be
    written (a package in a read-only place, a user without a home) numba would raise; here every
    process compiles anew instead.

    Args:
        signature: the arguments' types in numba's notation, such as
            `"float64[::1](float64[::1], int64)"`, to compile on import; None compiles on the first
            call, for the types that come.
        error_model: what a division by zero does: "python" raises, "numpy" gives infinity or NaN,
            which lets the compiler vectorise a loop of divisions.
    """

    def compile_now(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(signature, cache=True, error_model=error_model)(function)
        except RuntimeError:
            return numba.njit(signature, error_model=error_model)(function)

    return compile_now
