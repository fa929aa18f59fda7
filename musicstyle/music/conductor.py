"""Tempo, metre and key of a piece: what the conductor track of a MIDI file says, in quarters from where it begins.

What is played to a tune is written on the tune's own bars, so that a sequencer or a notation program finds them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from musicstyle.music.notes import Notes

_SHORTEST_PICKUP = 1 / 8  # quarters: a thirty-second
_LONGEST_BAR = 31.0  # quarters
_SAME_PLACE = 1e-3  # quarters; triplets are rounded in files
_FIFTHS = "FCGDAEB"
_ON_TIME_SECONDS = 0.003
_KEPT = 0.1  # of a piece's notes


class Tempo(NamedTuple):
    """A quarter lasts `seconds` from `quarters` on."""

    quarters: float
    seconds: float


class Metre(NamedTuple):
    """A bar begins at `quarters`; it and those behind it have `beats` of a `unit`-th of a whole note."""

    quarters: float
    beats: int
    unit: int

    @property
    def bar_quarters(self) -> float:
        """Length of a bar."""
        return self.beats * 4 / self.unit

    @classmethod
    def of_length(cls, quarters: float, length: float, like: Metre | None = None) -> Metre | None:
        """The metre of a bar of `length` quarters: `like` if its bars are so long, else a new one; None if none is."""
        if like is not None and abs(like.bar_quarters - length) < _SAME_PLACE:
            return like._replace(quarters=quarters)
        unit = next((unit for unit in (4, 8, 16, 32) if abs(length * unit / 4 % 1 - 0.5) > 0.5 - _SAME_PLACE), 0)
        metre = cls(quarters, round(length * unit / 4), unit)
        return metre if metre.can_be else None

    @property
    def can_be(self) -> bool:
        """Whether it can be written, and a bar of it played."""
        return self.beats > 0 and self.unit in (1, 2, 4, 8, 16, 32) and self.bar_quarters <= _LONGEST_BAR


class Key(NamedTuple):
    """So many sharps, or flats below 0, from `quarters` on."""

    quarters: float
    sharps: int
    is_minor: bool

    @property
    def name(self) -> str:
        """As F#m or Bb."""
        accidental, letter = divmod(self.sharps + 1 + 3 * self.is_minor, len(_FIFTHS))
        return _FIFTHS[letter] + {-1: "b", 0: "", 1: "#"}[accidental] + "m" * self.is_minor

    @classmethod
    def named(cls, quarters: float, name: str) -> Key:
        """From a name as F#m or Bb."""
        is_minor = name.endswith("m")
        accidental = name.count("#") - name[1:].count("b")
        return cls(quarters, _FIFTHS.index(name[0]) + len(_FIFTHS) * accidental - 1 - 3 * is_minor, is_minor)


class Bars(NamedTuple):
    """The bars of a piece.

    Attributes:
        seconds: Where each begins, (bars,).
        first: Number of the first: 1, or 0 of a pickup, at most half a bar.
    """

    seconds: np.ndarray
    first: int


Mark = TypeVar("Mark", Tempo, Metre, Key)
COMMON_TIME = Metre(0.0, 4, 4)  # where a file names none


