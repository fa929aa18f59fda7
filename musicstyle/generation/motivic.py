"""What a piece that is being written recalls of itself, and what that adds to the logits of the next id.

It is asked before every id, so only what the last one changed is looked at: the same opinions as
`musicstyle.music.motifs.recalled` gives of a whole performance; but where the tune returns, what was played to it then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from musicstyle.generation.returning import Returning, Returns
from musicstyle.music.motifs import (
    FARTHEST_LEVEL,
    HELD,
    LEAST_LEFT,
    MOST_LEFT,
    NOTES,
    OPINIONS,
    RECENT,
    RELEASES,
    VOICES,
    WAITS,
    class_of,
    level_opinions,
    longest_run,
    note_opinion,
    wait_opinions,
)
from musicstyle.music.vocabulary import (
    KEYS,
    MIN_PITCH,
    NOTE_OFF,
    NOTE_ON,
    PERFORMANCE,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_BINS,
)

_ON, _OFF, _SHIFT, _VELOCITY = map(PERFORMANCE.kind_index, (NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY))
_KINDS, _VALUES = PERFORMANCE.kinds.tolist(), PERFORMANCE.values.tolist()
_ON_FIRST, _OFF_FIRST = map(PERFORMANCE.first, (NOTE_ON, NOTE_OFF))
_HELD = HELD.tolist()
LOWEST_LEVEL, HIGHEST_LEVEL = 1 - FARTHEST_LEVEL, VELOCITY_BINS + FARTHEST_LEVEL  # bins; beyond either nothing changes
_SHIFTS, _LEVELS = (slice(every.start, every.stop) for every in map(PERFORMANCE.ids, (TIME_SHIFT, VELOCITY)))


class Motivic:
    """The memory of each variation."""

    def __init__(
        self, worth: Tensor, strength: float, variations: int, primer: np.ndarray, returns: Returns | None = None
    ) -> None:
        """Begin.

        Args:
            worth: What each opinion adds, (MOTIFS,).
            strength: How many times as much those of which key is struck add.
            variations: How many.
            primer: Ids that they all begin with, (ids,).
            returns: Of the tune; None if they say nothing.
        """
        self._worth = _Worth(worth.numpy(force=True).reshape(-1, OPINIONS), strength)
        self._memories = [_Memory(None if returns is None else Returning(returns)) for _ in range(variations)]
        for event_id in primer.tolist():
            self.accept([event_id] * variations)

    def accept(self, ids: Sequence[int]) -> None:
        """Remember the next id of each variation."""
        for memory, event_id in zip(self._memories, ids, strict=True):
            memory.accept(event_id)

    def says(self) -> np.ndarray:
        """What is added for every id, (variations, 310) float32."""
        said = np.zeros((len(self._memories), PERFORMANCE.size), np.float32)
        for row, memory in zip(said, self._memories, strict=True):
            memory.say(row, self._worth)
        return said


class _Worth:
    """What is added, looked up by the number of a voice's class of runs.

    Attributes:
        notes: By whether the recalled time is still to come, a list a class.
        waits: For every TIME_SHIFT, by the steps left, from LEAST_LEFT on, (classes, steps, 100).
        levels: For every VELOCITY, by the recalled bin, from LOWEST_LEVEL on, (classes, bins, 32).
        releases: By how long the key was down, of as long as then, a list a class.
    """

    def __init__(self, worth: np.ndarray, strength: float) -> None:
        self.notes = (strength * worth[:, NOTES:WAITS]).tolist()
        self.waits = worth[:, wait_opinions(np.arange(LEAST_LEFT, MOST_LEFT + 1))]
        self.levels = worth[:, level_opinions(np.arange(LOWEST_LEVEL, HIGHEST_LEVEL + 1)[:, None])]
        self.releases = worth[:, RELEASES:OPINIONS].tolist()


class _Memory:
    """What one piece has been so far."""

    def __init__(self, returning: Returning | None) -> None:
        self._voices = [_Voice(number) for number in range(VOICES)]
        self._returning = returning
        self._clock = self._level = 0
        self._recent: deque[int] = deque(maxlen=RECENT)

    def accept(self, event_id: int) -> None:
        """Remember the next id."""
        kind, value = _KINDS[event_id], _VALUES[event_id]
        if kind == _SHIFT:
            self._clock += value
        elif kind == _VELOCITY:
            self._level = value
        elif kind == _OFF:
            for voice in self._voices:
                voice.let_go(value - MIN_PITCH, self._clock)
        elif kind == _ON:
            key = value - MIN_PITCH
            lower = key * len(self._recent) < sum(self._recent)
            if self._returning is not None:
                self._returning.strike(key, self._clock, self._voices[0])
            for voice, struck in zip(self._voices, (True, lower, not lower), strict=True):
                if struck:
                    voice.strike(key, self._clock, self._level)
                else:
                    voice.down.pop(key, None)
            self._recent.append(key)

    def say(self, row: np.ndarray, worth: _Worth) -> None:
        """Add to the logits, (310,)."""
        if self._returning is not None and self._returning.say(row, self._clock, self._level, self._voices[0]):
            return
        for voice in self._voices:
            voice.say(row, worth, self._clock)


class _Voice:
    """The notes of one voice, and what the last of them recalls.

    Attributes:
        down: Keys that it holds, and the number of the note that does.
        keys, steps, levels: Of its notes, counted from the piano's lowest; onsets; velocity bins.
        lengths: Steps that they were held; 0 while they are.
    """

    def __init__(self, number: int) -> None:
        self.down: dict[int, int] = {}
        self._number = number
        self._intervals = np.zeros(1024, np.int64)  # that led to each note, 0 to the first; as long as needed
        self.keys: list[int] = []
        self.steps: list[int] = []
        self.levels: list[int] = []
        self.lengths: list[int] = []
        self._source = self._run = self._class = 0

    def strike(self, key: int, clock: int, level: int) -> None:
        """Remember a note, and look for what it comes back to."""
        last = len(self.keys)
        if last == len(self._intervals):
            self._intervals = np.concatenate((self._intervals, np.zeros_like(self._intervals)))
        self._intervals[last] = key - self.keys[-1] if self.keys else 0
        self.keys.append(key)
        self.steps.append(clock)
        self.levels.append(level)
        self.lengths.append(0)
        self.down[key] = last
        self._source, self._run = longest_run(self._intervals[: last + 1])
        if self._run:
            self._class = int(class_of(self._number, self._run, self.keys[self._source] != key))

    def let_go(self, key: int, clock: int) -> None:
        """Remember how long a key was held, if this voice holds it."""
        if (note := self.down.pop(key, None)) is not None:
            self.lengths[note] = clock - self.steps[note]

    def say(self, row: np.ndarray, worth: _Worth, clock: int) -> None:
        """Add to the logits, (310,)."""
        if not self._run:
            return
        i, j, mine = len(self.keys) - 1, self._source, self._class
        steps = self.steps[j + 1] - self.steps[j]
        left = steps - (clock - self.steps[i])
        key = self.keys[i] + self.keys[j + 1] - self.keys[j]
        if 0 <= key < KEYS:
            row[_ON_FIRST + key] += worth.notes[mine][note_opinion(left, steps) - NOTES]
        if left > 0 or steps == 0:
            row[_SHIFTS] += worth.waits[mine, min(max(left, LEAST_LEFT), MOST_LEFT) - LEAST_LEFT]
        level = self.levels[i] + self.levels[j + 1] - self.levels[j]
        row[_LEVELS] += worth.levels[mine, min(max(level, LOWEST_LEVEL), HIGHEST_LEVEL) - LOWEST_LEVEL]
        for down, note in self.down.items():
            was = self.lengths[note - (i - j)] if note >= i - self._run else 0
            if was:
                share = (clock - self.steps[note] + 1) / (was + 1)
                row[_OFF_FIRST + down] += worth.releases[mine][bisect_right(_HELD, share)]
