"""One piece heard in several keys at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicstyle.music.transposed import held_transposed, melody_table, performance_table


class Ensemble:
    """The keys in which each of a variation's guidance rows is heard, and the way back to the piece's own.

    A model that has not heard a passage in every key says a little of something else in each; their mean is nearer to
    the truth than any (docs/experiments.md).
    """

    def __init__(self, semitones: Sequence[int], guidance_rows: int) -> None:
        self.semitones, self._guidance = semitones, guidance_rows
        self._tables = np.stack([performance_table(key) for key in semitones])

    @property
    def rows(self) -> int:
        """Of one variation."""
        return self._guidance * len(self.semitones)

    def heard(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The state of all rows from that of the variations: ids and clock (variations, ...), held (..., 88)."""
        return (
            self._rows([table[ids] for table in self._tables]),
            self._rows([clock] * len(self._tables)),
            self._rows([held_transposed(held, key) for key in self.semitones]),
        )

    def melodies(self, melody: np.ndarray) -> np.ndarray:
        """Melody ids, (frames,), in each key, (keys, frames)."""
        return np.stack([melody_table(key)[melody] for key in self.semitones])

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Logits of all rows, (rows, ids), in the piece's own key: (variations, guidance rows, ids)."""
        each = logits.reshape(-1, self._guidance, *self._tables.shape)
        return np.take_along_axis(each, self._tables[None, None], axis=-1).mean(axis=2)

    def _rows(self, each: list[np.ndarray]) -> np.ndarray:
        in_keys = np.stack(each, axis=1)  # (variations, keys, ...)
        rows = np.repeat(in_keys[:, None], self._guidance, axis=1)
        return rows.reshape(len(in_keys) * self.rows, *in_keys.shape[2:])
