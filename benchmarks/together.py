"""How what is played besides a tune goes with it: in time, in its key and in its form. Used by settings.py.

Of a piece, the notes that play the tune are those of `musicstyle eval melody` (same pitch, within 100 ms); the others
are what is played besides. Counts and seconds are summed over pieces and divided once.

- tune_deviation_ms: standard deviation of the onsets of the notes that play the tune from those asked for.
- with_tune: of the others, the share struck within 15, 25 and 40 ms of a note of the tune.
- in_scale: of the others, the share whose pitch class is in the tune's scale: major or natural minor, of the key whose
  profile correlates most with the tune's pitch classes, weighted by length (Krumhansl & Kessler 1982).
- semitone: of the seconds that another note sounds with one of the tune, the share in which they are a semitone, its
  octaves or their inversions apart.
- returned: of the others, where the tune returns (musicstyle.music.returns), the share played likewise then: a key as
  far from it, within 100 ms of its time; null if no tune returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from musicstyle.evaluation.melody import WIDE_SECONDS
from musicstyle.music.matching import SLACK_SECONDS, match
from musicstyle.music.notes import Notes
from musicstyle.music.returns import returns

EARLY_SECONDS = 0.05  # what is struck so long before a note of the tune goes with it
NEAR_SECONDS = np.array([0.015, 0.025, 0.04])
PROFILES = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))  # of the modes of PROFILES


def together(tunes: Sequence[Notes], pieces: Sequence[Notes]) -> dict[str, Any]:
    """The figures of the module's docstring, of pieces and the tune of each on its time axis; neither may be empty."""
    near, in_scale, classes, returned = np.zeros(len(NEAR_SECONDS)), 0, np.zeros(7), np.zeros(2, np.int64)
    deviations, count = [], 0
    for tune, piece in zip(tunes, pieces, strict=True):
        heard, struck = match(tune, piece, WIDE_SECONDS)
        others = np.ones(len(piece), dtype=bool)
        others[struck] = False
        rest = piece[others]
        deviations.append(piece.start[struck] - tune.start[heard])
        count += len(rest)
        distance = np.abs(rest.start[:, None] - tune.start).min(axis=1)
        near += (distance[:, None] <= NEAR_SECONDS + SLACK_SECONDS).sum(axis=0)
        in_scale += int(np.isin(rest.pitch % 12, scale(tune)).sum())
        returned += _returned(tune, rest)
        both = np.minimum(rest.end[:, None], tune.end) - np.maximum(rest.start[:, None], tune.start)
        apart = (rest.pitch[:, None] - tune.pitch) % 12
        classes += np.bincount(
            np.minimum(apart, 12 - apart).ravel(), weights=np.maximum(both, 0.0).ravel(), minlength=len(classes)
        )
    return {
        "tune_deviation_ms": round(float(np.concatenate(deviations).std()) * 1000, 1),
        "with_tune": (near / max(count, 1)).round(3).tolist(),
        "in_scale": round(in_scale / max(count, 1), 3),
        "semitone": round(float(classes[1] / max(classes.sum(), SLACK_SECONDS)), 3),
        "returned": round(float(returned[0] / returned[1]), 3) if returned[1] else None,
    }


def _returned(tune: Notes, rest: Notes) -> tuple[int, int]:
    """How many of the others were played likewise, and how many there are where the tune returns."""
    note = np.searchsorted(tune.start, rest.start + EARLY_SECONDS, "right") - 1
    apart = np.where(note >= 0, returns(tune)[note], 0)
    again = apart > 0
    note, to = note[again], (note - apart)[again]
    then = rest.start[again] - tune.start[note] + tune.start[to]
    key = rest.pitch[again] - tune.pitch[note] + tune.pitch[to]
    alike = (np.abs(rest.start - then[:, None]) <= WIDE_SECONDS + SLACK_SECONDS) & (rest.pitch == key[:, None])
    return int(alike.any(axis=1).sum()), len(note)


def scale(tune: Notes) -> np.ndarray:
    """The pitch classes of the tune's key, (7,)."""
    lasts = np.bincount(tune.pitch % 12, weights=tune.end - tune.start, minlength=12)
    keys = [(mode, tonic) for mode in range(len(PROFILES)) for tonic in range(12)]
    fit = [np.corrcoef(lasts, np.roll(PROFILES[mode], tonic))[0, 1] for mode, tonic in keys]
    mode, tonic = keys[int(np.argmax(fit))]
    return (np.array(SCALES[mode]) + tonic) % 12
