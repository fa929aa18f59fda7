"""Files that are whole or absent: written beside their place and renamed. And their names, as text."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, remove it if it raises.

    Args:
        path: Where the file shall lie. Its folder is made if absent.

    Yields:
        An empty file in the same folder, with the same suffix, so that writers who go by the suffix do the right thing.

    Raises:
        OSError: the folder cannot be made or written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(_mode_of_a_new_file())  # mkstemp makes files only their owner can read
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def as_text(message: str) -> str:
    """A message that names files, fit to be written: "?" stands for each byte of a name that is no text."""
    return message.encode("utf-8", "replace").decode("utf-8")


def _mode_of_a_new_file() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
