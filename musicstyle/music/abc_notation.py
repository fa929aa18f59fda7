"""ABC tunes -> Notes, by abc2midi, which symusic brings along: repeats, voices, parts, keys, tempos as it plays them.

Left out: grace notes and ornaments, chord symbols, fermatas, percussion. Dynamics are not interpreted.

Source: the ABC standard 2.1, https://abcnotation.com/wiki/abc:standard:v2.1.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from musicstyle.music.notes import Notes
from musicstyle.music.parse import parse
from musicstyle.music.smf import TickClock
from musicstyle.music.vocabulary import DEFAULT_VELOCITY

_MAX_SECONDS = 60  # a book of a thousand tunes takes a second
_CHORDS_AT_ONCE = "%%MIDI chordattack 0"  # it would break them
_OPTIONS = ("-silent", "-NGRA", "-NGUI", "-NFER", "-NFNP")
_LINE_END = re.compile(r"\r\n?|\n")
_FIELD = re.compile(r"[A-TV-Za-z]:|%")  # how a line begins that is no music; U: names ornaments
_NOT_TO_PLAY = re.compile(  # fields in the music and text in quotes stay: \1
    r'(\[(?!r:)[A-Za-z]:[^\]]*\]|"[^"]*")'
    r"|\[r:[^\]]*\]|[!+](trill|turnx?|invertedturnx?|mordent|(upper|lower)mordent|pralltriller|roll|arpeggio)[!+]"
    r"|[~TMP](?=[\^_=]*[A-Ga-g])"
    r"|[H-Y](?=\[\|)"  # before a bar line it adorns nothing, and abc2midi would take the line for a chord's beginning
)


def read_abc(text: str) -> Notes:
    """The notes of a tune, of a book the first one's.

    Raises:
        ValueError: what is wrong with it, on one line.
    """
    lines = [line if _FIELD.match(line) else _NOT_TO_PLAY.sub(r"\1", line) for line in _LINE_END.split(text)]
    lines = [line for line in lines if not line.startswith("r:")]  # remarks, which abc2midi would play
    first = next((place for place, line in enumerate(lines, 1) if line.startswith("X:")), 0)
    header = [_CHORDS_AT_ONCE] if first else ["X:1", _CHORDS_AT_ONCE]
    lines = lines[:first] + header + lines[first:]
    data = _as_midi("\n".join(lines) + "\n")
    piece = parse(data)
    pitched = [track.notes for track in piece.tracks if not track.is_drum and len(track.notes)]
    if not pitched:
        raise ValueError("holds no notes")
    start, end, pitch, _ = np.concatenate(pitched).T
    clock = TickClock.of(data, piece.tempos)
    # abc2midi strikes a tick late, so that a key is up before it is struck again.
    return Notes.from_arrays(clock.seconds(start - 1), clock.seconds(end), pitch, np.full(len(pitch), DEFAULT_VELOCITY))


def _as_midi(tune: str) -> bytes:
    import symusic  # noqa: F401 - says where its abc2midi is

    with TemporaryDirectory() as folder:
        source, out = Path(folder, "tune.abc"), Path(folder, "tune.mid")
        source.write_text(tune, encoding="utf-8")
        command = [os.environ["SYMUSIC_ABC2MIDI"], str(source), "-o", str(out), *_OPTIONS]
        try:
            said = subprocess.run(command, capture_output=True, check=False, timeout=_MAX_SECONDS, cwd=folder)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise ValueError(f"cannot be read as abc (not done in {_MAX_SECONDS} s)") from None
        except OSError as error:
            raise ValueError(f"cannot be read as abc (abc2midi: {error.strerror})") from None
        if said.returncode or not out.is_file():
            raise ValueError("cannot be read as abc (a tune has fields X: and K: and then notes)")
        return out.read_bytes()
