"""Packages that the benchmarks compare with: `pip install '.[bench]'`."""

from __future__ import annotations

import sys
from functools import cache


@cache
def say_missing(package: str) -> None:
    """Say on stderr, once, that what needs this package is left out."""
    print(f"{package} is not installed and is left out of the comparison; pip install '.[bench]'", file=sys.stderr)
