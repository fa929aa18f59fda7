"""Files and folders that are whole or absent: written beside their place and renamed. And finding and naming them."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME_BYTES = 8  # of what is not yet whole
# Windows moves nothing that another program reads, as a virus scanner does with whatever is new; seconds between tries.
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6) if os.name == "nt" else ()


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, remove it if it raises.

    Args:
        path: Where the file shall lie; a link there is replaced. Its folder is made if absent.

    Yields:
        An empty file in the same folder, with the same suffix, so that writers who go by the suffix do the right thing.

    Raises:
        OSError: the folder cannot be made or written; it names `path`.
    """
    target = Path(path)
    # Not tempfile's, which only their owner may read; and not the target's name, to which nothing may be added.
    beside = target.parent / f".{secrets.token_hex(_NAME_BYTES)}{target.suffix}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.touch(exist_ok=False)
        mode = beside.stat().st_mode
        try:
            yield beside
            beside.chmod(mode)  # some writers put a file of their own in its place
            _patiently(beside.replace, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        if error.filename is not None and str(error.filename) != str(beside):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error  # a full disk names no file


@contextmanager
def all_or_none() -> Iterator[list[Path]]:
    """Yield a list for the files that are written one after the other; if the block raises, those in it are removed."""
    written: list[Path] = []
    try:
        yield written
    except BaseException:  # Ctrl-C too
        for path in written:
            path.unlink(missing_ok=True)
        raise


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside; it takes the place of `folder` if the block succeeds and is removed if it raises.

    A process that is killed between the two renames leaves what stood there as `set_aside(folder)`, for `put_back`.

    Raises:
        OSError: a folder cannot be made or renamed; what stood there stands there still.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = folder.with_name(f".{secrets.token_hex(_NAME_BYTES)}"), set_aside(folder)
    new.mkdir()
    try:
        yield new
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            _patiently(folder.rename, old)
        _patiently(new.rename, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:  # Ctrl-C too
        put_back(folder)
        shutil.rmtree(new, ignore_errors=True)


def remove_unfinished(parent: Path) -> None:
    """Remove the new folders that killed processes left in `parent`; only where no other process may be filling one."""
    for path in parent.glob("." + "[0-9a-f]" * 2 * _NAME_BYTES):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def set_aside(folder: Path) -> Path:
    """Where `replace_folder` keeps what stood there, from one rename to the next."""
    return folder.with_name(f".{folder.name}.replaced")


def where_kept(folder: Path) -> Path | None:
    """Where it stands: in its place, aside, or nowhere."""
    return next((place for place in (folder, set_aside(folder)) if place.exists()), None)


def put_back(folder: Path) -> None:
    """Put a folder that was set aside into its place, if nothing stands there."""
    if not folder.exists() and set_aside(folder).exists():
        _patiently(set_aside(folder).rename, folder)


def _patiently(move: Callable[[Path], object], target: Path) -> None:
    for seconds in _PAUSES:
        try:
            move(target)
            return
        except PermissionError:
            time.sleep(seconds)
    move(target)


def paths_below(folder: Path) -> Iterator[Path]:
    """All that lies below a folder and is no folder; linked folders are entered too, each once.

    Raises:
        OSError: A folder cannot be read; it names it.
    """

    def refuse(error: OSError) -> None:
        raise error

    entered: set[str] = set()
    for place, below, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:  # by a link, which may even lead in a circle
            below.clear()
            continue
        entered.add(real)
        below.sort()
        yield from (Path(place, name) for name in names)


def as_text(message: str) -> str:
    """A message that names files, fit to be written: "?" stands for each byte of a name that is no text."""
    return message.encode("utf-8", "replace").decode("utf-8")
