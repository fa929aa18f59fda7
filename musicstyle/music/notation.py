"""A music21 Score -> Notes.

It is played as written: repeats are played out, tied notes are one, tempo marks count (120 quarters a minute where
there is none), transposing instruments sound where they sound. Left out: grace notes (they take no time of their own),
chord symbols, unpitched percussion. Dynamics are not interpreted: velocity is 100 unless a note has a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from musicstyle.music.conductor import Conducted, Conductor, Key, Metre, Tempo
from musicstyle.music.notes import Notes
from musicstyle.music.repeats import Bar, playing_order
from musicstyle.music.vocabulary import DEFAULT_VELOCITY

_DEFAULT_QUARTERS_PER_MINUTE = 120.0
_MAX_NOTES = 300_000  # of an instrument
_SAME_PLACE = 1e-3  # quarters; triplets are rounded


class _Note(NamedTuple):
    start: float  # quarters
    end: float
    pitch: int
    velocity: int
    tie: str = ""  # to the note before or behind it, as music21 names it: start, continue, stop


def as_played(score: Any, bar_quarters: Sequence[float] = ()) -> Conducted:
    """The notes and bars of a music21 Score, repeats played out; no notes where it holds none.

    Args:
        score: What music21 has parsed; transposing instruments are written as they sound afterwards.
        bar_quarters: How long each bar lasts in every part; without, where music21 has put them.

    Raises:
        ValueError: its repeats go on and on.
    """
    parts = list(score.parts) or [score]
    for part in parts:
        part.toSoundingPitch(inPlace=True)  # before bars are repeated: what transposes counts from there on
    rows = [list(part.getElementsByClass("Measure")) or [part] for part in parts]
    bounds = _bounds(rows, bar_quarters)
    order = playing_order(_bars(parts, rows))
    lengths = np.diff(bounds)[order]  # of the bars as played
    begins = np.append(0.0, np.cumsum(lengths))[:-1]
    tempos = _tempos(_written_tempos(parts, rows, bounds), bounds, order, begins)
    conductor = Conductor.of(tempos, _metres(rows, order, begins, lengths), _keys(rows, order, begins))
    notes = [note for staves in _instruments(parts, rows) for note in _played(staves, order, begins)]
    if not notes:
        return Conducted(Notes.empty(), conductor)
    start, end, pitch, velocity, _ = zip(*notes, strict=True)
    return Conducted(Notes.from_arrays(conductor.seconds(start), conductor.seconds(end), pitch, velocity), conductor)


def _instruments(parts: list[Any], rows: list[list[Any]]) -> list[list[list[Any]]]:
    """The bars of every staff of each instrument."""
    instruments: dict[str | int, list[list[Any]]] = {}
    for place, (part, row) in enumerate(zip(parts, rows, strict=True)):
        name, staff, _ = str(part.id).rpartition("-Staff")  # so music21 names the staves of one part
        instruments.setdefault(name if staff else place, []).append(row)
    return list(instruments.values())


def _bounds(rows: list[list[Any]], bar_quarters: Sequence[float]) -> np.ndarray:
    """Where the written bars begin, and where the last ends, (bars + 1,) quarters."""
    longest = max(rows, key=len)
    if len(longest) <= len(bar_quarters):
        return np.append(0.0, np.cumsum(bar_quarters))
    end = max(float(row[-1].offset + row[-1].highestTime) for row in rows)
    return np.array([*(float(bar.offset) for bar in longest), end])


def _bars(parts: list[Any], rows: list[list[Any]]) -> list[Bar]:
    """Every repeat sign, ending and jump in any part: many scores have them in one only."""
    bars = [Bar() for _ in range(max(map(len, rows)))]
    for row in rows:
        for bar, measure in zip(bars, row, strict=False):
            _read_signs(bar, measure)
    for part, row in zip(parts, rows, strict=True):
        places = {id(measure): place for place, measure in enumerate(row)}
        for bracket in part.recurse().getElementsByClass("RepeatBracket"):
            spanned = [places[id(one)] for one in bracket.getSpannedElements() if id(one) in places]
            for place in spanned:  # of endings without numbers, the first is the one that leads back
                numbers = bracket.numberRange if bracket.number else [1 if bars[max(spanned)].ends else 2]
                bars[place].passes = frozenset(numbers)
    return bars


def _read_signs(bar: Bar, measure: Any) -> None:
    for line in (getattr(measure, "leftBarline", None), getattr(measure, "rightBarline", None)):
        direction = getattr(line, "direction", None)
        bar.begins |= direction == "start"
        if line is not None and direction == "end":
            bar.ends = max(bar.ends, line.times or 2)
    for sign in measure.getElementsByClass("RepeatExpression"):
        name = type(sign).__name__
        if name in ("Coda", "Segno", "Fine"):
            bar.signs.add(name)
        else:
            bar.jump = name


def _played(staves: list[list[Any]], order: list[int], begins: np.ndarray) -> list[_Note]:
    """The notes of an instrument in the order of its bars; tied notes are one, from staff to staff too."""
    written = [
        sorted(note for row in staves for measure in row[place : place + 1] for note in _written(measure))
        for place in range(max(map(len, staves)))
    ]
    if sum(len(written[place]) for place in order if place < len(written)) > _MAX_NOTES:
        raise ValueError(f"its repeats make more than {_MAX_NOTES} notes")
    played: list[_Note] = []
    tied: dict[int, list[int]] = {}  # the notes that each pitch's ties begun continue
    for place, begin in zip(order, begins.tolist(), strict=True):
        for note in written[place] if place < len(written) else []:
            _strike(played, tied, note._replace(start=begin + note.start, end=begin + note.end))
    return played


def _written(measure: Any) -> Iterator[_Note]:
    """What sounds in a bar, in quarters from its beginning."""
    from music21 import harmony

    for element in measure.flatten().notes:
        if isinstance(element, harmony.Harmony) or not element.quarterLength > 0:  # grace notes last 0
            continue
        start = float(element.offset)
        end = start + float(element.quarterLength)
        for note in element.notes if element.isChord else [element]:
            if note.isNote:  # not unpitched
                tie = note.tie.type if note.tie else ""
                yield _Note(start, end, int(note.pitch.midi), _velocity(note, element), tie)


def _strike(played: list[_Note], tied: dict[int, list[int]], note: _Note) -> None:
    """Append a note, or let it lengthen the one it is tied to."""
    waiting = tied.setdefault(note.pitch, [])
    place = next((one for one in waiting if abs(played[one].end - note.start) < _SAME_PLACE), None)
    if place is not None and note.tie in ("continue", "stop"):
        waiting.remove(place)
        played[place] = played[place]._replace(end=note.end)
    else:
        place = len(played)
        played.append(note)
    if note.tie in ("start", "continue"):
        waiting.append(place)


def _velocity(note: Any, chord: Any) -> int:
    return int(min(max(note.volume.velocity or chord.volume.velocity or DEFAULT_VELOCITY, 1), 127))


def _tempos(written: dict[float, float], bounds: np.ndarray, order: list[int], begins: np.ndarray) -> Iterator[Tempo]:
    """As played: a bar played again has the tempo that it has where it is written."""
    marks = sorted(written)
    # Of each bar, the first mark behind its beginning, and the first from its end on.
    inside = np.searchsorted(marks, bounds[:-1], side="right").tolist()
    behind = np.searchsorted(marks, bounds[1:], side="left").tolist()
    for place, begin in zip(order, begins.tolist(), strict=True):
        yield Tempo(begin, 60 / written[marks[inside[place] - 1]])
        for mark in marks[inside[place] : behind[place]]:
            yield Tempo(begin + mark - float(bounds[place]), 60 / written[mark])


def _metres(rows: list[list[Any]], order: list[int], begins: np.ndarray, lengths: np.ndarray) -> Iterator[Metre]:
    """Of every bar as played that has one: the metre it is in, or, of a pickup and its like, one of its length."""
    signatures = _in_force(rows, "TimeSignature")
    for place, begin, length in zip(order, begins.tolist(), lengths.tolist(), strict=True):
        sign = signatures[place]
        like = None if sign is None else Metre(begin, int(sign.numerator), int(sign.denominator))
        if metre := Metre.of_length(begin, length, like):
            yield metre


def _keys(rows: list[list[Any]], order: list[int], begins: np.ndarray) -> Iterator[Key]:
    """Of every bar as played that has one."""
    signatures = _in_force(rows, "KeySignature")
    for place, begin in zip(order, begins.tolist(), strict=True):
        if (sign := signatures[place]) is not None:
            yield Key(begin, int(sign.sharps), getattr(sign, "mode", None) == "minor")


def _in_force(rows: list[list[Any]], kind: str) -> list[Any]:
    """Of each bar as written the last sign of a kind, in any part, at the beginning of it or of a bar before."""
    signs: list[Any] = [None] * max(map(len, rows))
    for row in reversed(rows):  # the upper parts have the last word
        for place, bar in enumerate(row):
            signs[place] = next((sign for sign in bar.getElementsByClass(kind) if not sign.offset), signs[place])
    for place in range(1, len(signs)):
        signs[place] = signs[place - 1] if signs[place] is None else signs[place]
    return signs


def _written_tempos(parts: list[Any], rows: list[list[Any]], bounds: np.ndarray) -> dict[float, float]:
    """Place as written -> quarters a minute, of marks in any part."""
    tempos = {0.0: _DEFAULT_QUARTERS_PER_MINUTE}
    for part, row in zip(parts, rows, strict=True):
        # music21 leaves those that precede a bar without a number outside it.
        within = [(0.0, part), *((begin, bar.flatten()) for begin, bar in zip(bounds.tolist(), row, strict=False))]
        for begin, stream in within:
            for mark in stream.getElementsByClass("MetronomeMark"):
                tempo = mark.getQuarterBPM()
                if tempo and tempo > 0:
                    tempos[begin + float(mark.offset)] = float(tempo)
    return tempos
