"""Where the files that come with musicstyle are, in a clone of the repository and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def default_checkpoint() -> Path:
    """Find the checkpoint in the box: checkpoints/default of the clone, or the copy of it inside the wheel.

    Returns:
        The folder with config.json and model.safetensors. Loading the checkpoint says what is wrong if it is not there.
    """
    return _folder("checkpoints") / "default"


def examples() -> Path:
    """Find the examples: examples/ of the clone, or the copy of its MIDI files inside the wheel.

    Returns:
        The folder with the tunes and, in styles/, the performances. Whoever reads them says if they are not there.
    """
    return _folder("examples")


def _folder(name: str) -> Path:
    in_wheel = _PACKAGE / f"_{name}"
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / name
