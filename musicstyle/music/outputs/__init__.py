"""What a person hears and sees of notes: a sound file, a picture, a page. The suffix of the file decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from musicstyle.errors import UsageError
from musicstyle.music.conductor import UNSAID, Conductor

if TYPE_CHECKING:
    import os

    from musicstyle.music.notes import Notes

SUFFIXES = {
    ".mid": "midi", ".midi": "midi",
    ".wav": "audio", ".flac": "audio", ".ogg": "audio", ".mp3": "audio",
    ".png": "picture", ".svg": "picture",
    ".html": "page", ".htm": "page",
}  # fmt: skip


def output_kind(path: str | os.PathLike[str]) -> str:
    """What a file of this name holds: "midi", "audio", "picture" or "page".

    Raises:
        UsageError: Another suffix; the message lists those known.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: what to write is known by the ending, one of {' '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def write_output(
    path: str | os.PathLike[str],
    notes: Notes,
    melody: Notes | None = None,
    *,
    conductor: Conductor = UNSAID,
    title: str | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write the notes as MIDI, sound, picture or page, by the suffix.

    Args:
        path: Written beside and renamed; its suffix is one of `SUFFIXES`.
        notes: At least one.
        melody: The tune they were asked to play, on the same clock; shown in pictures and pages.
        conductor: Tempo, metre and key, on the same clock: of a MIDI file; pictures and pages show its bars.
        title: Shown in pictures and pages; default: the file's name.
        facts: Settings, seed and the like: text of a MIDI file, shown on a page.

    Raises:
        UsageError: An unknown suffix.
        ValueError: No notes.
        OSError: The file cannot be written.
    """
    kind, title, facts = output_kind(path), title or Path(path).stem, facts or {}
    if not len(notes):
        raise ValueError("no notes to write")
    # Imported here: drawing and sound take a second to import, and MIDI needs neither.
    if kind == "midi":
        from musicstyle.music.midi import write_midi

        write_midi(path, notes, conductor=conductor, text=[f"{name}: {value}" for name, value in facts.items()])
    elif kind == "audio":
        from musicstyle.music.outputs.audio import write_audio

        write_audio(path, notes)
    elif kind == "picture":
        from musicstyle.music.outputs.picture import write_picture

        write_picture(path, notes, melody, title, conductor)
    else:
        from musicstyle.music.outputs.page import Piece, write_page

        write_page(path, [Piece(title, notes, melody, facts, conductor)])
