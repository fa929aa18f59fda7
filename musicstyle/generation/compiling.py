"""numba where there is one for this Python; without it the same functions run as they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

try:
    import numba
    from numba.core import event

    _njit: Any = numba.njit  # its types say less than it takes
except ImportError:
    _njit = None


def compiled(**options: bool) -> Any:
    """Decorator: numba's `njit` with its options, kept between runs where a folder for it can be written."""

    def compile_(function: Any) -> Any:
        if _njit is None:
            return function
        try:
            return _njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        except RuntimeError:  # numba found no folder to keep it in
            return _njit(nogil=True, error_model="numpy", **options)(function)

    return compile_


@contextmanager
def told_of_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Within it, `tell` is called once if numba has something to compile, which takes seconds: the first use does."""
    if _njit is None:
        yield
        return
    told = False

    class Ear(event.Listener):
        def on_start(self, _event: object) -> None:
            nonlocal told
            if not told:
                told = True
                tell()

        def on_end(self, _event: object) -> None:
            pass

    with event.install_listener("numba:compile", Ear()):
        yield
