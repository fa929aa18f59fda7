"""Files that are whole or absent: written beside their place and renamed. And their names, as text."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, remove it if it raises.

    Args:
        path: Where the file shall lie; a link there is replaced. Its folder is made if absent.

    Yields:
        An empty file in the same folder, with the same suffix, so that writers who go by the suffix do the right thing.

    Raises:
        OSError: the folder cannot be made or written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile's, which only their owner may read; and not the target's name, to which nothing may be added.
    beside = target.parent / f".{secrets.token_hex(8)}{target.suffix}"
    beside.touch(exist_ok=False)
    mode = beside.stat().st_mode
    try:
        yield beside
        beside.chmod(mode)  # some writers put a file of their own in its place
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def as_text(message: str) -> str:
    """A message that names files, fit to be written: "?" stands for each byte of a name that is no text."""
    return message.encode("utf-8", "replace").decode("utf-8")
