"""Where a tune comes again: its form, as far as the notes tell.

Specification. A note of a tune returns to an earlier one if both stand at the same place of two stretches of
LEAST_NOTES or more that are alike: the same intervals, and waits that differ by less than TOLERANCE of their
logarithms, so that somebody may have played them. Of several such stretches the longest counts, of equally long ones
the latest. What comes again sooner than LEAST_SECONDS is a figure and no return.

Source: repeated patterns of point sets (Meredith et al. 2002), for one voice and in any key.
"""

from __future__ import annotations

import numpy as np

from musicstyle.music.notes import Notes

LEAST_NOTES = 6
LEAST_SECONDS = 2.0
TOLERANCE = 0.2  # log2: by a seventh
MOST_APART = 4096  # notes


def returns(tune: Notes) -> np.ndarray:
    """How many notes before each note of a tune the one is that it returns to, 0 for none: (n,) int64.

    Args:
        tune: One voice, in the order of onsets.
    """
    apart_of, longest = np.zeros((2, len(tune)), dtype=np.int64)
    intervals = np.diff(tune.pitch)
    waits = np.log2(np.maximum(np.diff(tune.start), np.finfo(float).tiny))
    for apart in range(1, min(len(intervals), MOST_APART)):
        alike = intervals[apart:] == intervals[:-apart]
        alike &= np.abs(waits[apart:] - waits[:-apart]) < TOLERANCE
        edges = np.flatnonzero(np.diff(alike.astype(np.int8), prepend=0, append=0)) + apart
        for first, last in edges.reshape(-1, 2):  # notes; the last is led to by the last wait that is alike
            if last - first + 1 < LEAST_NOTES or tune.start[first] - tune.start[first - apart] < LEAST_SECONDS:
                continue
            stretch = slice(first, last + 1)
            longer = last - first + 1 > longest[stretch]
            longest[stretch][longer] = last - first + 1
            apart_of[stretch][longer] = apart
    return apart_of
