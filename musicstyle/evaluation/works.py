"""Which performances are of the same work, told by their notes: titles are spelled in many ways.

MAESTRO's splits keep the performances of a work together, so that most have another beside them that plays the same
notes. What is asked of a performance, its pianist or its composer must not be answered by those.

Two performances are of one work if they share more than SHARED of the runs of the one that has fewer. A run is RUN
pitches one after another in reading order whose intervals do not come again after FIGURE notes or fewer: scales, trills
and broken chords are of every work. Measured on MAESTRO (docs/experiments.md): of 326,000 pairs of performances in
different splits, which have no work in common, none shares more than 0.016; in the validation split 103 pairs share
more than 0.025, all of one work, and no other pair more than 0.007.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from musicstyle.evaluation.memorisation import reading_order
from musicstyle.music.notes import Notes
from musicstyle.music.vocabulary import MAX_PITCH, MIN_PITCH

RUN = 9
FIGURE = 4
SHARED = 0.02
KEYS = MAX_PITCH - MIN_PITCH + 1


def runs(notes: Notes) -> np.ndarray:
    """The runs of a performance as numbers, each once, in rising order, int64."""
    if len(notes) < RUN:
        return np.zeros(0, dtype=np.int64)
    keys = notes.pitch[reading_order(notes)].astype(np.int64) - MIN_PITCH
    windows = np.lib.stride_tricks.sliding_window_view(keys, RUN)
    steps = np.diff(windows, axis=1)
    again = [(steps[:, period:] == steps[:, :-period]).all(axis=1) for period in range(1, FIGURE + 1)]
    return np.unique(windows[~np.any(again, axis=0)] @ KEYS ** np.arange(RUN))


def shared_runs(performances: Sequence[Notes]) -> np.ndarray:
    """Of the runs of the one that has fewer, the share that the other has too, (n, n); 0 where one has none."""
    found = [runs(notes) for notes in performances]
    counts = np.array([len(one) for one in found])
    _, column = np.unique(np.concatenate(found), return_inverse=True)
    rows = np.repeat(np.arange(len(found)), counts)
    has = csr_array((np.ones(len(rows)), (rows, column)), shape=(len(found), max(column, default=0) + 1))
    return (has @ has.T).toarray() / np.maximum(np.minimum.outer(counts, counts), 1)


def works(performances: Sequence[Notes]) -> np.ndarray:
    """Number of the work that each is of, (n,); a performance of several works joins those of each."""
    _, number = connected_components(csr_array(shared_runs(performances) > SHARED), directed=False)
    return np.asarray(number)
