"""What came after a motif the last time: a piece remembers itself, in any key.

Specification. A piece is heard in VOICES voices: all of its notes, the lower and the higher ones, a note being lower if
its key lies below the mean of the RECENT struck before it. In each voice, the intervals that led to the last note are
looked for among those before: the longest run of them that was there (LONGEST at most), and of equally long ones the
latest. What followed there is recalled: in how many steps the next note was struck, by what interval, how much louder,
and, of the notes of the run, how long each was held. Each of a voice's opinions is one of MOTIFS numbers,

- by how long the run is (LENGTHS) and whether it stands in another key than it did;
- notes: the NOTE_ON of the recalled key, before its time, at it or after it;
- waits: TIME_SHIFTs by where they lead to, before, to or beyond the recalled time (LEADS), if that is still to come;
- levels: VELOCITYs by their distance from the recalled one;
- releases: NOTE_OFFs of keys of the run by how long they were down, of as long as then (HELD).

Source: Conklin & Witten 1995 (a short-term model over viewpoints of a piece); the match model of Mahoney 2005 (PAQ).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from musicstyle.music.performance import elapsed_steps, looking_back
from musicstyle.music.vocabulary import (
    KEYS,
    MAX_SHIFT_STEPS,
    MIN_PITCH,
    NOTE_OFF,
    NOTE_ON,
    PERFORMANCE,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_BINS,
)

VOICES = 3
RECENT = 16  # notes
LENGTHS = np.array([1, 2, 3, 4, 5, 6, 8, 12])  # each class up to below the next
LONGEST = int(LENGTHS[-1])
LEADS = np.array([-5, -2, -1, 0, 1, 2, 3, 6, 16])  # steps beyond the recalled time, likewise; the first is all below
HELD = np.array([0.37, 0.7, 0.9, 1.1, 1.4])  # parts of how long it was then, likewise
FARTHEST_LEVEL = 3  # bins
# A voice's opinions in one class of runs, one after the other.
NOTES, WAITS = 0, 3
LEVELS = WAITS + len(LEADS) + 1
RELEASES = LEVELS + 2 * FARTHEST_LEVEL + 1
OPINIONS = RELEASES + len(HELD) + 1
_CLASSES = 2 * len(LENGTHS)
MOTIFS = VOICES * _CLASSES * OPINIONS
NONE = MOTIFS  # where a voice says nothing
LEAST_LEFT, MOST_LEFT = -int(LEADS[-1]), MAX_SHIFT_STEPS - int(LEADS[0]) + 1  # steps; beyond either nothing changes
_WAITS = WAITS + np.searchsorted(
    LEADS, np.arange(1, MAX_SHIFT_STEPS + 1) - np.arange(LEAST_LEFT, MOST_LEFT + 1)[:, None], "right"
)
_BINS = np.arange(1, VELOCITY_BINS + 1)
Numbers = np.ndarray | np.int64 | int  # one, or many
_ON, _OFF, _SHIFT, _VELOCITY = map(PERFORMANCE.first, (NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY))


def recalled(ids: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Which opinion each voice has of each id at each place of a performance.

    Args:
        ids: Performance ids, (n,); PAD may follow the end.
        held: For how long each key has been down before each of them, see `held_before`.

    Returns:
        (voices, n, 310) int16, NONE for none.
    """
    said = np.full((VOICES, len(ids), PERFORMANCE.size), NONE, dtype=np.int16)
    (at,) = np.nonzero(PERFORMANCE.kinds[ids] == PERFORMANCE.kind_index(NOTE_ON))
    keys = PERFORMANCE.values[ids[at]] - MIN_PITCH
    clock = np.concatenate(([0], elapsed_steps(ids)))
    before, last = looking_back(ids)
    levels = PERFORMANCE.values[before[last[VELOCITY]]][at]
    off = _let_go(ids, at, keys)
    lengths = clock[off] - clock[at]
    # Before each id, the number of the last note of each key, -1 for none.
    struck = np.full((len(ids) + 1, KEYS), -1)
    struck[at + 1, keys] = np.arange(len(at))
    struck = np.maximum.accumulate(struck, axis=0)
    for voice, of in enumerate(voices(keys)):
        (notes,) = np.nonzero(of)
        sources, runs = longest_runs(keys[notes])
        now = np.searchsorted(at[notes], np.arange(len(ids))) - 1  # the voice's last note before each id
        (there,) = np.nonzero((now >= 0) & (np.append(runs, 0)[now] > 0))
        i = now[there]
        j, run = sources[i], runs[i]
        note, then, next_then = notes[i], notes[j], notes[j + 1]
        first = class_of(voice, run, keys[note] != keys[then]) * OPINIONS
        steps = clock[at[next_then]] - clock[at[then]]
        left = steps - (clock[there] - clock[at[note]])
        key = keys[note] + keys[next_then] - keys[then]
        on = (key >= 0) & (key < KEYS)
        said[voice, there[on], _ON + key[on]] = (first + note_opinion(left, steps))[on]
        to_come = (left > 0) | (steps == 0)
        said[voice, there[to_come], _SHIFT : _SHIFT + MAX_SHIFT_STEPS] = (first[:, None] + wait_opinions(left))[to_come]
        level = levels[note] + levels[next_then] - levels[then]
        said[voice, there, _VELOCITY : _VELOCITY + VELOCITY_BINS] = first[:, None] + level_opinions(level[:, None])
        # Which note of the voice holds each key, and which one of the run it was then.
        holds = struck[there]
        number = np.cumsum(of)[holds] - 1
        same = number - (i - j)[:, None]
        known = (held[there] > 0) & of[holds] & (number >= (i - run)[:, None])
        known &= off[notes[same]] < there[:, None]
        row, down = np.nonzero(known)
        was = lengths[notes[same[known]]]
        said[voice, there[row], _OFF + down] = first[row] + release_opinion(held[there[row], down], was)
    return said


