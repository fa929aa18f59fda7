"""Notes <-> performance ids: NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY.

Order inside a step: NOTE_OFF before NOTE_ON, then by pitch, then by velocity bin. Deviation: the published code sorts
by (step, note index, is_offset), which is not stable under encode-decode-encode; this order is. The multiset of notes
on and off in each step is the same in both.

Source: Choi et al. 2020, arXiv:1912.05537, and note_seq.performance_lib.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from musicstyle.music.notes import Notes
from musicstyle.music.vocabulary import (
    DEFAULT_VELOCITY,
    EOS,
    KEYS,
    MAX_PITCH,
    MAX_SHIFT_STEPS,
    MIN_PITCH,
    NOTE_OFF,
    NOTE_ON,
    PAD,
    PERFORMANCE,
    SHIFT_STEPS,
    STEPS_PER_SECOND,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_BINS,
    bin_velocity,
    velocity_bin,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_ON = PERFORMANCE.kind_index(NOTE_ON)
_OFF = PERFORMANCE.kind_index(NOTE_OFF)
_SHIFT = PERFORMANCE.kind_index(TIME_SHIFT)
_VELOCITY = PERFORMANCE.kind_index(VELOCITY)

# A sounding event packed into one integer whose order is the canonical order:
# step | is NOTE_ON (1 bit) | pitch (7 bits) | velocity bin (6 bits, 0 for a NOTE_OFF)
_BIN_BITS = 6
_PITCH_BITS = 7


def encode(notes: Notes) -> np.ndarray:
    """Performance ids of notes, without EOS.

    Args:
        notes: Any notes of the piano's 88 keys; see `Notes.quantized` for what is kept of them.

    Returns:
        (ids,) int64. About four ids a note.

    Raises:
        ValueError: a pitch outside 21..108, or a note before time 0.
    """
    if not len(notes):
        return np.zeros(0, dtype=np.int64)
    _refuse_what_has_no_id(notes)
    keys = _event_keys(notes)
    step = keys >> (_BIN_BITS + _PITCH_BITS + 1)
    is_on = (keys >> (_BIN_BITS + _PITCH_BITS)) & 1 == 1
    pitch = (keys >> _BIN_BITS) & ((1 << _PITCH_BITS) - 1)
    bins = keys & ((1 << _BIN_BITS) - 1)

    shift = np.diff(step, prepend=0)
    shifts = (shift + MAX_SHIFT_STEPS - 1) // MAX_SHIFT_STEPS  # ids the shift takes: 100, 100, ..., rest
    new_bin = _changes(bins, is_on)
    last = np.cumsum(shifts + new_bin + 1) - 1  # where each event's own id comes, behind its shifts and its velocity

    ids = np.full(last[-1] + 1, PERFORMANCE.encode(TIME_SHIFT, MAX_SHIFT_STEPS), dtype=np.int64)
    ids[last] = pitch + np.where(is_on, PERFORMANCE.offset(NOTE_ON), PERFORMANCE.offset(NOTE_OFF))
    ids[last[new_bin] - 1] = bins[new_bin] + PERFORMANCE.offset(VELOCITY)
    moved = shift > 0
    rest = (shift[moved] - 1) % MAX_SHIFT_STEPS + 1
    ids[last[moved] - new_bin[moved] - 1] = rest + PERFORMANCE.offset(TIME_SHIFT)
    return ids


def elapsed_steps(ids: np.ndarray) -> np.ndarray:
    """The clock after each id, 10 ms steps, same shape as `ids` (along the last axis), int64."""
    return np.cumsum(SHIFT_STEPS[ids], axis=-1)


def held_steps(ids: np.ndarray) -> np.ndarray:
    """For how long each of the piano's keys has been down after each id.

    Args:
        ids: Performance ids, (n,).

    Returns:
        (n, 88) int32: 10 ms steps since the NOTE_ON, plus 1; 0 for a key that is up.
    """
    place = np.arange(1, len(ids) + 1, dtype=np.int32)[:, None]
    key = PERFORMANCE.values[ids][:, None] - MIN_PITCH == np.arange(KEYS)
    kind = PERFORMANCE.kinds[ids][:, None]
    struck, released = (
        np.maximum.accumulate(np.where(key & (kind == event), place, 0), axis=0) for event in (_ON, _OFF)
    )
    clock = np.concatenate(([0], elapsed_steps(ids))).astype(np.int32)
    return np.where(struck > released, clock[1:, None] - clock[struck] + 1, 0)


def held_before(ids: np.ndarray) -> np.ndarray:
    """For how long each key has been down before each id, (n, 88), as `held_steps` has it after each."""
    return np.concatenate((np.zeros((1, KEYS), np.int32), held_steps(ids)))[: len(ids)]


def looking_back(ids: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """What stands before each place of a sequence.

    Args:
        ids: Performance ids, (n,).

    Returns:
        The id before each of them, (n,), PAD before the first; and, for each kind of event, where among those the last
        one of it stands, (n,), 0 for nowhere, where that PAD does.
    """
    before = np.concatenate(([PAD], ids))[: len(ids)]
    kind, place = PERFORMANCE.kinds[before], np.arange(len(ids))
    return before, {
        event: np.maximum.accumulate(np.where(kind == PERFORMANCE.kind_index(event), place, 0))
        for event in (NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY)
    }


@dataclass(frozen=True)
class Dropped:
    """What decoding found that no note could be made of, or had to mend. True if anything.

    Attributes:
        unmatched_offs: NOTE_OFF of a pitch that was silent; ignored.
        zero_length: Notes that ended in the step they began; dropped.
        unclosed: Notes still sounding at the end; closed at the last step and kept (unless of zero length).
        specials: PAD or EOS before the last event; ignored. Those after it are no fault.
        unknown: Ids outside the vocabulary; ignored.
    """

    unmatched_offs: int = 0
    zero_length: int = 0
    unclosed: int = 0
    specials: int = 0
    unknown: int = 0

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __str__(self) -> str:
        told = (f"{count} {name.replace('_', ' ')}" for name, count in vars(self).items() if count)
        return ", ".join(told) or "nothing"


def decode(ids: Sequence[int] | np.ndarray) -> tuple[Notes, Dropped]:
    """The notes of any ids whatever, and what was dropped on the way. Never raises on integers.

    First in, first out per pitch. Notes open at the end are closed at the last step.

    Args:
        ids: (n,) integers.

    Source: note_seq.performance_lib.BasePerformance._to_sequence.
    """
    decoder = _Decoder()
    for event_id in _without_end(np.asarray(ids, dtype=np.int64)).tolist():
        decoder.read(event_id)
    return decoder.finish()


class _Decoder:
    """Reads one id at a time; keeps the clock, the velocity and the notes that sound."""

    def __init__(self) -> None:
        self.step = 0
        self.velocity = DEFAULT_VELOCITY
        self.open: dict[int, deque[tuple[int, int]]] = {}
        self.notes: list[tuple[int, int, int, int]] = []
        self.unmatched_offs = self.zero_length = self.unclosed = self.specials = self.unknown = 0

    def read(self, event_id: int) -> None:
        """Take the next id; one that means nothing here is counted."""
        if not 0 <= event_id < PERFORMANCE.size:
            self.unknown += 1
            return
        kind, value = _KINDS[event_id], _VALUES[event_id]
        if kind == _SHIFT:
            self.step += value
        elif kind == _ON:
            self.open.setdefault(value, deque()).append((self.step, self.velocity))
        elif kind == _OFF:
            self.close(value)
        elif kind == _VELOCITY:
            self.velocity = _BIN_VELOCITIES[value]
        else:
            self.specials += 1

    def close(self, pitch: int) -> None:
        if not self.open.get(pitch):
            self.unmatched_offs += 1
            return
        start, velocity = self.open[pitch].popleft()
        if start == self.step:
            self.zero_length += 1
        else:
            self.notes.append((start, self.step, pitch, velocity))

    def finish(self) -> tuple[Notes, Dropped]:
        for pitch, waiting in self.open.items():
            self.unclosed += len(waiting)
            while waiting:
                self.close(pitch)
        start, end, pitches, velocities = np.array(self.notes, dtype=np.int64).reshape(-1, 4).T
        notes = Notes.from_arrays(start / STEPS_PER_SECOND, end / STEPS_PER_SECOND, pitches, velocities)
        return notes, Dropped(self.unmatched_offs, self.zero_length, self.unclosed, self.specials, self.unknown)


_KINDS: list[int] = PERFORMANCE.kinds.tolist()
_VALUES: list[int] = PERFORMANCE.values.tolist()
_BIN_VELOCITIES: list[int] = bin_velocity(np.arange(VELOCITY_BINS + 1)).tolist()  # by bin; bin 0 does not occur


def _without_end(ids: np.ndarray) -> np.ndarray:
    """Ids up to the last that is neither PAD nor EOS."""
    events = np.flatnonzero((ids != PAD) & (ids != EOS))
    return ids[: events[-1] + 1] if len(events) else ids[:0]


def _refuse_what_has_no_id(notes: Notes) -> None:
    if not notes.in_piano_range().all():
        raise ValueError(f"pitches {notes.pitch.min()}..{notes.pitch.max()} leave {MIN_PITCH}..{MAX_PITCH}")
    if notes.start.min() < 0:
        raise ValueError(f"the first note starts at {notes.start.min()} s, before time 0")


def _event_keys(notes: Notes) -> np.ndarray:
    """Every NOTE_ON and NOTE_OFF as one integer, in canonical order, (2 n,) int64."""
    start, end = notes.steps()
    pitch = notes.pitch << _BIN_BITS
    on = (start * 2 + 1 << (_BIN_BITS + _PITCH_BITS)) + pitch + velocity_bin(notes.velocity)
    off = (end * 2 << (_BIN_BITS + _PITCH_BITS)) + pitch
    keys = np.concatenate((on, off))
    keys.sort()
    return keys


def _changes(bins: np.ndarray, is_on: np.ndarray) -> np.ndarray:
    """Which events need a VELOCITY before them: NOTE_ONs whose bin is not that of the NOTE_ON before, (n,) bool."""
    changed = np.zeros(len(bins), dtype=bool)
    changed[is_on] = np.diff(bins[is_on], prepend=0) != 0
    return changed
