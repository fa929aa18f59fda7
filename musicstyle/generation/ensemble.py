"""One piece heard in several keys at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicstyle.music.transposed import held_transposed, melody_table, performance_table


class Ensemble:
    """The rows of a batch, one a key of each guidance row of each variation, and the way back to the piece's own key.

    A model that has not heard a passage in every key says a little of something else in each; their mean is nearer to
    the truth than any (docs/experiments.md).
    """

    def __init__(self, semitones: Sequence[int], variations: int, guidance_rows: int) -> None:
        self.semitones = semitones
        self._shape = (variations, guidance_rows, len(semitones))
        self._variation, _, self._key = (number.ravel() for number in np.indices(self._shape))
        self._tables = [performance_table(key) for key in semitones]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._key)

    def heard(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each row hears of the variations: ids and clock (variations, ...), held (variations, ..., 88).

        Returns:
            The same with a row for each variation, guidance row and key, ids and held moved to that key.
        """
        place = (self._key, self._variation)
        return (
            np.stack([table[ids] for table in self._tables])[place],
            clock[self._variation],
            np.stack([held_transposed(held, key) for key in self.semitones])[place],
        )

    def melodies(self, melody: np.ndarray) -> np.ndarray:
        """Melody ids, (frames,), in each key: (keys, frames)."""
        return np.stack([melody_table(key)[melody] for key in self.semitones])

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Logits of all rows, (rows, ids), in the piece's own key: (variations, guidance rows, ids)."""
        each = logits.reshape(*self._shape, -1)
        return np.mean([each[:, :, i].take(table, axis=-1) for i, table in enumerate(self._tables)], axis=0)
