"""ABC tunes -> Notes, by abc2midi, which symusic brings along: repeats, voices, parts, keys, tempos as it plays them.

Left out: grace notes and ornaments, chord symbols, fermatas, percussion. Dynamics are not interpreted.

Source: the ABC standard 2.1, https://abcnotation.com/wiki/abc:standard:v2.1.
"""

from __future__ import annotations

import os
import re
import subprocess
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from musicstyle.music.conductor import Conducted
from musicstyle.music.midi import conductor_of
from musicstyle.music.notes import Notes
from musicstyle.music.parse import parse
from musicstyle.music.smf import TickClock, division_of
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
_LENGTH = r"\d{0,9}/*\d{0,9}"
_CHORD = re.compile(rf"\[((?:[\^_=]*[A-Ga-g][,']*{_LENGTH}-?\s*)+)\]({_LENGTH})")
_NOTE = re.compile(rf"([\^_=]*[A-Ga-g][,']*)({_LENGTH})")
_FOR_EVERY_TUNE = ("L:", "M:", "Q:")  # before the first tune, where abc2midi does not hear them
_ASIDE = re.compile(r'"[^"]*"|![^!]*!|\[[A-Za-z]:[^\]]*\]|\{[^}]*\}')  # takes no time
_FIRST_BAR = re.compile(r"[A-Ga-gxz][^|:]*([|:])")
_WRONG = re.compile(r"Error in line-char [\d-]+ : (.*(?:not a power of 2|must occur).*)")


def read_abc(text: str) -> Conducted:
    """The notes and bars of a tune, of a book the first one's.

    Raises:
        ValueError: what is wrong with it, on one line.
    """
    lines = [line if _FIELD.match(line) else _playable(line) for line in _LINE_END.split(text)]
    lines = [line for line in lines if not line.startswith("r:")]  # remarks, which abc2midi would play
    first = next((place for place, line in enumerate(lines, 1) if line.startswith("X:")), 0)
    header = [_CHORDS_AT_ONCE] if first else ["X:1", _CHORDS_AT_ONCE]
    header += [line for line in lines[: max(first - 1, 0)] if line.startswith(_FOR_EVERY_TUNE)]
    lines = lines[:first] + header + lines[first:]
    data = _as_midi(lines)
    piece = parse(data)
    pitched = [track.notes for track in piece.tracks if not track.is_drum and len(track.notes)]
    if not pitched:
        raise ValueError("holds no notes")
    start, end, pitch, _ = np.concatenate([_struck_once(notes) for notes in pitched]).T
    clock = TickClock.of(division_of(data), piece.tempos)
    # abc2midi strikes a tick late, so that a key is up before it is struck again.
    velocity = np.full(len(pitch), DEFAULT_VELOCITY)
    notes = Notes.from_arrays(clock.seconds(start - 1), clock.seconds(end), pitch, velocity)
    return Conducted(notes, conductor_of(division_of(data), piece).with_pickup(_first_bar_quarters(lines)))


def _first_bar_quarters(lines: list[str]) -> float:
    """Quarters before the first bar line, 0 where there is none: abc2midi says when a note behind it is struck."""
    key = next((place for place, line in enumerate(lines) if line.startswith("K:")), len(lines))
    for place in range(key + 1, len(lines)):
        if _FIELD.match(lines[place]):
            continue
        found = _FIRST_BAR.search(_ASIDE.sub(lambda aside: " " * len(aside[0]), lines[place]))
        if found is None:
            break
        data = _as_midi([*lines[:place], lines[place][: found.start(1)] + "|C|"])
        struck = max(track.notes[:, 0].max() for track in parse(data).tracks if len(track.notes))
        return float(struck - 1) / division_of(data)
    return 0.0


def _playable(line: str) -> str:
    """A line of music without what is not played, its chords as abc2midi understands them."""
    return _CHORD.sub(_spread_length, _NOT_TO_PLAY.sub(r"\1", line))


def _spread_length(chord: re.Match[str]) -> str:
    """A chord whose length behind multiplies those inside; abc2midi would take it in their place."""
    if not chord[2] or not any(length for _, length in _NOTE.findall(chord[1])):
        return chord[0]
    times = _length(chord[2])
    return f"[{_NOTE.sub(lambda note: f'{note[1]}{_length(note[2]) * times}', chord[1])}]"


def _length(text: str) -> Fraction:
    """Of 2, /, //, /4, 3/ or 3/2; 1 of nothing."""
    over, slash, under = text.partition("/")
    halvings = len(slash + under) - len(under.lstrip("/"))
    return Fraction(int(over or 1), int(under.lstrip("/") or 0) or 2**halvings)


def _struck_once(notes: np.ndarray) -> np.ndarray:
    """A voice without strokes of keys that it still holds: abc2midi makes one where a tie leads into an ending."""
    held_until: dict[int, int] = {}
    kept = []
    for place in np.argsort(notes[:, 0], kind="stable").tolist():
        start, end, pitch = notes[place, :3].tolist()
        if start >= held_until.get(pitch, 0):
            held_until[pitch] = end
            kept.append(place)
    return notes[kept]


def _as_midi(lines: list[str]) -> bytes:
    import symusic  # noqa: F401 - says where its abc2midi is

    with TemporaryDirectory() as folder:
        source, out = Path(folder, "tune.abc"), Path(folder, "tune.mid")
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        # Names without their folder, which abc2midi on Windows could not read in letters of another code page.
        command = [os.environ["SYMUSIC_ABC2MIDI"], source.name, "-o", out.name, *_OPTIONS]
        try:
            said = subprocess.run(command, capture_output=True, check=False, timeout=_MAX_SECONDS, cwd=folder)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise ValueError(f"cannot be read as abc (not done in {_MAX_SECONDS} s)") from None
        except OSError as error:
            raise ValueError(f"cannot be read as abc (abc2midi: {error.strerror})") from None
        wrong = _WRONG.search(said.stdout.decode("utf-8", "replace"))
        if wrong:
            raise ValueError(f"cannot be read as abc (abc2midi: {wrong[1].strip()})")
        if said.returncode or not out.is_file():
            raise ValueError("cannot be read as abc (a tune has fields X: and K: and then notes)")
        return out.read_bytes()
