"""How many keys sound at once in a piece, and how closely they lie. Used by settings.py.

A piece is looked at every 0.1 s, from its first onset to its last; figures are means over pieces.

- keys: how many keys sound.
- clusters: the share of moments in which CLUSTER or more sounding keys have a sounding neighbour a semitone above.
- low_thirds: of sounding keys that follow each other upwards, the share that lies at most a major third apart, the
  lower one below C3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicstyle.music.notes import Notes

STEP_SECONDS = 0.1
CLUSTER = 4
MAJOR_THIRD, C3 = 4, 48


def sonority(pieces: Sequence[Notes]) -> dict[str, float]:
    """The figures of the module's docstring; no piece may be empty."""
    each = np.mean([_of(piece) for piece in pieces], axis=0)
    return {name: round(float(value), 3) for name, value in zip(("keys", "clusters", "low_thirds"), each, strict=True)}


def _of(piece: Notes) -> tuple[float, float, float]:
    moments = np.arange(piece.start.min(), piece.start.max() + STEP_SECONDS / 2, STEP_SECONDS)
    sounding = [np.unique(piece.pitch[(piece.start <= moment) & (piece.end > moment)]) for moment in moments]
    gaps = [np.diff(keys) for keys in sounding]
    clusters = np.mean([np.sum(gap == 1) >= CLUSTER for gap in gaps])
    low = sum(np.sum((gap <= MAJOR_THIRD) & (keys[:-1] < C3)) for gap, keys in zip(gaps, sounding, strict=True))
    return float(np.mean([len(keys) for keys in sounding])), float(clusters), low / max(sum(map(len, gaps)), 1)
