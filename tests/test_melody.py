"""The melody against note_seq, and melody frames as they are published."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_notes import any_notes, random_notes, real_files

from musicstyle.music import _viterbi
from musicstyle.music.interop import to_note_sequence
from musicstyle.music.melody import extract_melody, frames_to_melody, melody_flags, melody_frames, piano_melody
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes

Voice = list[tuple[float, float, int]]


def _note_seq_melody(notes: Notes) -> Voice:
    from note_seq import melody_inference

    sequence = to_note_sequence(notes)
    with np.errstate(divide="ignore"):  # it takes the logarithm of impossible things
        instrument = melody_inference.infer_melody_for_sequence(sequence)
    melody = (note for note in sequence.notes if note.instrument == instrument)
    return [(note.start_time, note.end_time, note.pitch) for note in melody]


def _voice(melody: Notes) -> Voice:
    return list(zip(melody.start.tolist(), melody.end.tolist(), melody.pitch.tolist(), strict=True))


@settings(deadline=None, max_examples=60)
@given(any_notes(lowest=0, highest=127))
def test_equal_to_note_seq_on_anything(notes: Notes) -> None:
    notes = notes[notes.end > notes.start]
    assert _voice(extract_melody(notes)) == _note_seq_melody(notes)


@pytest.mark.parametrize("plain_python", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_note_seq_on_dense_polyphony(seed: int, plain_python: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicstyle.music.melody._SMALL", 0)
    if plain_python:
        # The same attribute as a cached function has, so that the search never asks numba.
        monkeypatch.setattr(_viterbi, "_compiled", cache(lambda: (_viterbi.forward, _viterbi.trace)))
    notes = random_notes(seed, 60 * (seed + 1), lowest=30 + seed, highest=90)
    assert _voice(extract_melody(notes)) == _note_seq_melody(notes)


def test_equal_to_note_seq_on_real_playing() -> None:
    for path in real_files("maestro-v3.0.0", 4):
        for pedal in (True, False):
            crop = read_midi(path, pedal=pedal).crop(30, 60)
            assert _voice(extract_melody(crop)) == _note_seq_melody(crop)


@settings(deadline=None)
@given(any_notes(lowest=0, highest=127))
def test_flags_mark_the_notes_of_the_melody(notes: Notes) -> None:
    flags, melody = melody_flags(notes), extract_melody(notes)
    assert flags.shape == (len(notes),)
    assert flags.dtype == bool
    marked = notes[flags]
    assert np.array_equal(marked.start, melody.start)
    assert np.array_equal(marked.velocity, melody.velocity)
    assert (melody.end[:-1] <= melody.start[1:]).all()


def test_of_two_notes_of_one_onset_and_pitch_the_melody_is_the_last_to_end() -> None:
    assert melody_flags(Notes.from_arrays([0.0, 0.0, 1.0], [1.0, 0.5, 1.5], [60, 60, 62], [80] * 3)).tolist() == [
        False, True, True,
    ]  # fmt: skip


def test_one_voice_is_its_own_melody() -> None:
    start = np.arange(13) * 0.5
    tune = Notes.from_arrays(start, start + 0.4, 60 + np.arange(13) % 5, np.full(13, 80))
    assert melody_flags(tune).all()
    # A gap as short as this costs less than a rest, so each note is held to the next.
    assert extract_melody(tune).end[:-1].tolist() == tune.start[1:].tolist()


def test_the_tune_over_held_chords_is_found() -> None:
    start = np.arange(8) * 0.5
    tune = Notes.from_arrays(start, start + 0.5, 72 + np.array([0, 0, 7, 7, 9, 9, 7, 5]), np.full(8, 90))
    chords = Notes.from_arrays([0, 0, 2, 2], [2, 2, 4, 4], [48, 52, 53, 57], [60, 60, 60, 60])
    assert extract_melody(Notes.concatenate([tune, chords])).equals(tune)


def test_a_piece_longer_than_note_seq_takes() -> None:
    notes = random_notes(2, 7001, seconds=700.0)
    flags = melody_flags(notes)
    assert 500 < flags.sum() < 7001


def test_nothing_has_no_melody() -> None:
    assert len(extract_melody(Notes.empty())) == 0
    assert not melody_flags(Notes.from_arrays([0.0], [0.0], [60], [1])).any()


def test_frames_literally() -> None:
    melody = Notes.from_arrays([0.0, 0.5, 1.0], [0.3, 1.0, 1.2], [60, 62, 64], [80, 80, 80])
    assert melody_frames(melody).tolist() == [43, 2, 2, 3, 2, 45, 2, 2, 2, 2, 47, 2]
    assert melody_frames(melody, frames=14).tolist() == [43, 2, 2, 3, 2, 45, 2, 2, 2, 2, 47, 2, 3, 2]
    assert melody_frames(melody, frames=3).tolist() == [43, 2, 2]


def test_of_two_onsets_in_a_frame_the_later_stays() -> None:
    melody = Notes.from_arrays([0.01, 0.04], [0.04, 0.3], [70, 60], [80, 80])
    assert melody_frames(melody)[0] == 43


@given(any_notes())
def test_frames_are_the_published_loop(notes: Notes) -> None:
    # magenta score2perf, TextMelodyEncoderBase.encode_note_sequence, in its own order of writing.
    start, end = notes.steps(10)
    total = int(end.max()) if len(notes) else 0
    published = [2] * total
    for first, last, pitch in zip(start, end, notes.pitch, strict=True):
        published[first] = pitch - 17
        if last < total:
            published[last] = 3
    assert melody_frames(notes).tolist() == published


def test_frames_refuse_pitches_off_the_piano() -> None:
    with pytest.raises(ValueError, match=r"leave 21\.\.108"):
        melody_frames(Notes.from_arrays([0], [1], [109], [1]))


@given(any_notes())
def test_frames_round_trip(notes: Notes) -> None:
    ids = melody_frames(extract_melody(notes))
    melody = frames_to_melody(ids)
    back = melody_frames(melody, frames=len(ids))
    # A NOTE_OFF in silence, left by an overwritten note, means nothing and is not written again.
    assert ((back == ids) | ((ids == 3) & (back == 2))).all()
    assert frames_to_melody(back).equals(melody)


@given(st.lists(st.integers(-3, 100), max_size=60))
def test_any_ids_spell_one_voice(ids: list[int]) -> None:
    melody = frames_to_melody(np.array(ids, dtype=np.int64))
    assert (melody.end[:-1] <= melody.start[1:]).all()
    assert melody.in_piano_range().all()
    assert melody.duration_seconds <= len(ids) / 10


def test_the_melody_of_a_file_is_among_the_notes_of_a_piano_and_keeps_its_clock() -> None:
    inside, outside = Notes.from_arrays([3, 4], [4, 5], [60, 62], [80, 80]), Notes.from_arrays([1], [9], [120], [80])
    assert piano_melody(Notes.concatenate([inside, outside])).equals(inside)
    assert not len(piano_melody(outside))


def test_frames_behind_eos_are_padding() -> None:
    assert frames_to_melody(np.array([43, 2, 1, 0, 0])).equals(Notes.from_arrays([0], [0.2], [60], [100]))
