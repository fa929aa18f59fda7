"""numba where there is one for this Python; without it the same functions run as they are written."""

from __future__ import annotations

from typing import Any

try:
    from numba import njit
except ImportError:
    njit = None

_njit: Any = njit  # its types say less than it takes


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
