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
    """A performance's habits."""

    def __init__(self, worth: Tensor) -> None:
        """`worth`: the row of `Condition.habits` that hears the performance, (habits + 1,)."""
        self._worth = worth.numpy(force=True)
        self._everywhere = self._worth[EVERYWHERE]
        self._releases = self._worth[_FIRST[RELEASES] :]

    def says(self, grammars: Sequence[Grammar], held: np.ndarray) -> np.ndarray:
        """What is added for every id, (variations, 310).

        Args:
            grammars: Where each variation stands.
            held: For how long its keys have been down, (variations, 88).
        """
        said = np.tile(self._everywhere, (len(grammars), 1))
        for row, grammar, down in zip(said, grammars, held, strict=True):
            after, struck, in_chord, level = grammar.stands
            row[_SHIFT] += self._from(_FIRST[WAITS + after], MAX_SHIFT_STEPS)
            if struck >= 0:
                row[_ON] += self._from(_FIRST[LEAPS + in_chord] + KEYS - 1 - struck, KEYS)
            if level >= 0:
                row[_VELOCITY] += self._from(_FIRST[MOVES] + VELOCITY_BINS - 1 - level, VELOCITY_BINS)
            (keys,) = down.nonzero()
            row[_OFF + keys] += self._releases[release_of(down[keys])]
        return said

    def _from(self, first: int, count: int) -> np.ndarray:
        return self._worth[first : first + count]
