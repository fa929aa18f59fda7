"""A performance as a sequencer or a notation program would write it: on a grid, perhaps all notes as loud.

Most files that people have were written so, hardly any that pianists' hands were recorded in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musicstyle.music.notes import Notes

GRIDS = (0.05, 0.15)  # seconds from line to line: sixteenths at quarter notes of 300 to 100 a minute
LOUDNESSES = (40, 120)
SHARE_AS_LOUD = 0.75  # of those who write so, the others keep what is loud and soft


@dataclass(frozen=True)
class Sequencer:
    """How one writes.

    Attributes:
        grid: Seconds from line to line, above 0.
        loudness: Velocity of all notes; None: each keeps its own.
    """

    grid: float
    loudness: int | None

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Sequencer:
        """One of GRIDS, by equal chances for equal ratios, and of LOUDNESSES."""
        grid = float(np.exp(rng.uniform(*np.log(GRIDS))))
        loudness = int(rng.integers(*LOUDNESSES, endpoint=True))
        return cls(grid, loudness if rng.random() < SHARE_AS_LOUD else None)

    def write(self, notes: Notes) -> tuple[Notes, np.ndarray]:
        """Onsets and ends go to the nearest line, at least one apart; a key is struck once on a line, for the longest.

        Returns:
            The notes that are left, and which of the given ones each of them was, (notes,).
        """
        start, end = (np.round(seconds / self.grid) * self.grid for seconds in (notes.start, notes.end))
        _, kept, which = np.unique(np.stack((start, notes.pitch)), axis=1, return_index=True, return_inverse=True)
        end = np.maximum(end, start + self.grid)
        np.maximum.at(end, kept[which], end.copy())
        velocity = notes.velocity if self.loudness is None else np.full(len(notes), self.loudness)
        return Notes(start, end, notes.pitch, velocity)[kept], kept
