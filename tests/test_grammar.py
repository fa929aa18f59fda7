"""What is possible at a place is what the sampler's grammar, which follows id by id, allows there."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes

from musicstyle.generation.rules import LONGEST_STEPS, Grammar
from musicstyle.music.grammar import possible
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode, held_steps
from musicstyle.music.vocabulary import EOS, KEYS, NOTE_OFF, NOTE_ON, PAD, PERFORMANCE, TIME_SHIFT, VELOCITY


def possible_in(ids: np.ndarray) -> np.ndarray:
    return possible(ids, np.pad(held_steps(ids) > 0, ((1, 0), (0, 0)))[:-1])


def playable(notes: Notes) -> Notes:
    """Without the notes whose key is still down, or was down too long for the sampler."""
    kept: list[int] = []
    up: dict[int, int] = {}
    for i, (start, end, pitch) in enumerate(zip(*notes.steps(), notes.pitch.tolist(), strict=True)):
        if start >= up.get(pitch, 0) and end - start < LONGEST_STEPS:
            kept.append(i)
            up[pitch] = end
    return notes[np.array(kept, dtype=np.int64)]


def check_against_the_sampler(ids: np.ndarray, grammar: Grammar) -> None:
    """Equal but for EOS, which the sampler has only from its end on."""
    for event_id, may in zip(ids.tolist(), possible_in(ids), strict=True):
        allowed = grammar.allowed()
        np.testing.assert_array_equal(np.delete(may, EOS), np.delete(allowed, EOS))
        grammar.accept(event_id)


@given(any_notes())
def test_possible_is_what_the_sampler_allows_in_what_encode_writes(notes: Notes) -> None:
    check_against_the_sampler(encode(playable(notes)), Grammar(10**9, 10**9))


def test_possible_is_what_the_sampler_allows_in_dense_playing() -> None:
    check_against_the_sampler(encode(playable(random_notes(1, 400, lowest=100))), Grammar(10**9, 10**9))


@given(seed=st.integers(0, 10_000), end=st.integers(1, 400))
def test_the_sampler_allows_nothing_impossible(seed: int, end: int) -> None:
    rng, grammar, ids, rows = np.random.default_rng(seed), Grammar(end, end + 50), [], []
    while (allowed := grammar.allowed()).any():
        ids.append(int(rng.choice(np.flatnonzero(allowed))))
        rows.append(allowed)
        grammar.accept(ids[-1])
    assert not (np.stack(rows) & ~possible_in(np.array(ids))).any()


def test_by_hand() -> None:
    events = [(VELOCITY, 9), (NOTE_ON, 60), (NOTE_ON, 64), (TIME_SHIFT, 50), (NOTE_OFF, 64), (VELOCITY, 8)]
    ids = np.array([*(PERFORMANCE.encode(*event) for event in events), PAD])
    counts = [
        [int(may[PERFORMANCE.ids(kind)].sum()) for kind in (NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY)] + [may[EOS]]
        for may in possible_in(ids)
    ]
    assert counts == [
        [0, 0, 100, 32, True],  # nothing stands at the start: no bin, no key
        [88, 0, 0, 0, False],  # only the note that the VELOCITY was for
        [48, 0, 100, 31, True],  # higher than 60, or another bin; no NOTE_OFF behind a NOTE_ON
        [44, 0, 100, 31, True],
        [86, 2, 0, 31, True],  # a shift of 50 is not followed by another
        [87, 0, 100, 31, True],  # 60 is below 64, which was let go
        [87, 0, 0, 0, False],
    ]


def test_after_the_longest_shift_comes_any_other() -> None:
    ids = np.array([PERFORMANCE.encode(TIME_SHIFT, steps) for steps in (100, 1, 1)])
    assert possible_in(ids)[:, PERFORMANCE.ids(TIME_SHIFT)].sum(axis=1).tolist() == [100, 100, 1]


def test_two_notes_of_a_key_at_once_are_taken_as_they_stand() -> None:
    ids = encode(Notes.from_arrays([0, 0.5], [1.0, 1.5], [60, 60], [80, 80]))
    assert [PERFORMANCE.decode(i)[0] for i in ids.tolist()] == [
        VELOCITY, NOTE_ON, TIME_SHIFT, NOTE_ON, TIME_SHIFT, NOTE_OFF, TIME_SHIFT, NOTE_OFF,
    ]  # fmt: skip
    may = possible_in(ids)
    assert may[np.arange(len(ids)), ids].all()
    assert may[3, PERFORMANCE.ids(NOTE_ON)].sum() == KEYS  # 60 only because it stands there
    assert np.flatnonzero(may[7, PERFORMANCE.ids(NOTE_OFF)]).tolist() == [60 - 21]
