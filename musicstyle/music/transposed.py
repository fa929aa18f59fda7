"""The same music in another key, in ids. What would leave the keyboard stays at its end."""

from __future__ import annotations

from functools import cache

import numpy as np

from musicstyle.music.vocabulary import KEYS, MELODY, NOTE_OFF, NOTE_ON, PERFORMANCE, PITCH, Codec


@cache
def performance_table(semitones: int) -> np.ndarray:
    """What each performance id is so many semitones higher, (310,) int64: table[ids] is the music in that key."""
    return _table(PERFORMANCE, (NOTE_ON, NOTE_OFF), semitones)


@cache
def melody_table(semitones: int) -> np.ndarray:
    """The same of melody ids, (92,) int64."""
    return _table(MELODY, (PITCH,), semitones)


def held_transposed(held: np.ndarray, semitones: int) -> np.ndarray:
    """What is told of each of the piano's keys, (..., 88), of the music so many semitones higher; 0 beyond the ends."""
    moved = np.zeros_like(held)
    if abs(semitones) < KEYS:
        here, there = slice(max(0, -semitones), KEYS - max(0, semitones)), max(0, semitones)
        moved[..., there : there + here.stop - here.start] = held[..., here]
    return moved


def _table(codec: Codec, kinds: tuple[str, ...], semitones: int) -> np.ndarray:
    table = np.arange(codec.size)
    for kind in kinds:
        ids = codec.ids(kind)
        table[ids.start : ids.stop] = np.clip(np.arange(ids.start, ids.stop) + semitones, ids.start, ids.stop - 1)
    table.flags.writeable = False
    return table
