"""numba, as every room uses it; and who waits for it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core import event

_njit: Any = numba.njit  # its types say less than it takes
_config: Any = numba.config


def compiled(function: Any) -> Any:
    """Decorator: numba's `njit`, kept between runs where a folder for it can be written.

    Never with fast arithmetic: the compiler would order sums anew wherever it copies a function to, and a process that
    compiles may call another copy than one that loads.
    """
    given = _config.CACHE_DIR  # NUMBA_CACHE_DIR, or empty; read when a function is decorated
    base = Path(given) if given else Path(platformdirs.user_cache_dir("musicstyle"), "compiled")
    _config.CACHE_DIR = str(base / _digest(Path(function.__code__.co_filename).parent))
    try:
        return _njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no folder to keep it in
        return _njit(nogil=True, error_model="numpy")(function)
    finally:
        _config.CACHE_DIR = given


@cache
def _digest(folder: Path) -> str:
    """Of the sources of a folder that are compiled: numba looks at a function's own only, not at what it calls."""
    sources = [path.read_bytes() for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(source for source in sources if b"import compiled" in source)).hexdigest()[:16]


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