def voices(keys: np.ndarray) -> np.ndarray:
    """Which of the keys that are struck, (n,), each voice has, (voices, n) bool."""
    number = np.arange(len(keys))
    total, since = np.concatenate(([0], np.cumsum(keys))), np.maximum(number - RECENT, 0)
    lower = keys * (number - since) < total[number] - total[since]
    return np.stack((np.ones_like(lower), lower, ~lower))


def longest_runs(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each note of a voice what `longest_run` finds.

    Args:
        keys: Of the voice's notes, (n,).

    Returns:
        Numbers of notes, (n,), and lengths, (n,).
    """
    intervals = np.diff(keys, prepend=keys[:1])
    same = np.tril(intervals[:, None] == intervals, -1)
    same[:, :1] = False
    # Each round counts the pairs of notes to which one interval more led likewise.
    length, still = same.astype(np.int8), same
    for _ in range(LONGEST - 1):
        longer = np.zeros_like(same)
        longer[1:, 1:] = same[1:, 1:] & still[:-1, :-1]
        length, still = length + longer, longer
    runs = length.max(axis=1, initial=0)
    latest = len(keys) - 1 - np.argmax(length[:, ::-1], axis=1) if len(keys) else runs
    return np.where(runs > 0, latest, 0), runs.astype(np.int64)


def longest_run(intervals: np.ndarray) -> tuple[int, int]:
    """The earlier note to which the longest run of a voice's last intervals led, the latest if there are several.

    Args:
        intervals: That led to each of its notes, (n,); what stands for the first is not looked at.

    Returns:
        The note's number and the run's length, up to LONGEST; 0 and 0 if there is none.
    """
    last = len(intervals) - 1
    ends = np.flatnonzero(intervals[1:last] == intervals[last]) + 1
    if not len(ends):
        return 0, 0
    run = 1
    while run < LONGEST:
        longer = ends[ends > run]
        longer = longer[intervals[longer - run] == intervals[last - run]]
        if not len(longer):
            break
        ends, run = longer, run + 1
    return int(ends[-1]), run


def class_of(voice: int, run: Numbers, moved: Numbers) -> Any:
    """Which of all voices' classes a run is of: by its length, 1 or more, and whether it stands in another key."""
    return voice * _CLASSES + 2 * (np.searchsorted(LENGTHS, run, "right") - 1) + moved


def note_opinion(left: Numbers, steps: Numbers) -> Any:
    """Of the recalled key's NOTE_ON when `left` steps are left to its time; `steps` lay between the two notes then."""
    near = 2 + steps // 6
    return NOTES + (left <= near) + (left < -near)


def wait_opinions(left: Numbers) -> np.ndarray:
    """Of every TIME_SHIFT, (..., 100), when so many steps, (...), are left."""
    return _WAITS[np.clip(left, LEAST_LEFT, MOST_LEFT) - LEAST_LEFT]


def level_opinions(level: Numbers) -> np.ndarray:
    """Of every VELOCITY when this bin is recalled, or one beyond the ends: (..., 1) to (..., 32)."""
    return LEVELS + FARTHEST_LEVEL + np.clip(_BINS - level, -FARTHEST_LEVEL, FARTHEST_LEVEL)


def release_opinion(held: Numbers, was: Numbers) -> Any:
    """Of the NOTE_OFF of a key that has been down for `held` - 1 steps and was down for `was` then."""
    return RELEASES + np.searchsorted(HELD, held / (was + 1), "right")


def _let_go(ids: np.ndarray, at: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where the NOTE_OFF of each note stands; len(ids) if none does before its key is struck again."""
    end = len(ids)
    ons, offs = (
        np.append(np.sort((PERFORMANCE.values[ids[those]] - MIN_PITCH) * end + those), KEYS * end)
        for those in (
            np.flatnonzero(PERFORMANCE.kinds[ids] == PERFORMANCE.kind_index(event)) for event in (NOTE_ON, NOTE_OFF)
        )
    )
    note = keys * end + at
    again, off = (events[np.searchsorted(events, note, "right")] for events in (ons, offs))
    return np.where(off < np.minimum(again, (keys + 1) * end), off - keys * end, end)
