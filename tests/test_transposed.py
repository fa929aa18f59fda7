"""Ids in another key are the ids of the music in that key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notes import any_notes

from musicstyle.music.melody import extract_melody, melody_frames
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode, held_steps
from musicstyle.music.transposed import held_transposed, melody_table, performance_table
from musicstyle.music.vocabulary import MAX_PITCH, MELODY, MIN_PITCH, NOTE_OFF, NOTE_ON, PERFORMANCE, PITCH

WITHIN = any_notes(lowest=MIN_PITCH + 12, highest=MAX_PITCH - 12)
SEMITONES = st.integers(-12, 12)


@given(WITHIN, SEMITONES)
def test_a_table_gives_the_ids_of_transposed_notes(notes: Notes, semitones: int) -> None:
    ids, moved = encode(notes), encode(notes.transpose(semitones))
    assert np.array_equal(performance_table(semitones)[ids], moved)
    assert np.array_equal(held_transposed(held_steps(ids), semitones), held_steps(moved))
    melody = extract_melody(notes)
    assert np.array_equal(melody_table(semitones)[melody_frames(melody)], melody_frames(melody.transpose(semitones)))


@given(SEMITONES)
def test_there_and_back_is_nothing_but_at_the_ends(semitones: int) -> None:
    there, back = performance_table(semitones), performance_table(-semitones)
    for kind in (NOTE_ON, NOTE_OFF):
        ids = np.array(PERFORMANCE.ids(kind))
        inside = ids[12:-12]
        assert np.array_equal(back[there[inside]], inside)
        assert set(there[ids]) <= set(ids)
    others = np.flatnonzero(~np.isin(PERFORMANCE.kinds, [PERFORMANCE.kind_index(kind) for kind in (NOTE_ON, NOTE_OFF)]))
    assert np.array_equal(there[others], others)


def test_the_ends_of_the_keyboard_stay_and_no_key_is_held_beyond_them() -> None:
    top, bottom = (PERFORMANCE.encode(NOTE_ON, pitch) for pitch in (MAX_PITCH, MIN_PITCH))
    assert performance_table(2)[[top, top - 1, top - 2, bottom]].tolist() == [top, top, top, bottom + 2]
    assert performance_table(-1)[bottom] == bottom
    assert melody_table(3)[MELODY.encode(PITCH, MAX_PITCH)] == MELODY.encode(PITCH, MAX_PITCH)
    assert held_transposed(np.arange(88)[None], 3).tolist() == [[0, 0, 0, *range(85)]]
    assert held_transposed(np.arange(88), -86).tolist() == [86, 87, *[0] * 86]
    assert not held_transposed(np.ones(88), 90).any()
    with pytest.raises(ValueError, match="read-only"):
        performance_table(1)[0] = 7
