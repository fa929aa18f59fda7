"""Which notes of a melody can be heard in a performance of it: a matching of onsets, pitch by pitch.

The oracle is mir_eval.transcription.match_notes, whose matching has the same size.
"""

from __future__ import annotations

import numpy as np

from musicstyle.music.notes import Notes

SLACK_SECONDS = 1e-6  # onsets lie on a 10 ms grid that float64 cannot hold


def match(melody: Notes, performance: Notes, tolerance_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A largest one-to-one matching of notes of one pitch with onsets at most the tolerance apart.

    Returns:
        Indices of the matched notes in `melody` and in `performance`, (pairs,) int64 each.
    """
    reach = tolerance_seconds + SLACK_SECONDS
    pairs: list[tuple[int, int]] = []
    for pitch in np.unique(melody.pitch):
        wanted, struck = np.flatnonzero(melody.pitch == pitch), np.flatnonzero(performance.pitch == pitch)
        # All tolerances are equal, so taking the earliest possible strike for each note in turn loses no pair.
        i = j = 0
        while i < len(wanted) and j < len(struck):
            offset = performance.start[struck[j]] - melody.start[wanted[i]]
            if abs(offset) <= reach:
                pairs.append((wanted[i], struck[j]))
            i += bool(offset >= -reach)
            j += bool(offset <= reach)
    heard, by = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return heard, by
