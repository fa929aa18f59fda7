"""The grid of a style that a sequencer or a notation program wrote: what is played in it is struck on a grid too.

People strike the notes of a chord some milliseconds apart, programs at once. The weights have heard people only, and
play a program's style as somebody would who reads it: chords spread, beats uneven. So where a style is a program's,
what is played is moved to the nearest place of a grid. The tune's notes are places of it, and the time between two of
them is divided evenly, about as finely as the style is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

import numpy as np

from musicstyle.music.notes import Notes

AT_ONCE_SECONDS = 0.002  # a program's chord may be rounded to a millisecond
AT_ONCE_SHARE = 0.2  # of a program's chords; of MAESTRO's and ASAP's performances 0.01 to 0.09 (docs/experiments.md)
FEWEST_CHORDS = 10
FINEST_PERCENT = 5  # so few waits of a style are shorter than its unit

Event = tuple[float, int, int]  # seconds, pitch, velocity; 0 lets go


def unit_of(style: Notes) -> float | None:
    """How finely a program divided time, in seconds; None if the style is a person's, or too little to tell."""
    if not len(style):
        return None
    chord = style.chords()  # in the order of onsets
    first = np.flatnonzero(np.diff(chord, prepend=-1))
    begun = style.start[first]
    spread = np.maximum.reduceat(style.start, first) - begun
    several = spread[np.bincount(chord) > 1]
    if len(several) < FEWEST_CHORDS or np.mean(several < AT_ONCE_SECONDS) < AT_ONCE_SHARE:
        return None
    return float(np.percentile(np.diff(begun), FINEST_PERCENT))


def places(tune: Notes | None, unit_seconds: float, begin_seconds: float, end_seconds: float) -> np.ndarray:
    """Where the grid lies.

    Args:
        tune: Its notes are places; None: every unit is.
        unit_seconds: Of the style, above 0. A tune's own unit is its commonest step, halved or doubled to be near it.
        begin_seconds: The first place.
        end_seconds: At least up to here.

    Returns:
        Rising, (places,).
    """
    known = np.array([begin_seconds])
    if tune is not None:
        known = np.unique(np.concatenate((known, tune.start[tune.start >= begin_seconds])))
        steps = np.diff(np.unique(tune.start.round(2)))
        if len(steps):
            values, counts = np.unique(steps.round(2), return_counts=True)
            step = float(values[counts.argmax()])
            unit_seconds = step / 2 ** round(np.log2(step / unit_seconds))
    parts = [
        np.linspace(a, b, max(1, round((b - a) / unit_seconds)), endpoint=False)
        for a, b in zip(known[:-1].tolist(), known[1:].tolist(), strict=True)
    ]
    beyond = known[-1] + unit_seconds * np.arange(int(max(end_seconds - known[-1], 0.0) / unit_seconds) + 2)
    return np.concatenate((*parts, beyond)).round(6)


class Grid:
    """Moves keys that go down and up to its places, event by event as they come.

    A key that would be let go where it is struck is held for as long as it was; one that would be struck twice at a
    place is struck once.
    """

    def __init__(self, places: np.ndarray) -> None:
        """`places`: (places,), rising; what happens before the first stays where it is."""
        self._places = places
        self._order = count()
        self._waiting: list[tuple[float, int, Event]] = []  # a heap, by place and order
        self._struck: dict[int, tuple[float, float]] = {}  # by key: the place of its last strike, and when that came
        self._released: dict[int, tuple[float, int]] = {}  # by key: place and order of its last release
        self._void: set[int] = set()  # orders of events that are not to be

    def put(self, event: Event) -> None:
        """Take on what happens next, none of it earlier than what was before."""
        seconds, pitch, velocity = event
        place = self._nearest(seconds)
        struck, came = self._struck.get(pitch, (-np.inf, 0.0))
        if not velocity:
            self._released[pitch] = self._push(place if place > struck else struck + seconds - came, pitch, 0)
            return
        if pitch in self._released and self._released[pitch][0] > place:  # it is struck before it would be let go
            self._void.add(self._released.pop(pitch)[1])
            if place > struck:
                self._push(place, pitch, 0)
        if place > struck:
            self._push(place, pitch, velocity)
            self._struck[pitch] = place, seconds

    def ready(self, seconds: float = np.inf) -> Iterator[Event]:
        """What nothing changes any more that happens at this second or later, in order."""
        until = self._nearest(seconds) if seconds < np.inf else seconds
        while self._waiting and self._waiting[0][0] < until:
            _, order, event = heapq.heappop(self._waiting)
            if order not in self._void:
                yield event

    def moved(self, notes: Notes) -> Notes:
        """All notes of a piece at once; those that begin before the first place stay as they are."""
        early = notes.start < self._places[0]
        stay, notes = notes[early], notes[~early]
        pitch, silence = notes.pitch.tolist(), [0] * len(notes)
        strikes = zip(notes.start.tolist(), pitch, notes.velocity.tolist(), strict=True)
        releases = zip(notes.end.tolist(), pitch, silence, strict=True)
        for event in sorted([*strikes, *releases], key=lambda event: (event[0], event[2] > 0)):
            self.put(event)
        down: dict[int, tuple[float, int]] = {}
        rows: list[tuple[float, float, int, int]] = []
        for seconds, pitch, velocity in self.ready():
            if velocity:
                down[pitch] = seconds, velocity
            else:
                start, loudness = down.pop(pitch)
                rows.append((start, seconds, pitch, loudness))
        return Notes.concatenate([stay, Notes.from_arrays(*zip(*rows, strict=True)) if rows else Notes.empty()])

    def _push(self, place: float, pitch: int, velocity: int) -> tuple[float, int]:
        order = next(self._order)
        heapq.heappush(self._waiting, (place, order, (place, pitch, velocity)))
        return place, order

    def _nearest(self, seconds: float) -> float:
        after = min(int(np.searchsorted(self._places, seconds)), len(self._places) - 1)
        a, b = float(self._places[max(after - 1, 0)]), float(self._places[after])
        return a if seconds - a <= b - seconds else b
