"""One table of ranges gives event -> id, id -> event and the sizes. No id arithmetic anywhere else.

Performance: PAD 0, EOS 1, NOTE_ON 21..108 -> 2..89, NOTE_OFF -> 90..177, TIME_SHIFT 1..100 steps -> 178..277,
VELOCITY 1..32 -> 278..309. Melody: PAD 0, EOS 1, NO_EVENT 2, MELODY_OFF 3, pitch 21..108 -> 4..91.

Source: the released code of Choi et al. 2020, arXiv:1912.05537.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

PAD = 0
EOS = 1
SPECIALS = 2  # ids below this are PAD and EOS in both vocabularies

NOTE_ON = "note_on"
NOTE_OFF = "note_off"
TIME_SHIFT = "time_shift"
VELOCITY = "velocity"
NO_EVENT = "no_event"
MELODY_OFF = "melody_off"
PITCH = "pitch"

MIN_PITCH = 21
MAX_PITCH = 108
KEYS = MAX_PITCH - MIN_PITCH + 1  # of the piano
STEPS_PER_SECOND = 100
FRAMES_PER_SECOND = 10
MAX_SHIFT_STEPS = 100
VELOCITY_BINS = 32
VELOCITIES_PER_BIN = 4
DEFAULT_VELOCITY = 100  # stands until the first VELOCITY event


@dataclass(frozen=True)
class EventRange:
    """One kind of event and its values, low to high, both included."""

    kind: str
    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low + 1


class Codec:
    """Ranges laid end to end behind PAD and EOS."""

    def __init__(self, *ranges: EventRange) -> None:
        self.ranges = ranges
        self._first: dict[str, int] = {}
        size = SPECIALS
        for events in ranges:
            self._first[events.kind] = size
            size += len(events)
        self.size = size

    def first(self, kind: str) -> int:
        """The id of the lowest value of `kind`."""
        return self._first[self._range(kind).kind]

    def ids(self, kind: str) -> range:
        """All ids of `kind`."""
        return range(self.first(kind), self.first(kind) + len(self._range(kind)))

    def encode(self, kind: str, value: int) -> int:
        """The id of an event.

        Raises:
            ValueError: the value lies outside the range of its kind.
        """
        events = self._range(kind)
        if not events.low <= value <= events.high:
            raise ValueError(f"{kind} {value} is outside {events.low}..{events.high}")
        return int(self.offset(kind) + value)

    def decode(self, event_id: int) -> tuple[str, int]:
        """The kind and value of an id.

        Raises:
            ValueError: PAD, EOS or an id outside the vocabulary.
        """
        if not SPECIALS <= event_id < self.size:
            raise ValueError(f"id {event_id} is no event; events are {SPECIALS}..{self.size - 1}")
        return self.ranges[self.kinds[event_id]].kind, int(self.values[event_id])

    def offset(self, kind: str) -> int:
        """What to add to a value (or an array of values) known to lie in the range of `kind` to get its id."""
        return self.first(kind) - self._range(kind).low

    def kind_index(self, kind: str) -> int:
        """The number that stands for `kind` in `kinds`."""
        return self.ranges.index(self._range(kind))

    @cached_property
    def kinds(self) -> np.ndarray:
        """Index into `ranges` of every id, (size,) int8; -1 for PAD and EOS."""
        kinds = np.full(self.size, -1, dtype=np.int8)
        for index, events in enumerate(self.ranges):
            kinds[self.ids(events.kind)] = index
        return kinds

    @cached_property
    def values(self) -> np.ndarray:
        """Value of every id, (size,) int64; 0 for PAD and EOS."""
        values = np.zeros(self.size, dtype=np.int64)
        for events in self.ranges:
            values[self.ids(events.kind)] = range(events.low, events.high + 1)
        return values

    def _range(self, kind: str) -> EventRange:
        for events in self.ranges:
            if events.kind == kind:
                return events
        raise ValueError(f"unknown kind {kind!r}; known: {', '.join(events.kind for events in self.ranges)}")


PERFORMANCE = Codec(
    EventRange(NOTE_ON, MIN_PITCH, MAX_PITCH),
    EventRange(NOTE_OFF, MIN_PITCH, MAX_PITCH),
    EventRange(TIME_SHIFT, 1, MAX_SHIFT_STEPS),
    EventRange(VELOCITY, 1, VELOCITY_BINS),
)
MELODY = Codec(EventRange(NO_EVENT, 0, 0), EventRange(MELODY_OFF, 0, 0), EventRange(PITCH, MIN_PITCH, MAX_PITCH))

# The 10 ms steps each performance id moves the clock by, (310,) int64: 0 for all but TIME_SHIFT.
SHIFT_STEPS: np.ndarray = np.where(PERFORMANCE.kinds == PERFORMANCE.kind_index(TIME_SHIFT), PERFORMANCE.values, 0)


def velocity_bin(velocity: np.ndarray) -> np.ndarray:
    """Velocity 1..127 -> bin 1..32."""
    return (velocity - 1) // VELOCITIES_PER_BIN + 1


def bin_velocity(bins: np.ndarray) -> np.ndarray:
    """Bin 1..32 -> the lowest velocity in it, 1..125."""
    return 1 + VELOCITIES_PER_BIN * (bins - 1)
