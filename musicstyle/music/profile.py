"""A piece's profile: how it is played, in thirteen distributions; and how much of them two pieces have in common.

The specification. Notes are read chord by chord, as `Notes.chords` says, each chord from low to high. A part of the
profile is a histogram of

    registers        pitch, in bands of four keys
    steps            semitones from note to note as they are read
    upper_intervals  semitones from the highest note of a chord to that of the next
    lower_intervals  likewise of the lowest
    chord_intervals  semitones between neighbours within a chord
    sounding         keys that sound when a chord is complete
    waits            seconds from chord to chord, by their logarithm
    rhythm           each wait over the one before, by its logarithm
    spreads          milliseconds from the first to the last note of a chord of two or more
    lengths          seconds from onset to offset, by their logarithm
    loudness         velocity
    accents          change of a chord's mean velocity to the next
    lead             velocity of a chord's highest note over the mean of its others

as shares of what was counted; what lies beyond the outermost bins counts in them. Where there was nothing to count (a
single voice has no chord intervals) all of the part lies in a bin of its own. What two pieces have in common in a part
is the histograms' intersection: the sum of the smaller of the two shares, 0..1, 1 of equal histograms. It is what the
overlapping area of `musicstyle.music.similarity` is of two normals. The nearness of two pieces is the mean over the
thirteen. A piece without notes has nothing in common with anything, itself included, as there.

No number in it was learned. Edges are round; which parts there are was settled on 480 performances of MAESTRO's train
split by the question that the profile is for: is a stretch of 30 s from one half of a performance nearer to its other
half than to other performances'? It is in 91 % of pairs, by the eight features in 76 (docs/experiments.md).

Source: Swain & Ballard 1991 (histogram intersection); after the features of Yang & Lerch 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicstyle.music.notes import Notes

# Bin edges of each part.
EDGES = {
    "registers": np.linspace(21, 109, 23),
    "steps": np.arange(-24.5, 25),
    "upper_intervals": np.arange(-12.5, 13),
    "lower_intervals": np.arange(-12.5, 13),
    "chord_intervals": np.arange(0.5, 25),
    "sounding": np.arange(0.5, 16),
    "waits": np.linspace(-5, 2, 17),  # log2 of seconds, 31 ms to 4 s
    "rhythm": np.linspace(-3, 3, 17),  # log2
    "spreads": np.linspace(0, 50, 8),
    "lengths": np.linspace(-5, 3.5, 18),  # log2 of seconds, 31 ms to 11 s
    "loudness": np.linspace(0, 128, 17),
    "accents": np.linspace(-40, 40, 17),
    "lead": np.linspace(-30, 40, 15),
}
UNITS = (
    *("MIDI pitch", "semitones", "semitones", "semitones", "semitones", "keys", "log₂ s"),
    *("log₂ of a ratio", "ms", "log₂ s", "MIDI velocity", "velocity", "velocity"),
)
PARTS = tuple(EDGES)
_SIZES = np.array([len(edges) for edges in EDGES.values()])  # one more than there are bins: that of nothing
_FIRST = np.cumsum(_SIZES) - _SIZES
PROFILE = int(_SIZES.sum())


def profile(notes: Notes) -> np.ndarray:
    """The histograms of a piece end to end, (PROFILE,) float64: each part of PARTS sums to 1, or all are 0 of no notes.

    Args:
        notes: Any playing, at least two notes to tell anything.
    """
    if not len(notes):
        return np.zeros(PROFILE)
    return np.concatenate([_shares(values, EDGES[part]) for part, values in _counted(notes).items()])


def in_common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What profiles have in common, part by part.

    Args:
        a: (..., PROFILE).
        b: Of a shape that broadcasts with it.

    Returns:
        (..., 13) in the order of PARTS, 0..1.
    """
    return np.add.reduceat(np.minimum(a, b), _FIRST, axis=-1)


def nearness_matrix(first: Sequence[Notes], second: Sequence[Notes]) -> np.ndarray:
    """What every piece of `first` has in common with every piece of `second`, (first, second, 13)."""
    a, b = (np.array([profile(piece) for piece in pieces]).reshape(-1, PROFILE) for pieces in (first, second))
    return np.array([in_common(row, b) for row in a]).reshape(len(a), len(b), len(PARTS))


def by_part(shares: np.ndarray) -> dict[str, np.ndarray]:
    """A profile as its histograms by part; each ends with the bin of nothing."""
    return dict(zip(PARTS, np.split(shares, _FIRST[1:]), strict=True))


def _counted(notes: Notes) -> dict[str, np.ndarray]:
    """What each part counts, in the order of PARTS."""
    chord = notes.chords()
    order = np.lexsort((notes.pitch, chord))
    pitch, velocity = notes.pitch[order], notes.velocity[order]
    first = np.flatnonzero(np.diff(chord, prepend=-1))  # of each chord, in time and as it is read
    size = np.diff(first, append=len(notes))
    last = first + size - 1
    begun, complete = notes.start[first], notes.start[last]
    loudness = np.add.reduceat(velocity, first) / size
    several = size > 1
    waits = np.log2(np.diff(begun))
    ended = np.searchsorted(np.sort(notes.end), complete, "right")
    others = (loudness * size - velocity[last])[several] / (size[several] - 1)
    return {
        "registers": pitch,
        "steps": np.diff(pitch),
        "upper_intervals": np.diff(pitch[last]),
        "lower_intervals": np.diff(pitch[first]),
        "chord_intervals": np.delete(np.diff(pitch), first[1:] - 1),
        "sounding": np.searchsorted(notes.start, complete, "right") - ended,
        "waits": waits,
        "rhythm": np.diff(waits),
        "spreads": 1000 * (complete - begun)[several],
        "lengths": np.log2(np.maximum(notes.end - notes.start, np.finfo(float).tiny)),
        "loudness": velocity,
        "accents": np.diff(loudness),
        "lead": velocity[last][several] - others,
    }


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Shares of the values in each bin, those beyond in the outermost, and whether there were none, (len(edges),)."""
    if not len(values):
        return np.append(np.zeros(len(edges) - 1), 1.0)
    number = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return np.append(np.bincount(number, minlength=len(edges) - 1) / len(values), 0.0)
