"""What may be sampled next: of what `musicstyle.music.grammar` holds possible, what the piece that is asked for allows.

It is asked before every id, so sets of keys and of ids are whole numbers here, bit k for key or id k: Python joins and
shifts those a hundred times as fast as NumPy does small arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from musicstyle.music.habits import row_after
from musicstyle.music.notes import Notes
from musicstyle.music.vocabulary import (
    EOS,
    KEYS,
    MAX_SHIFT_STEPS,
    MIN_PITCH,
    NOTE_OFF,
    NOTE_ON,
    PAD,
    PERFORMANCE,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_BINS,
    velocity_bin,
)

_ON, _OFF, _SHIFT = map(PERFORMANCE.first, (NOTE_ON, NOTE_OFF, TIME_SHIFT))
# All velocities but the bin that stands; none stands at first.
_NEW_VELOCITY = [
    sum(1 << PERFORMANCE.encode(VELOCITY, new) for new in range(1, VELOCITY_BINS + 1) if new != standing)
    for standing in range(VELOCITY_BINS + 1)
]
_BYTES = -(-PERFORMANCE.size // 8)

EARLY_STEPS = 9  # a melody note may be struck 90 ms before its time: within 100 ms of it, however that was rounded
LATE_STEPS = 5  # and 50 ms after it, as far as the 100 ms frame in which the model hears it can lie behind
HELD_STEPS = 10  # and is held so long, if it is that long: a click of 10 ms would be struck and not heard
LONGEST_STEPS = 1000  # no key is down longer: of a thousand notes of MAESTRO one is (pedal folded in)
A_HAND = 5  # keys at once that any style may have: fewer, and what is let go for another key is struck again and again
CHORD_STEPS = 5  # what is struck within 50 ms is struck as one
FINGERS = 10
USUAL_PERCENT = 99  # of a style's notes, by which it is known what it never does
_NEVER = int(np.iinfo(np.int64).max)


def _bits(keys: np.ndarray) -> int:
    """The set of the keys at which an array, (88,) bool, is true."""
    return int.from_bytes(np.packbits(keys, bitorder="little").tobytes(), "little")


def _up_to_lowest(keys: int) -> int:
    """All keys up to the lowest of a set that is not empty, itself among them."""
    return ((keys & -keys) << 1) - 1


@dataclass(frozen=True)
class Limits:
    """How long keys are down, how many at once, how many are struck as one, at most, and how loud.

    Attributes:
        longest_steps: A key that was down so long is let go.
        most_keys: Before anything is struck, the oldest of more keys than these are let go, if they had HELD_STEPS.
        most_struck: Within CHORD_STEPS no more keys are struck, but for those that are due.
        softest, loudest: Velocity bins that a note may have.
    """

    longest_steps: int = LONGEST_STEPS
    most_keys: int = KEYS
    most_struck: int = KEYS
    softest: int = 1
    loudest: int = VELOCITY_BINS

    @classmethod
    def of(cls, style: Notes) -> Limits:
        """What USUAL_PERCENT of a performance's notes keep to.

        Guidance exaggerates a style: without limits, that of a pedal ends in a piece that never changes it, that of
        chords in piles of them. Measured are how long a note sounds, how many sound when it is struck, how many are
        struck with it or just before, and how loud it is. But a key may always be down for HELD_STEPS, and A_HAND keys
        be down and struck as one; never is a key down for more than LONGEST_STEPS, nor are more than FINGERS struck.
        """
        start, end = style.steps()  # in the order of the former
        begun = np.searchsorted(start, start, "right")
        sounding = begun - np.searchsorted(np.sort(end), start, "right")
        chord = begun - np.searchsorted(start, start - CHORD_STEPS, "right")
        longest, most, struck = (np.percentile(of, USUAL_PERCENT) for of in (end - start, sounding, chord))
        softest, loudest = np.percentile(velocity_bin(style.velocity), (100 - USUAL_PERCENT, USUAL_PERCENT))
        return cls(
            int(np.clip(longest, HELD_STEPS, LONGEST_STEPS)),
            int(np.clip(most, A_HAND, KEYS)),
            int(np.clip(struck, A_HAND, FINGERS)),
            int(softest),
            int(np.ceil(loudest)),
        )

    @classmethod
    def mean(cls, limits: Sequence[Limits], shares: Sequence[float]) -> Limits:
        """The mean of several, by shares whose sum is 1."""
        return cls(*np.rint(shares @ np.array([astuple(each) for each in limits])).astype(int).tolist())


NO_LIMITS = Limits()
TWO_HANDS = Limits(most_struck=FINGERS)


class Duties:
    """Melody notes that must be struck: each once, from EARLY_STEPS before its time to LATE_STEPS after it.

    Of two notes of one key the later has the later deadline, so both can be kept. A note of a key counts for the
    earliest one that waits for that key. It is then held for HELD_STEPS or its length, whichever is less, unless the
    key is due again or the piece is over.

    Attributes:
        deadline: Latest step for the next note of each key, (88,).
        held_until: Step before which each key is not let go, (88,).
        earliest: The earliest deadline.
    """

    def __init__(self, steps: np.ndarray, ends: np.ndarray, keys: np.ndarray, end_steps: int) -> None:
        """Take the notes on; from `end_steps` on nothing is due.

        Args:
            steps: Onsets, (notes,).
            ends: Offsets, (notes,).
            keys: Counted from the piano's lowest, (notes,).
            end_steps: Where the piece ends.
        """
        self._waiting: list[list[tuple[int, int, int]]] = [[] for _ in range(KEYS)]  # by key, the latest first
        for key in np.unique(keys):
            mine = (keys == key) & (steps < end_steps)
            latest = end_steps
            for onset, end in sorted(dict(zip(steps[mine].tolist(), ends[mine].tolist(), strict=True)).items())[::-1]:
                latest = min(onset + LATE_STEPS, latest - 1)
                self._waiting[key].append((onset - EARLY_STEPS, latest, min(end - onset, HELD_STEPS)))
        self.deadline = np.full(KEYS, _NEVER)
        self.held_until = np.zeros(KEYS, dtype=np.int64)
        self._last_held = 0  # the latest of them
        for key in range(KEYS):
            self._next(key)

    def struck(self, key: int, clock: int) -> None:
        """A key was struck: that fulfils the duty that waits for it, if its time has come."""
        if self._waiting[key] and self._waiting[key][-1][0] <= clock:
            self.held_until[key] = clock + self._waiting[key].pop()[2]
            self._last_held = max(self._last_held, int(self.held_until[key]))
            self._next(key)

    def due(self, clock: int) -> int:
        """The set of keys whose deadline is now."""
        return _bits(self.deadline == clock) if self.earliest == clock else 0

    def held(self, clock: int) -> int:
        """The set of keys that may not be let go yet."""
        return _bits(self.held_until > clock) if self._last_held > clock else 0

    def _next(self, key: int) -> None:
        self.deadline[key] = self._waiting[key][-1][1] if self._waiting[key] else _NEVER
        self.earliest = int(self.deadline.min())


class Grammar:
    """Follows one sequence and knows which ids may come next.

    Besides what is impossible anyway (musicstyle.music.grammar): no note begins at `end_steps` or later, none sounds
    beyond `limit_steps`, and the piece keeps to `limits`.

    With duties, the clock does not pass the deadline of a note that was not struck; at its deadline nothing comes that
    the order would not let its NOTE_OFF (if the key still sounds) and its NOTE_ON follow.

    Attributes:
        end_steps, limit_steps: As above.
        clock: Where the sequence stands, in steps.
        velocity_bin: The one that stands, 1..32; 0 before the first, which always comes before the first NOTE_ON.
        duties: Set from outside, once the primer has been accepted: its notes fulfil none. None: nothing is due.
        finished: No id may come any more.
    """

    def __init__(
        self, end_steps: int, limit_steps: int, limits: Limits = NO_LIMITS, *, playable: np.ndarray | None = None
    ) -> None:
        """`playable`: which keys may be struck, (88,) bool; None for all."""
        self.end_steps, self.limit_steps, self.limits = end_steps, limit_steps, limits
        self.clock = 0
        self._down: dict[int, int] = {}  # sounding keys and when they were struck, in this order
        self._sounds = 0  # their set
        self._playable = (1 << KEYS) - 1 if playable is None else _bits(playable)
        self.duties: Duties | None = None
        bins = range(limits.softest, limits.loudest + 1)
        self._loudness = sum(1 << PERFORMANCE.encode(VELOCITY, each) for each in bins)
        self.velocity_bin = 0
        self._last_off = self._last_on = -1  # key of the last NOTE_OFF and NOTE_ON within this step
        self._chord: list[int] = []  # when each key was struck that was within CHORD_STEPS
        self._struck = -1  # the last key that was, whenever
        self._after = row_after(PAD)
        self._velocity_stands = False
        self._may_shift = True
        self.finished = False

    @property
    def held(self) -> np.ndarray:
        """Steps each key has been down, plus 1; 0 for a key that is up, (88,)."""
        held = np.zeros(KEYS, dtype=np.int64)
        for key, struck in self._down.items():
            held[key] = self.clock - struck + 1
        return held

    @property
    def stands(self) -> tuple[int, int, bool]:
        """Row of the waits (`row_after`); key struck last, -1 for none; whether that was in this moment."""
        return self._after, self._struck, self._last_on >= 0

    def allowed(self) -> np.ndarray:
        """Which ids may come next, (310,) bool; all False when the sequence is over."""
        ids = np.frombuffer(self._allowed().to_bytes(_BYTES, "little"), np.uint8)
        return np.unpackbits(ids, count=PERFORMANCE.size, bitorder="little").view(bool)

    def _allowed(self) -> int:
        """The set of ids that may come next."""
        if self.finished:
            return 0
        can_begin, can_end, latest = self._keys_and_time()
        # None stands at first, and a primer may leave one that the style never has.
        fits = self.limits.softest <= self.velocity_bin <= self.limits.loudest
        ids = can_begin << _ON if fits else 0
        if self._velocity_stands:
            return ids
        if can_begin:
            ids |= _NEW_VELOCITY[self.velocity_bin] & self._loudness
        if self._last_on < 0:
            ids |= can_end << _OFF
        if self._may_shift:
            ids |= ((1 << min(max(latest - self.clock, 0), MAX_SHIFT_STEPS)) - 1) << _SHIFT
        return ids | (self.clock >= self.end_steps) << EOS

    def _keys_and_time(self) -> tuple[int, int, int]:
        """The sets of keys that may be struck and let go now, and the step that the clock may not pass."""
        can_begin = 0
        if self.clock < self.end_steps:
            can_begin = self._playable & ~self._sounds & (-1 << self._last_on + 1)
        can_end = self._sounds & (-1 << self._last_off + 1)
        oldest = next(iter(self._down.values()), _NEVER - LONGEST_STEPS)
        latest, due, must_end = min(self.limit_steps, oldest + self.limits.longest_steps), 0, self._outworn()
        if self.duties is not None:
            latest = min(latest, self.duties.earliest)
            due = self.duties.due(self.clock)
            must_end |= due & self._sounds
            if self.clock < self.end_steps:
                can_end &= ~self.duties.held(self.clock) | must_end
        if must_end:  # it must be let go first, and no key above it before
            return 0, can_end & _up_to_lowest(must_end), self.clock
        if due:
            can_begin &= _up_to_lowest(due)
        # With a VELOCITY a strike has been begun; and in a moment that has come, something must be done.
        free = self._velocity_stands or not (self._may_shift or can_end)
        if len(self._chord) >= self.limits.most_struck and (due or not free):
            can_begin &= due
        return can_begin, can_end, latest

    def _outworn(self) -> int:
        """The set of keys that have been down too long, or are the oldest of too many before anything is struck."""
        keys, too_many = 0, len(self._down) - self.limits.most_keys if self._last_on < 0 else 0
        for rank, (key, struck) in enumerate(self._down.items()):
            down = self.clock - struck
            if down < self.limits.longest_steps and (rank >= too_many or down < HELD_STEPS):
                break
            keys |= 1 << key
        return keys

    def accept(self, event_id: int) -> None:
        """Move on by one id that `allowed` named."""
        if event_id == EOS:
            self.finished = True
            return
        kind, value = PERFORMANCE.decode(event_id)
        self._after = row_after(event_id)
        self._velocity_stands = kind == VELOCITY
        if kind == TIME_SHIFT:
            self.clock += value
            self._last_off = self._last_on = -1
            self._chord = [struck for struck in self._chord if self.clock - struck < CHORD_STEPS]
            self._may_shift = value == MAX_SHIFT_STEPS
        else:
            self._may_shift = True
        if kind == VELOCITY:
            self.velocity_bin = value
        if kind == NOTE_ON:
            self._strike(value - MIN_PITCH)
        if kind == NOTE_OFF:
            self._let_go(value - MIN_PITCH)
        silent_at_the_end = self.clock >= self.end_steps and not self._down
        self.finished = silent_at_the_end or self.clock >= self.limit_steps

    def _strike(self, key: int) -> None:
        self._last_on = self._struck = key
        self._sounds |= 1 << key
        self._down.pop(key, None)
        self._down[key] = self.clock
        self._chord.append(self.clock)
        if self.duties is not None:
            self.duties.struck(key, self.clock)

    def _let_go(self, key: int) -> None:
        self._last_off = key
        self._sounds &= ~(1 << key)
        self._down.pop(key, None)
