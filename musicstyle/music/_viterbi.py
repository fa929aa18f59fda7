"""The melody's Viterbi search, one loop over frames. Plain Python that numba can compile: same source, same answer.

States are rest, onset(pitch), sustain(pitch), in this order where likelihoods are equal, as argmax has it over
note_seq's table: -1 is rest, p the onset and pitches + p the sustain of the p-th pitch present. Every state of that
table is weighed, nothing is pruned; only what is minus infinity there is never computed: onsets where no note begins,
sustains where one does, rests where something sounds. Sums are taken in note_seq's order: equality is to the last bit.

Source: note_seq.melody_inference, _melody_viterbi.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Lattice = tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def forward(  # noqa: C901 - one function, because numba compiles it whole
    durations: np.ndarray,
    onset_frame: np.ndarray,
    last_frame: np.ndarray,
    pitch_index: np.ndarray,
    interval_loglik: np.ndarray,
    constants: np.ndarray,
) -> Lattice:
    """Weigh every state of every frame.

    Args:
        durations: Length of each frame, (frames,) seconds.
        onset_frame: Frame each note begins in, (n,), ascending.
        last_frame: Frame each note last sounds in, (n,).
        pitch_index: Which of the pitches present, (n,).
        interval_loglik: Log-probability of going to a pitch (row) from a pitch (column), (pitches, pitches).
        constants: Log-probabilities, (8,): rest to an onset, pitch to rest, onset highest, onset below another, then
            sustain highest, below another, highest but silent, silent below another.

    Returns:
        Log-likelihoods in the last frame: of rest, of onsets and of sustains (pitches,) each; and the state each state
        of each frame came from: of rest (frames,), of onsets (frames, pitches), and whether a sustain came from a
        sustain and not from its onset (frames, pitches).
    """
    frames, pitches = len(durations), len(interval_loglik)
    infinity = np.inf
    rest = 0.0  # the frame before the first is a rest
    onset = np.full(pitches, -infinity)
    sustain = np.full(pitches, -infinity)
    sounds_until = np.full(pitches, -1, np.int64)
    begun = np.full(pitches, -1, np.int64)  # the frame of each pitch's latest onset
    # Where each state came from: rest -1, onset p, pitches + p sustain.
    rest_from = np.full(frames, -1, np.int16)
    onset_from = np.full((frames, pitches), -1, np.int16)
    held_over = np.zeros((frames, pitches), np.uint8)  # whether a sustain came from a sustain
    note = 0
    for frame in range(frames):
        while note < len(onset_frame) and onset_frame[note] == frame:
            pitch = pitch_index[note]
            begun[pitch] = frame
            sounds_until[pitch] = max(sounds_until[pitch], last_frame[note])
            note += 1
        highest = pitches - 1
        while highest >= 0 and sounds_until[highest] < frame:
            highest -= 1
        duration = durations[frame]

        new_rest = -infinity
        if highest < 0:
            new_rest = rest
            best, origin = -infinity, -1
            for pitch in range(pitches):
                if onset[pitch] + constants[1] > best:
                    best, origin = onset[pitch] + constants[1], pitch
            for pitch in range(pitches):
                if sustain[pitch] + constants[1] > best:
                    best, origin = sustain[pitch] + constants[1], pitches + pitch
            if best > new_rest:
                new_rest = best
                rest_from[frame] = origin

        new_onset = np.full(pitches, -infinity)
        new_sustain = np.full(pitches, -infinity)
        for pitch in range(pitches):
            below = 1 if highest > pitch else 0
            if begun[pitch] == frame:
                best, origin = rest + constants[0], -1
                for before in range(pitches):
                    value = onset[before] + interval_loglik[pitch, before]
                    if value > best:
                        best, origin = value, before
                for before in range(pitches):
                    value = sustain[before] + interval_loglik[pitch, before]
                    if value > best:
                        best, origin = value, pitches + before
                new_onset[pitch] = best + duration * constants[2 + below]
                onset_from[frame, pitch] = origin
            else:
                silent = 0 if sounds_until[pitch] >= frame else 2
                best = onset[pitch]
                if sustain[pitch] > best:
                    best = sustain[pitch]
                    held_over[frame, pitch] = 1
                new_sustain[pitch] = best + duration * constants[4 + below + silent]
        rest, onset, sustain = new_rest, new_onset, new_sustain
    return rest, onset, sustain, rest_from, onset_from, held_over


def trace(
    rest: float,
    onset: np.ndarray,
    sustain: np.ndarray,
    rest_from: np.ndarray,
    onset_from: np.ndarray,
    held_over: np.ndarray,
) -> np.ndarray:
    """The most likely state of every frame, read backwards from what `forward` gives, (frames,) int64."""
    frames, pitches = onset_from.shape
    state, best = -1, rest
    for pitch in range(pitches):
        if onset[pitch] > best:
            state, best = pitch, onset[pitch]
    for pitch in range(pitches):
        if sustain[pitch] > best:
            state, best = pitches + pitch, sustain[pitch]
    path = np.empty(frames, np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        if state == -1:
            state = rest_from[frame]
        elif state < pitches:
            state = onset_from[frame, state]
        elif not held_over[frame, state - pitches]:
            state -= pitches
    return path


def most_likely_path(small: bool, *arguments: np.ndarray) -> np.ndarray:
    """The most likely state of every frame, (frames,) int64.

    Args:
        small: So little that plain Python answers sooner than numba is imported.
        arguments: Those of `forward`.
    """
    compiled_already = _compiled.cache_info().currsize > 0
    weigh, read_back = (forward, trace) if small and not compiled_already else _compiled()
    return read_back(*weigh(*arguments))


@cache
def _compiled() -> tuple[Callable[..., Lattice], Callable[..., np.ndarray]]:
    """`forward` and `trace`, compiled when there is first much to do."""
    from musicstyle.compiling import compiled

    return compiled(forward), compiled(trace)
