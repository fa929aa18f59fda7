"""Notes survive the way to note_seq and pretty_midi and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from some_notes import any_notes, random_notes

from musicstyle.music import interop
from musicstyle.music.notes import Notes


@settings(deadline=None, max_examples=50)
@given(any_notes(lowest=0, highest=127))
def test_note_sequence_round_trip(notes: Notes) -> None:
    sequence = interop.to_note_sequence(notes)
    assert sequence.total_time == notes.duration_seconds
    assert interop.from_note_sequence(sequence).equals(notes)


@settings(deadline=None, max_examples=50)
@given(any_notes(lowest=0, highest=127))
def test_pretty_midi_round_trip(notes: Notes) -> None:
    midi = interop.to_pretty_midi(notes)
    assert midi.get_end_time() == notes.duration_seconds
    assert interop.from_pretty_midi(midi).equals(notes)


def _two_pianos_a_drum_and_a_pedal() -> object:
    midi = interop.to_pretty_midi(Notes.from_arrays([0, 2], [1, 3], [60, 60], [64, 65]))
    other = interop.to_pretty_midi(Notes.from_arrays([0.5], [1], [70], [66])).instruments[0]
    drum = interop.to_pretty_midi(Notes.from_arrays([5], [6], [36], [67])).instruments[0]
    drum.is_drum = True
    import pretty_midi

    midi.instruments[0].control_changes = [pretty_midi.ControlChange(64, 127, 0.5), pretty_midi.ControlChange(64, 0, 4)]
    midi.instruments += [other, drum]
    return midi


def test_the_pedal_holds_its_own_instrument_only_and_drums_are_left_out() -> None:
    midi = _two_pianos_a_drum_and_a_pedal()
    plain = interop.from_pretty_midi(midi)
    held = interop.from_pretty_midi(midi, pedal=True)
    assert plain.equals(Notes.from_arrays([0, 0.5, 2], [1, 1, 3], [60, 70, 60], [64, 66, 65]))
    assert held.equals(Notes.from_arrays([0, 0.5, 2], [2, 1, 4], [60, 70, 60], [64, 66, 65]))


def test_the_pedal_of_a_note_sequence_is_note_seqs() -> None:
    from note_seq import midi_io, sequences_lib

    sequence = midi_io.midi_to_note_sequence(_two_pianos_a_drum_and_a_pedal())
    theirs = interop.from_note_sequence(sequences_lib.apply_sustain_control_changes(sequence))
    assert interop.from_note_sequence(sequence, pedal=True).equals(theirs)


def test_a_bad_note_is_refused() -> None:
    sequence = interop.to_note_sequence(random_notes(0, 2))
    sequence.notes[0].velocity = 0
    with pytest.raises(ValueError, match=r"velocities must lie in 1\.\.127"):
        interop.from_note_sequence(sequence)
