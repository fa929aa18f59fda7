"""Who waits for the compiler is told, once; without a compiler the functions run as they are."""

from __future__ import annotations

import pytest

from musicstyle.generation import compiling
from musicstyle.generation.compiling import compiled, told_of_compiling


def double(x: float) -> float:
    return 2 * x


def test_the_first_use_is_told_of_once_and_the_second_is_not() -> None:
    told: list[str] = []
    fresh = compiling._njit(double)
    with told_of_compiling(lambda: told.append("compiling")):
        assert fresh(2) == 4
        assert fresh(2.5) == 5.0  # another type, compiled again
    assert told == ["compiling"]
    with told_of_compiling(lambda: told.append("again")):
        assert fresh(3) == 6
    assert told == ["compiling"]


def test_without_numba_a_function_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_njit", None)
    assert compiled(fastmath=True)(double) is double
    with told_of_compiling(lambda: pytest.fail("nothing is compiled")):
        assert double(2) == 4
