"""The melody as a line that is heard out: louder and higher than what is around it, moving by small steps.

The likeliest line of notes, each beginning after the one before. A note is worth more the louder and the higher it is
than the notes within 4 s; each step of the line costs its interval, its change of loudness and the time it leaves the
line without an onset; a pause costs once, however long. Notes worth less than they cost are no melody, so interludes
may have none; where the published extraction must take one wherever something sounds.

Against it, and for the numbers below: benchmarks/melody_extraction.py and docs/experiments.md.
"""

from __future__ import annotations

import numpy as np

from musicstyle.music.notes import Notes

# Tuned on every other file of POP909 (the rest kept for the test), the mean of F1 with the velocities and without any.
WORTH = 0.89  # of a note as loud and as high as its surroundings
LOUDNESS = 1.13  # of 16 velocities more
HEIGHT = 0.76  # of an octave more
INTERVAL = 1.99  # cost of an octave or more in one step, in proportion below
UNEVENNESS = 0.58  # cost of 16 velocities' difference, in proportion up to 32
WAIT = 1.36  # cost of a second from onset to onset
PAUSE = 3.39  # cost of beginning anew
SURROUNDINGS_SECONDS = 4.0
REACH_SECONDS = 3.0  # a longer step is a pause
CHORD_SECONDS = 0.03  # notes this close begin together
HELD_SECONDS = 0.2  # a note is taken to last through a shorter gap
_ONE_VOICE_OVERLAP = 0.05  # of the notes' time, that legato playing may overlap


def line_index(notes: Notes) -> np.ndarray:
    """Indices of the line's notes, ascending, (m,) int64; none if no line is worth what it costs."""
    if not len(notes):
        return np.zeros(0, np.int64)
    merit = _merit(notes)
    best, came_from = np.zeros(len(notes)), np.full(len(notes), -1)
    # A line that pauses may begin anew after any note that has begun: the best of those so far, 0 before any.
    paused, paused_at, passed = 0.0, -1, 0
    together = np.searchsorted(notes.start, notes.start - CHORD_SECONDS, side="left")
    within = np.searchsorted(notes.start, notes.start - REACH_SECONDS, side="right")
    for note in range(len(notes)):
        while passed < together[note]:
            if best[passed] > paused:
                paused, paused_at = best[passed], passed
            passed += 1
        value, origin = paused - PAUSE, paused_at
        before = slice(within[note], together[note])
        if before.start < before.stop:
            values = best[before] - _step_costs(notes, before, note)
            likeliest = int(values.argmax())
            if values[likeliest] > value:
                value, origin = values[likeliest], before.start + likeliest
        best[note], came_from[note] = value + merit[note], origin
    line, note = [], int(best.argmax()) if best.max() > 0 else -1
    while note >= 0:
        line.append(note)
        note = int(came_from[note])
    return np.array(line[::-1], dtype=np.int64)


def line_ends(notes: Notes, index: np.ndarray) -> np.ndarray:
    """Where each note of a line ends in it, (m,) seconds: at its own end, or the next onset if earlier or near."""
    end = notes.end[index]
    following = np.append(notes.start[index][1:], np.inf)
    return np.where(following - end < HELD_SECONDS, following, end)


def is_one_voice(notes: Notes) -> bool:
    """Whether notes follow one another, but for legato: a tune that is its own melody."""
    sounding = np.maximum.accumulate(notes.end)[:-1]
    overlap = np.maximum(np.minimum(sounding, notes.end[1:]) - notes.start[1:], 0).sum()
    together = np.diff(notes.start) < CHORD_SECONDS
    return bool(overlap <= _ONE_VOICE_OVERLAP * (notes.end - notes.start).sum() and not together.any())


def _merit(notes: Notes) -> np.ndarray:
    """What each note is worth by itself, (n,)."""
    first = np.searchsorted(notes.start, notes.start - SURROUNDINGS_SECONDS, side="left")
    last = np.searchsorted(notes.start, notes.start + SURROUNDINGS_SECONDS, side="right")

    def above_mean(column: np.ndarray) -> np.ndarray:
        sums = np.append(0.0, np.cumsum(column))
        return column - (sums[last] - sums[first]) / (last - first)

    return WORTH + LOUDNESS * above_mean(notes.velocity) / 16 + HEIGHT * above_mean(notes.pitch) / 12


def _step_costs(notes: Notes, before: slice, note: int) -> np.ndarray:
    """What it costs to come to a note from each of those before, (k,)."""
    interval = np.minimum(np.abs(notes.pitch[before] - notes.pitch[note]), 12) / 12
    loudness = np.minimum(np.abs(notes.velocity[before] - notes.velocity[note]), 32) / 16
    wait = notes.start[note] - notes.start[before]
    return INTERVAL * interval + UNEVENNESS * loudness + WAIT * wait