@dataclass(frozen=True)
class Conductor:
    """Tempos, metres and keys, each in order of place. Make one with `of`, which sorts and sifts.

    Attributes:
        tempos: The first from 0 on.
        metres: Before the first, and where there is none, four quarters a bar.
        keys: May be none.
    """

    tempos: tuple[Tempo, ...] = (Tempo(0.0, 0.5),)
    metres: tuple[Metre, ...] = ()
    keys: tuple[Key, ...] = ()

    @classmethod
    def of(cls, tempos: Iterable[Tempo], metres: Iterable[Metre] = (), keys: Iterable[Key] = ()) -> Conductor:
        """Sort the marks; of several at one place keep the last, and drop what is impossible or repeats what holds.

        Before the first tempo it is 120 quarters a minute.
        """
        could_be = (tempo for tempo in tempos if 0 < tempo.seconds < np.inf)
        sifted: list[Metre] = []
        for metre in _in_order(one for one in metres if one.can_be):
            before = sifted[-1] if sifted else COMMON_TIME
            bars = (metre.quarters - before.quarters) / before.bar_quarters
            if not sifted or metre[1:] != before[1:] or abs(bars - round(bars)) > _SAME_PLACE:
                sifted.append(metre)
        known = _in_order(key for key in keys if -7 <= key.sharps <= 7)
        return cls(tuple(_news(_in_order([*cls.tempos, *could_be]))), tuple(sifted), tuple(_news(known)))

    @classmethod
    def of_ticks(cls, division: int, tempos: np.ndarray, metres: np.ndarray, keys: np.ndarray) -> Conductor:
        """From the columns of a MIDI file.

        Args:
            division: Ticks a quarter.
            tempos: Ticks, microseconds a quarter, (t, 2).
            metres: Ticks, beats, unit, (m, 3).
            keys: Ticks, sharps, whether minor, (k, 3).
        """
        return cls.of(
            (Tempo(tick / division, microseconds / 1e6) for tick, microseconds in tempos.tolist()),
            (Metre(tick / division, beats, unit) for tick, beats, unit in metres.tolist()),
            (Key(tick / division, sharps, bool(minor)) for tick, sharps, minor in keys.tolist()),
        )

    def seconds(self, quarters: Any) -> np.ndarray:
        """Times of places, (n,) quarters -> (n,) seconds."""
        places = np.asarray(quarters, dtype=np.float64)
        index = np.searchsorted(self._places, places, side="right") - 1
        return self._begins[index] + (places - self._places[index]) * self._rates[index]

    def quarters(self, seconds: Any) -> np.ndarray:
        """Places of times, (n,) seconds -> (n,) quarters."""
        times = np.asarray(seconds, dtype=np.float64)
        index = np.searchsorted(self._begins, times, side="right") - 1
        return self._places[index] + (times - self._begins[index]) / self._rates[index]

    def bar_lines(self, until_seconds: float) -> np.ndarray:
        """Where bars begin, from 0 up to a time, (n,) seconds."""
        end = float(self.quarters(until_seconds))
        bounds = [*(min(metre.quarters, end) for metre in self._metres), end]
        lines = [
            np.arange(begin, behind - _SAME_PLACE, metre.bar_quarters)
            for metre, begin, behind in zip(self._metres, bounds, bounds[1:], strict=False)
        ]
        return self.seconds(np.concatenate(lines))

    def bars_of(self, notes: Notes) -> Bars:
        """The bars of a piece that keeps to them; none of one that does not, as somebody who played freely.

        It does if of its notes a tenth more than by chance begin within 3 ms of a sixteenth of a bar, or of a few notes
        more than by luck (three deviations). Of a hundred performances
        of MAESTRO and ASAP at most 6 % do at all, of what is played to a tune 19 % and more, of scores nearly all.
        """
        lines = np.zeros(0)
        if len(notes):
            places, metres = self.quarters(notes.start), np.array([metre.quarters for metre in self._metres])
            metre = metres[np.searchsorted(metres, places + _SAME_PLACE, "right") - 1]
            sixteenth = metre + np.floor(4 * (places - metre)) / 4
            before, behind = self.seconds(sixteenth), self.seconds(sixteenth + 1 / 4)
            on_time = np.minimum(notes.start - before, behind - notes.start) <= _ON_TIME_SECONDS
            chance = np.minimum(2 * _ON_TIME_SECONDS / (behind - before), 1).mean()
            by_luck = 3 * np.sqrt(chance * (1 - chance) / len(notes))
            if on_time.mean() >= chance + max(_KEPT, by_luck):
                lines = self.bar_lines(notes.duration_seconds)
        return Bars(lines, 0 if self._has_pickup else 1)

    def begun_at(self, seconds: float) -> Conductor:
        """From a time on, which becomes its beginning; its bars, beats and tempos stay at their times.

        What is left of the bar there is written as a pickup. Where that is no number of thirty-seconds (somebody played
        it so), the pickup is the nearest, at a tempo that brings the next bar in time.
        """
        now = float(self.quarters(seconds))
        line = self._bar_line(now)
        if _SAME_PLACE < line - now <= _SHORTEST_PICKUP / 2:  # begun a little too early
            line = self._bar_line(line + _SHORTEST_PICKUP)
        left = line - now
        written = round(left / _SHORTEST_PICKUP) * _SHORTEST_PICKUP
        metres, keys = _from(self._metres, line, written), [*_held(self.keys, now), *_from(self.keys, line, written)]
        if written and (pickup := Metre.of_length(0.0, written, _from(self._metres, line - written)[0])):
            metres = [pickup, *metres]
        if abs(left - written) < _SAME_PLACE:
            return Conductor.of(_from(self.tempos, now), metres, keys)
        even = Tempo(0.0, float(self.seconds(line) - seconds) / written)
        return Conductor.of([even, *_from(self.tempos, line, written)], metres, keys)

    def after(self, seconds: float) -> Conductor:
        """Begun `seconds` later; before it come whole bars at one tempo, near to that of the beginning."""
        if seconds <= 0:
            return self
        *_, whole = (metre for metre in self._metres if metre.quarters < metre.bar_quarters)  # behind a pickup, if any
        bars = max(1, round(seconds / self.tempos[0].seconds / whole.bar_quarters))
        begin = bars * whole.bar_quarters
        even, first = Tempo(0.0, seconds / begin), whole._replace(quarters=0.0)
        return Conductor.of(
            [even, *_from(self.tempos, 0.0, begin)],
            [first, *_from(self._metres, 0.0, begin)],
            [*_held(self.keys, 0.0), *_from(self.keys, 0.0, begin)],
        )

    def faster(self, tempo: float) -> Conductor:
        """At so many times the tempo."""
        return replace(self, tempos=tuple(one._replace(seconds=one.seconds / tempo) for one in self.tempos))

    def transposed(self, semitones: int) -> Conductor:
        """Its keys so much higher, none of them with more than six sharps or flats."""
        if semitones % 12 == 0:
            return self
        moved = tuple(key._replace(sharps=(key.sharps + 7 * semitones + 5) % 12 - 5) for key in self.keys)
        return replace(self, keys=moved)

    @property
    def _metres(self) -> Sequence[Metre]:
        """From 0 on."""
        return self.metres if self.metres and not self.metres[0].quarters else (COMMON_TIME, *self.metres)

    @property
    def _has_pickup(self) -> bool:
        """Whether it begins with half a bar or less; with more, the bar's beginning is a rest."""
        first, *others = self._metres
        if not others or abs(others[0].quarters - first.bar_quarters) > _SAME_PLACE:
            return False
        return first.bar_quarters <= others[0].bar_quarters / 2

    def _bar_line(self, quarters: float) -> float:
        """The first bar line at or behind a place."""
        place = bisect_right(self._metres, quarters + _SAME_PLACE, key=lambda metre: metre.quarters)
        metre, following = self._metres[place - 1], [one.quarters for one in self._metres[place:]]
        bars = math.ceil((quarters - metre.quarters - _SAME_PLACE) / metre.bar_quarters)
        return min([metre.quarters + bars * metre.bar_quarters, *following])

    @cached_property
    def _places(self) -> np.ndarray:
        return np.array([tempo.quarters for tempo in self.tempos])

    @cached_property
    def _rates(self) -> np.ndarray:
        return np.array([tempo.seconds for tempo in self.tempos])

    @cached_property
    def _begins(self) -> np.ndarray:
        return np.append(0.0, np.cumsum(np.diff(self._places) * self._rates[:-1]))


