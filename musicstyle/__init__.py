"""musicstyle plays any tune in the style of any pianist.

Importing this package imports nothing heavy: a public name is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musicstyle.errors import MusicstyleError
    from musicstyle.generation.transfer import StyleTransfer
    from musicstyle.music.midi import read_midi, write_midi
    from musicstyle.music.notes import Notes

__version__ = "0.1.0"

__all__ = ["MusicstyleError", "Notes", "StyleTransfer", "__version__", "read_midi", "write_midi"]

_HOME_OF = {
    "MusicstyleError": "musicstyle.errors",
    "Notes": "musicstyle.music.notes",
    "StyleTransfer": "musicstyle.generation.transfer",
    "read_midi": "musicstyle.music.midi",
    "write_midi": "musicstyle.music.midi",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module at its first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
