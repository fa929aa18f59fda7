"""How much of a piece comes again, in any key. Used by settings.py.

Of the notes of the lower voice and of the higher one (musicstyle.music.motifs), the share that ends a run of so many
intervals or more that was there before; means over pieces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicstyle.music.motifs import longest_runs, voices
from musicstyle.music.notes import Notes
from musicstyle.music.vocabulary import STEPS_PER_SECOND

RUNS = (3, 6)


def recurrence(pieces: Sequence[Notes]) -> dict[str, float]:
    """The figures of the module's docstring; no piece may be empty."""
    each = np.mean([_of(piece) for piece in pieces], axis=0)
    names = [f"{voice}_{run}" for voice in ("lower", "higher") for run in RUNS]
    return {name: round(float(value), 3) for name, value in zip(names, each, strict=True)}


def _of(piece: Notes) -> list[float]:
    order = np.lexsort((piece.pitch, np.round(piece.start * STEPS_PER_SECOND)))
    keys = piece.pitch[order]
    _, *of = voices(keys)
    found = [longest_runs(keys[voice])[1] for voice in of]
    return [float(np.mean(runs >= run)) if len(runs) else 0.0 for runs in found for run in RUNS]
