"""A score as text: a line a bar, a column a voice, tokens of equal length.

    5: E4 C5 = E4 C5 = E4 C5 | C3 C4+G3+E3 G3+G2 C4+Bb3+G3

is bar 5 with two voices; in 2/4 the eight tokens of the first are sixteenths, the four of the second eighths. "C4+G3"
is a chord, "=" holds what sounds (across the bar line too), "-" is a rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"#": 1, "b": -1}

Bar = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ScoreNote:
    """A note of the score: onset and duration in beats from the beginning, MIDI pitch, and its column (voice)."""

    onset_beats: float
    duration_beats: float
    pitch: int
    voice: int


def pitch_of(name: str) -> int:
    """Give the MIDI pitch of a name: C4 is 60, F#2 is 42, Bb3 is 58."""
    step, sign, octave = name[0], name[1:-1], name[-1]
    return 12 * (int(octave) + 1) + _STEPS[step] + (_SIGNS[sign] if sign else 0)


def read_bars(text: str) -> dict[str, Bar]:
    """Read the bars of a text by their labels; lines without a label are comments."""
    bars: dict[str, Bar] = {}
    for line in text.splitlines():
        label, found, voices = line.partition(":")
        if not found:
            continue
        if label.strip() in bars:
            raise ValueError(f"bar {label.strip()} stands twice")
        bars[label.strip()] = tuple(tuple(voice.split()) for voice in voices.split("|"))
    return bars


def unfold(bars: Mapping[str, Bar], order: Iterable[str], beats_per_bar: int) -> list[ScoreNote]:
    """Play the bars in the given order, repeats written out.

    Returns:
        The notes, sorted by onset, then pitch.
    """
    played = [bars[label] for label in order]
    if len({len(bar) for bar in played}) != 1:
        raise ValueError("bars differ in their number of voices")
    notes = [note for voice in range(len(played[0])) for note in _voice_notes(played, voice, beats_per_bar)]
    return sorted(notes, key=lambda note: (note.onset_beats, note.pitch))


def _voice_notes(bars: Sequence[Bar], voice: int, beats_per_bar: int) -> list[ScoreNote]:
    """Follow one voice through the bars; a hold lengthens the token before it."""
    sounding: list[tuple[float, float, str]] = []
    for number, bar in enumerate(bars):
        length = beats_per_bar / len(bar[voice])
        for place, token in enumerate(bar[voice]):
            if token == "=":  # noqa: S105 - a token of the notation
                onset, duration, chord = sounding.pop()
                sounding.append((onset, duration + length, chord))
            else:
                sounding.append((number * beats_per_bar + place * length, length, token))
    return [
        ScoreNote(onset, duration, pitch_of(name), voice)
        for onset, duration, chord in sounding
        if chord != "-"
        for name in chord.split("+")
    ]
