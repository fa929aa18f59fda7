"""Which ids may follow which: what `musicstyle.music.performance.encode` can write, whatever the music.

Within a step come the NOTE_OFFs of keys that are down, then the NOTE_ONs of keys that are up, each in rising pitch; a
VELOCITY comes only before a NOTE_ON and changes the bin; only the longest shift is followed by another shift.
"""

from __future__ import annotations

import numpy as np

from musicstyle.music.performance import looking_back
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
)

_KEY = np.arange(KEYS)
_BIN = np.arange(1, VELOCITY_BINS + 1)


def possible(ids: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Which ids could stand at each place of a sequence, given those before it.

    Args:
        ids: Performance ids, (n,); PAD may follow the end.
        down: Which keys are down before each of them, (n, 88) bool.

    Returns:
        (n, 310) bool. EOS is possible wherever no VELOCITY waits for its note, PAD nowhere. The id that does stand
        there always is: files may hold two notes of a key at once, which no piano plays.
    """
    before, last = looking_back(ids)
    kind, value = PERFORMANCE.kinds[before], PERFORMANCE.values[before]
    # The key of the last NOTE_ON and NOTE_OFF within this step, -1 if there is none.
    on, off = (
        np.where(last[event] > last[TIME_SHIFT], value[last[event]] - MIN_PITCH, -1)[:, None]
        for event in (NOTE_ON, NOTE_OFF)
    )
    bin_ = value[last[VELOCITY]][:, None]
    shifts_on = ((kind != PERFORMANCE.kind_index(TIME_SHIFT)) | (value == MAX_SHIFT_STEPS))[:, None]
    can_begin = ~down & (on < _KEY)

    may = np.zeros((len(ids), PERFORMANCE.size), dtype=bool)
    may[:, EOS] = True
    for event, values in (
        (NOTE_ON, can_begin & (bin_ > 0)),
        (NOTE_OFF, down & (off < _KEY) & (on < 0)),
        (TIME_SHIFT, shifts_on),
        (VELOCITY, (bin_ != _BIN) & can_begin.any(axis=1, keepdims=True)),
    ):
        every = PERFORMANCE.ids(event)
        may[:, every.start : every.stop] = values
    may[kind == PERFORMANCE.kind_index(VELOCITY)] &= PERFORMANCE.kinds == PERFORMANCE.kind_index(NOTE_ON)
    there = ids != PAD
    may[there, ids[there]] = True
    return may
