"""Compiling a numeric loop to machine code, cached on disk where that is possible."""

import functools
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

    Where no cache folder can be written (a read-only package, a user without a home) numba raises;
    then every process compiles anew.

    Args:
        signature: the arguments' types in numba's notation, such as
            `"float64[::1](float64[::1], int64)"`, to compile on import; None compiles on the first
            call, for the types it has.
        error_model: what a division by zero does: "python" raises, "numpy" gives infinity or NaN,
            so that a loop of divisions can be vectorised.
        fastmath: LLVM's flags: "reassoc" vectorises sums, "contract" fuses multiply and add.
        nogil: whether other threads of Python run meanwhile.
    """
    njit = functools.partial(
        numba.njit, signature, error_model=error_model, fastmath=set(fastmath), nogil=nogil
    )

    def compile_now(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(cache=True)(function)
        except RuntimeError:
            return njit()(function)

    return compile_now
