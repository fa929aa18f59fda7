"""ABC tunes -> Notes, by abc2midi, which symusic brings along: repeats, voices, parts, keys, tempos as it plays them.

Left out: grace notes and ornaments, chord symbols, fermatas, percussion. Dynamics are not interpreted.

Source: the ABC standard 2.1, https://abcnotation.com/wiki/abc:standard:v2.1.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from musicstyle.music.conductor import COMMON_TIME, Conducted, Conductor, Metre
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
_AT_BAR_LINE = 105  # the velocity with which abc2midi strikes there, unless told of another
_ACCENTS = re.compile(r"%%MIDI\s+(no)?beat")
_WRONG = re.compile(r"Error in line-char [\d-]+ : (.*(?:not a power of 2|must occur).*)")


class Tune(NamedTuple):
    """One of a book.

    Attributes:
        number: Behind its X:.
        title: Its first, may be empty.
        text: What `read_abc` reads of it.
    """

    number: str
    title: str
    text: str


def tunes_of(book: str) -> list[Tune]:
    """The tunes of a book, each with what the book says before the first; a text without numbers is one tune."""
    lines = _LINE_END.split(book)
    begins = [place for place, line in enumerate(lines) if line.startswith("X:")]
    head = lines[: begins[0]] if begins else []
    tunes = []
    for begin, end in itertools.pairwise([*(begins or [0]), len(lines)]):
        own = lines[begin:end]
        title = next((line[2:].strip() for line in own if line.startswith("T:")), "")
        tunes.append(Tune(own[0][2:].strip() if begins else "1", title, "\n".join([*head, *own])))
    return tunes


def read_abc(text: str) -> Conducted:
    """The notes and bars of a tune, of a book the first one's.

    Raises:
        ValueError: what is wrong with it, on one line.
    """
    lines = [line if _FIELD.match(line) else _playable(line) for line in _LINE_END.split(text)]
    # Remarks, which abc2midi would play, and accents, by which bars are found.
    lines = [line for line in lines if not line.startswith("r:") and not _ACCENTS.match(line)]
    first = next((place for place, line in enumerate(lines, 1) if line.startswith("X:")), 0)
    header = [_CHORDS_AT_ONCE] if first else ["X:1", _CHORDS_AT_ONCE]
    header += [line for line in lines[: max(first - 1, 0)] if line.startswith(_FOR_EVERY_TUNE)]
    lines = lines[:first] + header + lines[first:]
    data = _as_midi(lines)
    piece = parse(data)
    for table in (piece.tempos, piece.metres, piece.keys):
        table[:, 0] -= table[:, 0] % 2  # told a tick late, as notes are struck: before words that are sung all of it
    pitched = [track.notes for track in piece.tracks if not track.is_drum and len(track.notes)]
    if not pitched:
        raise ValueError("holds no notes")
    start, end, pitch, loudness = np.concatenate([_struck_once(notes) for notes in pitched]).T
    division = division_of(data)
    clock = TickClock.of(division, piece.tempos)
    # abc2midi strikes a tick late, so that a key is up before it is struck again.
    velocity = np.full(len(pitch), DEFAULT_VELOCITY)
    notes = Notes.from_arrays(clock.seconds(start - 1), clock.seconds(end), pitch, velocity)
    metres = _metres(piece.metres, start[loudness == _AT_BAR_LINE] - 1, int(end.max()), division)
    conductor = conductor_of(division, piece)
    return Conducted(notes, Conductor.of(conductor.tempos, metres, conductor.keys))


def _metres(told: np.ndarray, begun: np.ndarray, end: int, division: int) -> Iterator[Metre]:
    """Bar by bar, pickups and other short bars too, over which abc2midi counts on.

    Args:
        told: Ticks, beats, unit, (m, 3); where rests end a bar, a metre behind them is told before them.
        begun: Ticks at which a note begins a bar, (n,).
        end: Tick at which the tune ends.
        division: Ticks a quarter.
    """
    metres = [(0, COMMON_TIME), *((tick, Metre(tick / division, *beats)) for tick, *beats in told.tolist())]
    known = [(tick, metre) for tick, metre in metres if metre.can_be]
    begins = set(begun.tolist())
    lines = sorted(begins)
    place = 0
    while place < end:
        _, metre = known[bisect_right(known, place, key=lambda one: one[0]) - 1]
        whole = round(metre.bar_quarters * division)
        index = bisect_right(lines, place)
        length = whole
        if index < len(lines) and (not place or place + whole not in begins):  # a bar that a repeat divides is whole
            length = (lines[index] - place) % whole or whole
        if bar := Metre.of_length(place / division, length / division, metre):
            yield bar
        place += length


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