UNSAID = Conductor()  # 120 quarters a minute, and no word of bars and keys


class Conducted(NamedTuple):
    """Notes, and the bars they were written in.

    Attributes:
        notes: In seconds.
        conductor: On the same clock.
    """

    notes: Notes
    conductor: Conductor


def _in_order(marks: Iterable[Mark]) -> list[Mark]:
    """By place; of several in one the last."""
    latest = {mark.quarters: mark for mark in marks}
    return [latest[place] for place in sorted(latest)]


def _news(marks: Sequence[Mark]) -> list[Mark]:
    """Without those that say what the one before says."""
    return [mark for place, mark in enumerate(marks) if not place or mark[1:] != marks[place - 1][1:]]


def _from(marks: Sequence[Mark], place: float, at: float = 0.0) -> list[Mark]:
    """The mark that holds at `place` and all later ones, moved so that `place` comes to lie at `at`."""
    first = max(bisect_right(marks, place + _SAME_PLACE, key=lambda mark: mark.quarters) - 1, 0)
    return [mark._replace(quarters=at + max(mark.quarters - place, 0.0)) for mark in marks[first:]]


def _held(marks: Sequence[Mark], place: float) -> list[Mark]:
    """What holds at a place, if anything does, as the beginning."""
    return [mark._replace(quarters=0.0) for mark in marks if mark.quarters <= place + _SAME_PLACE][-1:]
