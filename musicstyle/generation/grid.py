"""The grid of a style that a sequencer or a notation program wrote: what is played in it is struck on a grid too.

People strike the notes of a chord some milliseconds apart, programs at once. The weights have heard people only, and
play a program's style as somebody would who reads it: chords spread, beats uneven. So where a style is a program's,
what is played is moved to the nearest place of a grid. The tune's notes are places of it, and the time between two of
them is divided evenly, about as finely as the style is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from itertools import count

import numpy as np

from musicstyle.generation.timing import REACH_SECONDS, by_pitch
from musicstyle.music.matching import SLACK_SECONDS
from musicstyle.music.notes import Notes
from musicstyle.music.vocabulary import KEYS

AT_ONCE_SECONDS = 0.002  # a program's chord may be rounded to a millisecond
AT_ONCE_SHARE = 0.2  # of a program's chords; of MAESTRO's and ASAP's performances 0.01 to 0.09 (docs/experiments.md)
ROUNDED_SECONDS = 0.0125  # a person's chord whose times were rounded to 10 ms is as often one step apart as none
FEWEST_CHORDS = 10
FINEST_PERCENT = 5  # so few waits of a style are shorter than its unit
COARSEST_SECONDS = 0.25  # of what is played in more, too much would gather at a place

Event = tuple[float, int, int]  # seconds, pitch, velocity; 0 lets go


def unit_of(style: Notes) -> float | None:
    """How finely a program divided time, in seconds; None if the style is a person's, or too little to tell.

    Halved until it is COARSEST_SECONDS or less.
    """
    if not len(style):
        return None
    first = np.flatnonzero(np.diff(style.chords(), prepend=-1))
    last = np.append(first[1:], len(style)) - 1
    begun = style.start[first]
    several = (style.start[last] - begun)[last > first]
    at_once, nearly = (int((several < seconds).sum()) for seconds in (AT_ONCE_SECONDS, ROUNDED_SECONDS))
    if len(several) < FEWEST_CHORDS or at_once < AT_ONCE_SHARE * len(several) or at_once <= nearly - at_once:
        return None
    unit_seconds = float(np.percentile(np.diff(begun), FINEST_PERCENT))
    return unit_seconds / 2 ** max(0, int(np.ceil(np.log2(unit_seconds / COARSEST_SECONDS))))


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

    A strike that plays a note of the tune goes to that note's place, any other to the nearest, or is left out if that
    is full. A key that would be let go where it is struck is held for as long as it was; one that would be struck twice
    at a place is struck once.
    """

    def __init__(
        self, places: np.ndarray, end_seconds: float = np.inf, most_struck: int = KEYS, tune: Notes | None = None
    ) -> None:
        """Lay it.

        Args:
            places: (places,), rising.
            end_seconds: What happens before it stays before it.
            most_struck: Keys at a place; more are left out, but for the tune's.
            tune: Its notes are places.
        """
        self._places, self._end, self._most = places, end_seconds, most_struck
        self._asked = {} if tune is None else by_pitch(tune.start.round(6), tune.pitch)  # places of notes that wait
        self._count: Counter[float] = Counter()  # keys struck, by place
        self._left_out: set[int] = set()  # keys whose strike found a full place
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
            if pitch in self._left_out:
                self._left_out.remove(pitch)
                return
            self._released[pitch] = self._push(place if place > struck else struck + seconds - came, pitch, 0)
            return
        if (asked := self._asked_by(seconds, pitch, place)) is not None:
            place = asked
        elif place > struck and self._count[place] >= self._most:
            self._left_out.add(pitch)
            return
        if pitch in self._released and self._released[pitch][0] > place:  # it is struck before it would be let go
            self._void.add(self._released.pop(pitch)[1])
            if place > struck:
                self._push(place, pitch, 0)
        if place > struck:
            self._push(place, pitch, velocity)
            self._struck[pitch] = place, seconds
            self._count[place] += 1

    def ready(self, seconds: float = np.inf) -> Iterator[Event]:
        """The events that are settled, in order: those that nothing put at this second or later can change."""
        until = self._nearest(seconds) if seconds < np.inf else seconds
        while self._waiting and self._waiting[0][0] < until:
            _, order, event = heapq.heappop(self._waiting)
            if order not in self._void:
                yield event

    def moved(self, notes: Notes) -> Notes:
        """All notes of a piece at once, no key struck while it is down; what begins before the first place stays."""
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

    def _asked_by(self, seconds: float, pitch: int, place: float) -> float | None:
        """Where the note of the tune is that a strike plays; None if it plays none, or one behind its place."""
        waiting = self._asked.get(pitch)
        while waiting and waiting[0] < place:
            waiting.popleft()
        return waiting.popleft() if waiting and waiting[0] <= seconds + REACH_SECONDS + SLACK_SECONDS else None

    def _push(self, place: float, pitch: int, velocity: int) -> tuple[float, int]:
        order = next(self._order)
        heapq.heappush(self._waiting, (place, order, (place, pitch, velocity)))
        return place, order

    def _nearest(self, seconds: float) -> float:
        after = min(int(np.searchsorted(self._places, seconds)), len(self._places) - 1)
        a, b = float(self._places[max(after - 1, 0)]), float(self._places[after])
        return a if seconds - a <= b - seconds or seconds < self._end <= b else b
