"""What may follow what: the grammar of performance ids; every sample is one that `encode` could have written."""

from __future__ import annotations

import numpy as np

from musicstyle.music.vocabulary import (
    EOS,
    MAX_PITCH,
    MAX_SHIFT_STEPS,
    MIN_PITCH,
    NOTE_OFF,
    NOTE_ON,
    PERFORMANCE,
    TIME_SHIFT,
    VELOCITY,
)

_ON, _OFF, _SHIFT, _VELOCITY = (
    slice(ids.start, ids.stop) for ids in map(PERFORMANCE.ids, (NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY))
)
_KEYS = MAX_PITCH - MIN_PITCH + 1
_KEY = np.arange(_KEYS)


class Grammar:
    """Follows one sequence and knows which ids may come next.

    Within a step come the NOTE_OFFs of sounding keys, then the NOTE_ONs of silent ones, each in rising pitch; a
    VELOCITY comes only before a NOTE_ON and changes the bin; only the longest shift is followed by another shift.
    No note begins at or after `end_steps`; after that, sounding notes may ring until `limit_steps`.
    """

    def __init__(self, end_steps: int, limit_steps: int) -> None:
        self.end_steps, self.limit_steps = end_steps, limit_steps
        self.clock = 0
        self.sounding = np.zeros(_KEYS, dtype=bool)
        self._struck = np.zeros(_KEYS, dtype=np.int64)  # clock of each key's last NOTE_ON
        self._bin = 0  # none yet: the first NOTE_ON is always preceded by a VELOCITY
        self._last_off = self._last_on = -1  # key of the last NOTE_OFF and NOTE_ON within this step
        self._velocity_stands = self._shift_is_whole = False
        self._may_shift = True
        self.finished = False

    @property
    def held(self) -> np.ndarray:
        """Steps each key has been down, plus 1; 0 for a key that is up, (88,)."""
        return np.where(self.sounding, self.clock - self._struck + 1, 0)

    def allowed(self) -> np.ndarray:
        """Which ids may come next, (310,) bool; all False when the sequence is over."""
        mask = np.zeros(PERFORMANCE.size, dtype=bool)
        if self.finished:
            return mask
        can_begin = (_KEY > self._last_on) & ~self.sounding if self.clock < self.end_steps else np.zeros(_KEYS, bool)
        mask[_ON] = can_begin & (self._bin > 0)
        if self._velocity_stands:
            return mask
        mask[_VELOCITY] = can_begin.any()
        if self._bin:
            mask[PERFORMANCE.encode(VELOCITY, self._bin)] = False
        if self._last_on < 0:
            mask[_OFF] = self.sounding & (_KEY > self._last_off)
        if self._may_shift:
            mask[_SHIFT] = np.arange(1, MAX_SHIFT_STEPS + 1) <= self.limit_steps - self.clock
        mask[EOS] = self.clock >= self.end_steps
        return mask

    def accept(self, event_id: int) -> None:
        """Move on by one id that `allowed` named."""
        if event_id == EOS:
            self.finished = True
            return
        kind, value = PERFORMANCE.decode(event_id)
        self._velocity_stands = kind == VELOCITY
        if kind == TIME_SHIFT:
            self.clock += value
            self._last_off = self._last_on = -1
            self._may_shift = value == MAX_SHIFT_STEPS
        else:
            self._may_shift = True
        if kind == VELOCITY:
            self._bin = value
        if kind == NOTE_ON:
            self._last_on = value - MIN_PITCH
            self.sounding[self._last_on] = True
            self._struck[self._last_on] = self.clock
        if kind == NOTE_OFF:
            self._last_off = value - MIN_PITCH
            self.sounding[self._last_off] = False
        silent_at_the_end = self.clock >= self.end_steps and not self.sounding.any()
        self.finished = silent_at_the_end or self.clock >= self.limit_steps
