"""What a verb says that cannot do what is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click.testing import Result


def refused(result: Result, code: int, *words: str) -> None:
    """It ended with this code, nothing on stdout, and one line of error that holds the words."""
    assert result.exit_code == code, (result.stderr, result.exception)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("musicstyle: error: ")
    assert all(word in line for word in words), line
