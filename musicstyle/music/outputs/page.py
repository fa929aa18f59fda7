"""Notes -> one web page that needs nothing else: a moving piano roll and the sound of each piece, offline."""

from __future__ import annotations

import base64
import html
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicstyle.errors import UsageError
from musicstyle.files import write_atomically
from musicstyle.music.conductor import UNSAID, Conductor
from musicstyle.music.notes import Notes
from musicstyle.music.outputs.audio import write_audio
from musicstyle.music.outputs.picture import plays_melody

if TYPE_CHECKING:
    import os

SUFFIXES = (".html", ".htm")
SAMPLE_RATE = 32_000  # the piano's recordings hold nothing above 11 kHz, and the page stays small
UNHEARD = "This browser cannot play the sound (Ogg Vorbis). musicstyle render makes an .mp3 of the MIDI file."


@dataclass(frozen=True)
class Piece:
    """A piece on a page.

    Attributes:
        title: Its heading, plain text.
        notes: At least one.
        melody: The tune it was asked to play, on the same clock.
        facts: What to tell of it, such as settings and seed.
        conductor: Its bars, on the same clock.
    """

    title: str
    notes: Notes
    melody: Notes | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    conductor: Conductor = UNSAID


def write_page(path: str | os.PathLike[str], pieces: Sequence[Piece], title: str | None = None) -> None:
    """Write an HTML file that plays and shows the pieces, from a disk as from a server.

    The sound is inside it (OGG Vorbis, about 0.8 MB a minute) and its policy forbids every connection.

    Args:
        path: .html or .htm; written beside and renamed.
        pieces: At least one, each with at least one note.
        title: Heading of a page of several pieces, and the window's title; default: the first piece's.

    Raises:
        UsageError: Another suffix.
        ValueError: No pieces, or a piece without notes.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a page is written as {', '.join(SUFFIXES)}")
    if not pieces:
        raise ValueError("no pieces to show")
    heading = f"<h1>{html.escape(title)}</h1>" if title and len(pieces) > 1 else ""
    template = files("musicstyle.music.outputs").joinpath("page.html").read_text(encoding="utf-8")
    before, after = template.split("@pieces@")
    before = before.replace("@title@", html.escape(title or pieces[0].title))
    with write_atomically(path) as beside, beside.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(before + heading)
        for piece in pieces:
            file.write(_section(piece, "h1" if len(pieces) == 1 else "h2"))
        file.write(after)


def _section(piece: Piece, level: str) -> str:
    title = html.escape(piece.title)
    facts = "".join(
        f"<div><dt>{html.escape(str(name))}</dt><dd>{html.escape('–' if value is None else str(value))}</dd></div>"
        for name, value in piece.facts.items()
    )
    told = f"Piano roll of {title}: click to listen from there"
    ramp, legend = "", ""
    if piece.melody is not None:
        ramp = '<i class="ramp melody"></i>'
        legend = '<span class="key"><i class="asked"></i>melody asked for, orange where played</span>'
    return f"""
<section class="piece">
<{level}>{title}</{level}>
<canvas class="roll" tabindex="0" role="slider" aria-valuenow="0" aria-label="{told}"></canvas>
<canvas class="whole" aria-hidden="true"></canvas>
<audio controls aria-label="{title}" preload="auto" src="data:audio/ogg;base64,{_sound(piece.notes)}"></audio>
<p class="unheard" role="status" hidden>{UNHEARD}</p>
<p class="legend"><span class="key">soft<i class="ramp"></i>{ramp}loud</span>{legend}</p>
<dl>{facts}</dl>
<script type="application/json">{_data(piece)}</script>
</section>
"""


def _sound(notes: Notes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.ogg"
        write_audio(sound, notes, SAMPLE_RATE)
        return base64.b64encode(sound.read_bytes()).decode("ascii")


def _data(piece: Piece) -> str:
    """Notes as [start, end, pitch, velocity, is melody], tune as [start, end, pitch], where bars begin, in ms."""
    melody = piece.melody if piece.melody is not None else Notes.empty()
    flags = plays_melody(piece.notes, melody).astype(int)
    bars = piece.conductor.bars_of(piece.notes)
    data: dict[str, Any] = {
        "notes": [[*row, flag] for row, flag in zip(_rows(piece.notes), flags.tolist(), strict=True)],
        "melody": [row[:3] for row in _rows(melody)],
        "bars": (bars.seconds * 1000).round().astype(int).tolist(),
        "first_bar": bars.first,
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # nothing may end the script


def _rows(notes: Notes) -> list[list[int]]:
    start, end = ((times * 1000).round().astype(int).tolist() for times in (notes.start, notes.end))
    return [list(row) for row in zip(start, end, notes.pitch.tolist(), notes.velocity.tolist(), strict=True)]
