"""Where the tune comes again, so does what was played to it.

A small model takes a tune that returns for a new one. In real playing six of ten notes of what goes with a melody come
again where it does; of its pieces one in eight did, hardly more than elsewhere (docs/experiments.md). So where the tune
returns, the id that would come next if all went on as it did then is made likelier.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from musicstyle.music.notes import Notes
from musicstyle.music.returns import returns
from musicstyle.music.vocabulary import (
    KEYS,
    MAX_SHIFT_STEPS,
    MIN_PITCH,
    NOTE_OFF,
    NOTE_ON,
    PERFORMANCE,
    TIME_SHIFT,
    VELOCITY,
)

NATS = 5.0  # that the next id is likelier: about as much comes again as in real playing (docs/experiments.md)
EARLY_STEPS = 9  # a note of the tune may be struck so long before its time
LATE_STEPS = 10  # what was struck then and now is not is given up so long after its time
NEAR_STEPS = 15  # what is struck so near to the time of a note of its key plays that note again


class Returns(NamedTuple):
    """Of each note of a tune, what it returns to, and what that is worth.

    Attributes:
        steps: Its onset, on the time axis of the piece, (n,).
        apart: How many notes before it the one is that it returns to, 0 for none, (n,).
        later: By how many steps it is later, (n,).
        higher: By how many semitones it is higher, (n,).
        until: Up to where what was played then comes again: where the tune goes on otherwise now, (n,).
        nats: By how much what comes next as then is likelier.
    """

    steps: Sequence[int]
    apart: Sequence[int]
    later: Sequence[int]
    higher: Sequence[int]
    until: Sequence[int]
    nats: float

    @classmethod
    def of(cls, tune: Notes, strength: float = 1.0) -> Returns | None:
        """Those of a tune, one voice; None if it never returns, or they are worth nothing."""
        if not strength or not (apart := returns(tune)).any():
            return None
        onset, to = tune.steps()[0], np.arange(len(tune)) - apart
        later, higher = onset - onset[to], tune.pitch - tune.pitch[to]
        goes_on = np.append(apart[1:] == apart[:-1], False)
        until = np.where(goes_on, onset[-1], onset[np.minimum(to + 1, len(tune) - 1)] - EARLY_STEPS)
        nats = NATS * strength
        return cls(onset.tolist(), apart.tolist(), later.tolist(), higher.tolist(), until.tolist(), nats)


class Played(Protocol):
    """The notes of a piece so far, in the order of their onsets.

    Attributes:
        keys: Counted from the piano's lowest.
        steps: Onsets.
        levels: Velocity bins.
        lengths: Steps that they were held; 0 while they are.
        down: Keys that are, and the number of the note that holds each.
    """

    keys: list[int]
    steps: list[int]
    levels: list[int]
    lengths: list[int]
    down: dict[int, int]


class Returning:
    """How far one piece has come on its way through the returns of its tune."""

    def __init__(self, returns: Returns) -> None:
        self._returns = returns
        self._note = -1  # of the tune: the last whose time has come
        self._next = 0  # of all notes of the piece: the one that comes again next
        self._again: dict[int, int] = {}  # by key that was struck: which note it plays again

    def say(self, row: np.ndarray, clock: int, level: int, notes: Played) -> bool:
        """Add to the logits, (310,), of the id that comes next if all is as it was; False if there is none.

        Args:
            row: Logits.
            clock: Where the piece stands.
            level: The velocity bin that stands.
            notes: Of the piece so far.
        """
        expected = self.expected(clock, level, notes)
        if expected is not None:
            row[expected] += self._returns.nats
        return expected is not None

    def expected(self, clock: int, level: int, notes: Played) -> int | None:
        """The id that comes next if all is as it was; None where the tune is new, or nothing more came then."""
        if not self._goes_on(clock, notes):
            return None
        higher = self._returns.higher[self._note]
        while self._next < len(notes.keys) and self._again_at(notes.steps[self._next]) < clock - LATE_STEPS:
            self._next += 1
        may_end = clock + (notes.steps[-1:] == [clock])  # nothing is let go in the moment in which a key was struck
        lengths = ((key, notes.lengths[self._again[key]]) for key in notes.down if key in self._again)
        due = [
            (max(notes.steps[notes.down[key]] + length, may_end), NOTE_OFF, key) for key, length in lengths if length
        ]
        if self._next < len(notes.keys) and notes.steps[self._next] < self._returns.until[self._note]:
            key = notes.keys[self._next] + higher
            begin, sounds = self._again_at(notes.steps[self._next]), key in notes.down  # then it is let go first
            due.append((max(begin, may_end) if sounds else begin, NOTE_OFF if sounds else NOTE_ON, key))
        if not due:
            return None
        at, kind, key = min(due, key=lambda event: (event[0], event[1] == NOTE_ON, event[2]))
        if at > clock:
            return PERFORMANCE.encode(TIME_SHIFT, min(at - clock, MAX_SHIFT_STEPS))
        if not 0 <= key < KEYS:
            return None
        if kind == NOTE_ON and notes.levels[self._next] != level:
            return PERFORMANCE.encode(VELOCITY, notes.levels[self._next])
        return PERFORMANCE.encode(kind, key + MIN_PITCH)

    def strike(self, key: int, clock: int, notes: Played) -> None:
        """A key is struck, by a note that isn't among them yet: if it was then too, what came behind that is next."""
        self._again.pop(key, None)
        if not self._goes_on(clock, notes):
            return
        higher = self._returns.higher[self._note]
        for i in range(self._next, len(notes.keys)):
            if self._again_at(notes.steps[i]) > clock + NEAR_STEPS:
                return
            if notes.keys[i] + higher == key:
                self._next, self._again[key] = i + 1, i
                return

    def _again_at(self, then: int) -> int:
        """When what was struck then comes again: as much later as the note of the tune that it goes with."""
        note, (steps, apart, later, *_) = self._note, self._returns
        if apart[note + 1 : note + 2] == [apart[note]] and then >= steps[note + 1 - apart[note]] - EARLY_STEPS:
            note += 1
        return then + later[note]

    def _goes_on(self, clock: int, notes: Played) -> bool:
        """Whether the tune is now where it was before; where it comes to be there, so does what was played to it."""
        note, (steps, apart, *_) = self._note, self._returns
        while note + 1 < len(steps) and steps[note + 1] <= clock + EARLY_STEPS:
            note += 1
        if note > self._note:
            if apart[note] and (self._note < 0 or apart[note] != apart[self._note]):
                self._next = bisect_left(notes.steps, steps[note - apart[note]] - EARLY_STEPS)
            self._note = note
        return note >= 0 and apart[note] > 0
