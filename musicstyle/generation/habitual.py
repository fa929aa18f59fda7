"""What the habits of a style add to the logits of the next id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from musicstyle.generation.rules import Grammar
from musicstyle.music.habits import EVERYWHERE, speaking


class Habitual:
    """A performance's habits, asked at every id."""

    def __init__(self, worth: Tensor) -> None:
        """`worth`: the row of `Condition.habits` that hears the performance, (habits + 1,)."""
        self._worth = worth.numpy(force=True)
        self._everywhere = self._worth[EVERYWHERE]

    def says(self, grammars: Sequence[Grammar], held: np.ndarray) -> np.ndarray:
        """What is added for every id, (variations, 310).

        Args:
            grammars: Where each variation stands.
            held: For how long its keys have been down, (variations, 88).
        """
        after, struck, in_chord, level = (np.array(part) for part in zip(*(g.stands for g in grammars), strict=True))
        return self._worth[speaking(after, struck, in_chord, level, held)] + self._everywhere
