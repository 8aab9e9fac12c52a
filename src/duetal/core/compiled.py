"""Compiling a numeric loop to machine code, with the result kept on disk where that is possible."""

from collections.abc import Callable, Collection
from typing import Any, Literal

import numba


def compiled(
    signature: str | None = None,
    *,
    error_model: Literal["python", "numpy"] = "python",
    fastmath: Collection[str] = (),
    nogil: bool = False,
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
        fastmath: liberties that the compiler may take with floats, as LLVM names them: "reassoc"
            lets it vectorise a sum, "contract" fuse a multiplication with an addition.
        nogil: whether other threads of Python run meanwhile.
    """

    def compile_now(function: Callable[..., Any]) -> Callable[..., Any]:
        def compile_it(cache: bool) -> Callable[..., Any]:
            return numba.njit(
                signature,
                cache=cache,
                error_model=error_model,
                fastmath=set(fastmath),
                nogil=nogil,
            )(function)

        try:
            return compile_it(cache=True)
        except RuntimeError:
            return compile_it(cache=False)

    return compile_now
