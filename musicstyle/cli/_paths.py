"""Paths on the command line, and whether a file could be written: asked before any work, not found out after it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from musicstyle.errors import UsageError


class _APath(click.Path):
    """A path; an empty one, as a shell's unset variable gives, would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(value or self.fail("an empty name; give a path", param, ctx), param, ctx)


A_PATH = _APath(path_type=Path)


def refuse_to_write(out: Path, force: bool, inputs: Iterable[Path | None] = (), flag: str = "--out") -> None:
    """Say why a file could not be written, or must not.

    Args:
        out: The file.
        force: Whether it may be written over.
        inputs: What is read; a text may stand where a path could.
        flag: That names it.

    Raises:
        UsageError: With what to do.
    """
    try:
        is_folder = out.is_dir()
    except OSError as error:  # a name that no file may have
        raise UsageError(f"{out}: cannot be written ({error.strerror}); give another {flag}") from None
    if is_folder:
        raise UsageError(f"{out}: is a folder; give the name of a file")
    # os.path's, which takes a tune in text, longer than any file's name, for a file that isn't there.
    if out.exists() and any(path is not None and os.path.exists(path) and path.samefile(out) for path in inputs):  # noqa: PTH110
        raise UsageError(f"{out}: is an input too; give another {flag}")
    if os.path.lexists(out) and not force:  # a link too that leads nowhere, which would be replaced
        raise UsageError(f"{out}: is there already; give another {flag}, or --force to write over it")
    refuse_unwritable(out)


def refuse_unwritable(path: Path) -> None:
    """Say why nothing could be made at a path.

    Raises:
        UsageError: The nearest folder above that exists is none, or not writable.
    """
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: cannot be written, {folder} is {'not writable' if folder.is_dir() else 'no folder'}")
