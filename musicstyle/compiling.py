"""numba, as every room uses it; and who waits for it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
from numba.core import event

_njit: Any = numba.njit  # its types say less than it takes


def compiled(**options: bool) -> Any:
    """Decorator: numba's `njit` with its options, kept between runs where a folder for it can be written."""

    def compile_(function: Any) -> Any:
        try:
            return _njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        except RuntimeError:  # numba found no folder to keep it in
            return _njit(nogil=True, error_model="numpy", **options)(function)

    return compile_


@contextmanager
def told_of_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Within it, `tell` is called once if numba has something to compile, which takes seconds: the first use does."""
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
