from collections.abc import Callable
from typing import Any

import numba
import pytest

from duetal.core.compiled import compiled


def double(value: float) -> float:
    return 2 * value


def test_compiles_for_the_given_types() -> None:
    function = compiled("float64(float64)")(double)
    assert function(1.5) == 3
    assert len(function.signatures) == 1  # type: ignore[attr-defined]


def test_works_where_no_cache_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_folder(*arguments: Any, **options: Any) -> Callable[..., Any]:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*arguments, **options)

    monkeypatch.setattr(numba, "njit", without_folder)
    assert compiled("float64(float64)")(double)(1.5) == 3


def test_without_a_signature_compiles_for_the_types_that_come() -> None:
    function = compiled()(double)
    assert (function(2), function(1.5)) == (4, 3.0)


def test_a_division_by_zero_raises_or_follows_numpy() -> None:
    # Two functions: numba's cache on disk tells functions apart, not the options they came with.
    def checked(a: float, b: float) -> float:
        return a / b

    def unchecked(a: float, b: float) -> float:
        return a / b

    with pytest.raises(ZeroDivisionError):
        compiled()(checked)(1.0, 0.0)
    assert compiled(error_model="numpy")(unchecked)(1.0, 0.0) == float("inf")
