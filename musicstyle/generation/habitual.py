"""What the habits of a style add to the logits of the next id.

It is asked before every id, so tables are cut here, not looked up id by id as by `musicstyle.music.habits.places`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from musicstyle.generation.rules import Grammar
from musicstyle.music.habits import EVERYWHERE, FIRST, LEAPS, MOVES, RELEASES, WAITS, release_of
from musicstyle.music.vocabulary import (
    KEYS,
    MAX_SHIFT_STEPS,
    NOTE_OFF,
    NOTE_ON,
    PERFORMANCE,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_BINS,
)

_ON, _SHIFT, _VELOCITY = (
    slice(every.start, every.stop) for every in map(PERFORMANCE.ids, (NOTE_ON, TIME_SHIFT, VELOCITY))
)
_OFF = PERFORMANCE.first(NOTE_OFF)
_FIRST = FIRST.tolist()


class Habitual:
    """A performance's habits, crop by crop."""

    def __init__(self, worth: Tensor) -> None:
        """`worth`: the rows of `Condition.habits` that hear its crops, (crops, habits + 1)."""
        self._worth = worth.numpy(force=True)

    def says(self, grammars: Sequence[Grammar], held: np.ndarray, crops: np.ndarray) -> np.ndarray:
        """What is added for every id, (variations, 310).

        Args:
            grammars: Where each variation stands.
            held: For how long its keys have been down, (variations, 88).
            crops: Which crop it hears, (variations,).
        """
        each = self._worth[crops]
        said = each[:, EVERYWHERE]
        for row, worth, grammar, down in zip(said, each, grammars, held, strict=True):
            after, struck, in_chord = grammar.stands
            row[_SHIFT] += _from(worth, _FIRST[WAITS + after], MAX_SHIFT_STEPS)
            if struck >= 0:
                row[_ON] += _from(worth, _FIRST[LEAPS + in_chord] + KEYS - 1 - struck, KEYS)
            if grammar.velocity_bin:
                row[_VELOCITY] += _from(worth, _FIRST[MOVES] + VELOCITY_BINS - grammar.velocity_bin, VELOCITY_BINS)
            (keys,) = down.nonzero()
            row[_OFF + keys] += worth[_FIRST[RELEASES] + release_of(down[keys])]
        return said


def _from(worth: np.ndarray, first: int, count: int) -> np.ndarray:
    return worth[first : first + count]
