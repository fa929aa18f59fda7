"""Tunes in plain text: `tempo=100 C4 C4 G4 G4 A4 A4 G4:2`.

A tune is a row of words. A note is a letter, accidentals (# or b, up to two) and an octave, C4 the middle C; R is a
rest. `:beats` says how long, as 2, 0.5, 3/4 or 1/3; without it a word lasts one beat. `tempo=100` sets beats a minute
from there on. Bar lines (|) are for the eye, and from a word that begins with # on, the rest of a line is a remark.
"""

from __future__ import annotations

import re
import textwrap
from fractions import Fraction

import numpy as np

from musicstyle.music.conductor import Conducted, Conductor, Tempo
from musicstyle.music.notes import Notes
from musicstyle.music.vocabulary import DEFAULT_VELOCITY, MAX_PITCH, MIN_PITCH

DEFAULT_TEMPO = Fraction(120)
MAX_BEATS = 100_000  # of one word: a day of them, a second each, and some more
_WORD = re.compile(r"(?P<letter>[A-Ga-g])(?P<accidentals>#{0,2}|b{0,2})(?P<octave>-?\d{1,2})(?::(?P<beats>.*))?")
_REST = re.compile(r"[Rr](?::(?P<beats>.*))?")
_TEMPO = re.compile(r"(?i:tempo)=(?P<tempo>.*)")
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?(/\d{1,9})?|\.\d{1,9}")
_GRID = 24  # parts of a quarter: thirty-seconds, and triplets down to sixteenths
_SAME_SECONDS = 0.001
_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def parse_tune(text: str) -> Conducted:
    """The notes of a tune, each lasting until the next word, velocity 100; a beat is a quarter.

    Raises:
        ValueError: a word that is none of the above, named with its line; a tune without notes.
    """
    tempo, clock, place = DEFAULT_TEMPO, Fraction(0), Fraction(0)  # beats a minute; seconds and beats, exact
    tempos = [Tempo(0.0, float(60 / tempo))]
    rows: list[tuple[float, float, int, int]] = []
    for line, word in _words(text):
        try:
            if found := _TEMPO.fullmatch(word):
                tempo = _tempo(found["tempo"])
                tempos.append(Tempo(float(place), float(60 / tempo)))
                continue
            pitch, beats = _pitch_and_beats(word)
        except ValueError as error:
            raise ValueError(f"line {line}: {word!r} {error}") from None
        begin, clock, place = clock, clock + beats * 60 / tempo, place + beats
        if pitch is not None:
            rows.append((float(begin), float(clock), pitch, DEFAULT_VELOCITY))
    if not rows:
        raise ValueError("holds no notes")
    return Conducted(Notes.from_arrays(*zip(*rows, strict=True)), Conductor.of(tempos))


def format_tune(melody: Notes, conductor: Conductor | None = None) -> str:
    """One voice as such a tune, times to the millisecond; what `parse_tune` reads.

    In quarters where a conductor of one tempo is given and every time is a 24th part of them, else a beat a second.
    Notes that overlap the next are cut at it; velocities are not told.
    """
    tempo, parts = _written_tempo(melody, conductor) or (60, 1000)
    start = _places(melody.start, tempo, parts)
    end = np.maximum(_places(melody.end, tempo, parts), start + 1)
    end = np.minimum(end, np.append(start[1:], end[-1:]))
    words, clock = [f"tempo={tempo:.9g}"], 0
    for begin, until, pitch in zip(start.tolist(), end.tolist(), melody.pitch.tolist(), strict=True):
        if until > begin:
            words += [f"R:{_as_beats(begin - clock, parts)}"] if begin > clock else []
            words.append(f"{_NAMES[pitch % 12]}{pitch // 12 - 1}:{_as_beats(until - begin, parts)}")
            clock = until
    return textwrap.fill(" ".join(words), 100)


def _written_tempo(melody: Notes, conductor: Conductor | None) -> tuple[float, int] | None:
    """Quarters a minute and parts of a quarter that tell every time to the millisecond; None if there are none."""
    if conductor is None or len(conductor.tempos) > 1:
        return None
    exact, times = 60 / conductor.tempos[0].seconds, np.stack([melody.start, melody.end])
    for tempo in (round(exact), round(exact, 3)):  # files round a quarter to the microsecond
        if 1 <= tempo <= 1000:
            places = _places(times, tempo, _GRID)
            off = np.abs(places * 60 / (tempo * _GRID) - times).max(initial=0.0)
            if off <= _SAME_SECONDS and (places[1] > places[0]).all():
                return tempo, _GRID
    return None


def _places(seconds: np.ndarray, tempo: float, parts: int) -> np.ndarray:
    return np.floor(seconds * (tempo / 60 * parts) + 0.5).astype(np.int64)


def _as_beats(count: int, parts: int) -> str:
    """So many parts of a beat as 2, 0.75, 0.001 or 1/3."""
    beats = Fraction(count, parts)
    return str(beats) if beats.denominator % 3 == 0 else f"{float(beats):.9g}"


def looks_like_tune(text: str) -> bool:
    """Whether this is a tune itself rather than the name of a file.

    The first word has a tune's form, and there are more of them or it says how long it lasts.
    """
    words = [word for _, word in _words(text)]
    if not words or not any(form.fullmatch(words[0]) for form in (_WORD, _REST, _TEMPO)):
        return False
    return len(words) > 1 or ":" in words[0]


def _words(text: str) -> list[tuple[int, str]]:
    """(line, word) of a tune, from line 1, without bar lines and remarks."""
    words = []
    for number, line in enumerate(text.replace("\\", "/").splitlines(), 1):  # what Windows' paths make of 3/4
        for word in line.split():
            if word.startswith("#"):
                break
            words += [(number, part) for part in word.split("|") if part]
    return words


def _pitch_and_beats(word: str) -> tuple[int | None, Fraction]:
    """MIDI pitch, None for a rest, and length."""
    if rest := _REST.fullmatch(word):
        return None, _beats(rest["beats"])
    note = _WORD.fullmatch(word)
    if note is None:
        raise ValueError("is no note, rest or tempo; write notes as C4, F#4:2 or Bb3:1/2, rests as R:2, tempo=100")
    accidentals = note["accidentals"]
    pitch = 12 * (int(note["octave"]) + 1) + _SEMITONES[note["letter"].upper()]
    pitch += accidentals.count("#") - accidentals.count("b")
    if not MIN_PITCH <= pitch <= MAX_PITCH:
        raise ValueError("is no key of the piano, whose are A0 to C8")
    return pitch, _beats(note["beats"])


def _beats(text: str | None) -> Fraction:
    beats = Fraction(1) if text is None else _positive(text)
    if beats is None or beats > MAX_BEATS:
        raise ValueError(f"needs its beats behind the colon as 2, 0.5 or 3/4, above 0 and at most {MAX_BEATS}")
    return beats


def _tempo(text: str) -> Fraction:
    tempo = _positive(text)
    if tempo is None or not 1 <= tempo <= 1000:
        raise ValueError("needs a tempo of 1 to 1000 beats a minute")
    return tempo


def _positive(text: str) -> Fraction | None:
    """A number above 0 as 2, 0.5, .5, 3/4 or 1.5/2; None if it is something else."""
    if not _NUMBER.fullmatch(text):
        return None
    top, _, bottom = text.partition("/")
    if bottom and not int(bottom):
        return None
    return Fraction(top) / int(bottom or 1) or None
