"""A performance's habits: how often it goes on in each way from where it stands, whatever its key.

Specification. Each of HABITS ways to go on has a count, how often it was taken, and chances, how often it could have
been:

- waits: TIME_SHIFTs by length, after a NOTE_ON, after a NOTE_OFF, and after another shift (or nothing);
- leaps: NOTE_ONs by interval from the key struck last, -87 to 87, to a later moment and within a chord;
- levels: VELOCITYs by bin;
- moves: VELOCITYs by the change of the bin;
- releases: NOTE_OFFs by how long the key was down, in BINS_AN_OCTAVE bins an octave.

The chances of a wait, leap, level or move are the waits, leaps, ... of its row; those of a release are all (place, key)
at which a key had been down for so long.
"""

from __future__ import annotations

import numpy as np

from musicstyle.music.performance import held_before, looking_back
from musicstyle.music.vocabulary import (
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
)

BINS_AN_OCTAVE = 4
_LEAPS, _MOVES, _HELD = 2 * KEYS - 1, 2 * VELOCITY_BINS - 1, 40
# Rows of the tables laid end to end, and how long they are.
_ROWS = np.array([*[MAX_SHIFT_STEPS] * 3, *[_LEAPS] * 2, VELOCITY_BINS, _MOVES, _HELD])
FIRST = np.concatenate(([0], np.cumsum(_ROWS)))
WAITS, LEAPS, LEVELS, MOVES, RELEASES = 0, 3, 5, 6, 7  # number of the first row of each table
HABITS = int(FIRST[-1])
NONE = HABITS  # where no habit speaks
_ROW_OF = np.repeat(np.arange(len(_ROWS)), _ROWS)
_AFTER = np.full(len(PERFORMANCE.kinds), 2)  # which row of the waits an id is followed by
_AFTER[PERFORMANCE.ids(NOTE_ON)], _AFTER[PERFORMANCE.ids(NOTE_OFF)] = 0, 1
_LONGEST = 2 ** (_HELD // BINS_AN_OCTAVE)
_BIN = np.minimum(np.log2(np.maximum(np.arange(_LONGEST + 1), 1)) * BINS_AN_OCTAVE, _HELD - 1).astype(np.int16)
EVERYWHERE = np.full(PERFORMANCE.size, NONE, dtype=np.int16)  # as `places`, of the levels
EVERYWHERE[PERFORMANCE.ids(VELOCITY)] = FIRST[LEVELS] + np.arange(VELOCITY_BINS)
_KEY, _LEVEL = np.arange(KEYS, dtype=np.int16), np.arange(VELOCITY_BINS, dtype=np.int16)


def habits(ids: np.ndarray) -> np.ndarray:
    """Counts and chances of a performance.

    Args:
        ids: Performance ids, (n,); PAD may follow the end.

    Returns:
        (2, HABITS) float32.
    """
    ids = ids[ids != PAD]
    held = held_before(ids)
    at = places(ids, held)
    taken = at[np.arange(len(ids)), ids]
    counts = np.bincount(np.concatenate((taken, EVERYWHERE[ids])), minlength=NONE + 1)[:NONE]
    chances = np.add.reduceat(counts, FIRST[:-1])[_ROW_OF]
    chances[FIRST[RELEASES] :] = np.bincount(release_of(held[held > 0]), minlength=_HELD)
    return np.stack((counts, chances)).astype(np.float32)


def places(ids: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Which habit speaks for each id at each place of a performance.

    Args:
        ids: Performance ids, (n,).
        held: For how long each key has been down before each of them, see `held_before`.

    Returns:
        (n, 310) int16: a wait, leap, move or release, NONE for none. The levels speak beside them, EVERYWHERE.
    """
    before, last = looking_back(ids)
    value = PERFORMANCE.values[before]
    struck = (value[last[NOTE_ON]] - MIN_PITCH).astype(np.int16)[:, None]  # below 0 for none
    level = (value[last[VELOCITY]] - 1).astype(np.int16)[:, None]  # likewise
    in_chord = (last[NOTE_ON] > last[TIME_SHIFT]).astype(np.int16)[:, None]
    leaps = FIRST[LEAPS] + _LEAPS * in_chord + (KEYS - 1) + _KEY - struck
    moves = FIRST[MOVES] + (VELOCITY_BINS - 1) + _LEVEL - level
    waits = MAX_SHIFT_STEPS * _AFTER[before][:, None] + np.arange(MAX_SHIFT_STEPS)
    at = np.full((len(ids), PERFORMANCE.size), NONE, dtype=np.int16)
    for event, values in (
        (NOTE_ON, np.where(struck >= 0, leaps, NONE)),
        (NOTE_OFF, np.where(held > 0, FIRST[RELEASES] + release_of(held), NONE)),
        (TIME_SHIFT, waits),
        (VELOCITY, np.where(level >= 0, moves, NONE)),
    ):
        every = PERFORMANCE.ids(event)
        at[:, every.start : every.stop] = values
    return at


def release_of(held: np.ndarray) -> np.ndarray:
    """Number, among the releases, of letting go a key that has been down for `held` - 1 steps."""
    return _BIN[np.minimum(held, _LONGEST)]


def row_after(event_id: int) -> int:
    """Which row of the waits holds those after an id."""
    return int(_AFTER[event_id])
