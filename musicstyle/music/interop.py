"""Notes <-> note_seq.NoteSequence and pretty_midi.PrettyMIDI, without loss of a bit of a note.

Both are slow to import, so they are imported when called. They hold more than Notes do (tempo, instruments, pedal):
what comes from them is the notes that are no drums, with the pedal folded in if asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from musicstyle.music.midi import fold_pedal
from musicstyle.music.notes import Notes
from musicstyle.music.parse import PEDAL_CONTROL, PEDAL_DOWN

if TYPE_CHECKING:
    import pretty_midi
    from note_seq.protobuf import music_pb2


def to_note_sequence(notes: Notes) -> music_pb2.NoteSequence:
    """One piano, 120 quarters a minute, total_time the last offset."""
    from note_seq.protobuf import music_pb2

    sequence = music_pb2.NoteSequence(ticks_per_quarter=220, total_time=notes.duration_seconds)
    sequence.tempos.add(qpm=120.0)
    for start, end, pitch, velocity in _rows(notes):
        sequence.notes.add(start_time=start, end_time=end, pitch=pitch, velocity=velocity)
    return sequence


def from_note_sequence(sequence: music_pb2.NoteSequence, *, pedal: bool = False) -> Notes:
    """All notes of an unquantized sequence but the drums'.

    Args:
        sequence: Times in seconds; quantized steps are not read.
        pedal: Fold in each instrument's sustain pedal, as note_seq.sequences_lib.apply_sustain_control_changes does.

    Raises:
        ValueError: a note that `Notes.from_arrays` refuses.
    """
    pitched = [note for note in sequence.notes if not note.is_drum]
    pedals = [change for change in sequence.control_changes if change.control_number == PEDAL_CONTROL]
    final = max([0.0, *(note.end_time for note in pitched), *(change.time for change in pedals)])
    parts = []
    for instrument in sorted({note.instrument for note in pitched}):
        rows = [
            (note.start_time, note.end_time, note.pitch, note.velocity)
            for note in pitched
            if note.instrument == instrument
        ]
        moves = [(move.time, move.control_value) for move in pedals if move.instrument == instrument]
        parts.append(_with_pedal(_from_rows(rows), moves if pedal else [], final))
    return Notes.concatenate(parts)


def to_pretty_midi(notes: Notes) -> pretty_midi.PrettyMIDI:
    """One piano, 1 ms ticks."""
    import pretty_midi

    midi = pretty_midi.PrettyMIDI(resolution=500, initial_tempo=120.0)
    piano = pretty_midi.Instrument(program=0, name="piano")
    piano.notes = [pretty_midi.Note(velocity, pitch, start, end) for start, end, pitch, velocity in _rows(notes)]
    midi.instruments.append(piano)
    return midi


def from_pretty_midi(midi: pretty_midi.PrettyMIDI, *, pedal: bool = False) -> Notes:
    """All notes of all instruments but the drums, the sustain pedal folded in if asked for.

    Raises:
        ValueError: a note that `Notes.from_arrays` refuses.
    """
    pitched = [instrument for instrument in midi.instruments if not instrument.is_drum]
    pedals = [
        [(move.time, move.value) for move in instrument.control_changes if move.number == PEDAL_CONTROL]
        for instrument in midi.instruments
    ]
    ends = [note.end for instrument in pitched for note in instrument.notes]
    final = max([0.0, *ends, *(time for moves in pedals for time, _ in moves)])
    parts = []
    for instrument, moves in zip(midi.instruments, pedals, strict=True):
        if not instrument.is_drum:
            rows = [(note.start, note.end, note.pitch, note.velocity) for note in instrument.notes]
            parts.append(_with_pedal(_from_rows(rows), moves if pedal else [], final))
    return Notes.concatenate(parts)


def _rows(notes: Notes) -> zip[tuple[float, float, int, int]]:
    return zip(notes.start.tolist(), notes.end.tolist(), notes.pitch.tolist(), notes.velocity.tolist(), strict=True)


def _from_rows(rows: list[tuple[float, float, int, int]]) -> Notes:
    start, end, pitch, velocity = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Notes.from_arrays(start, end, pitch, velocity)


def _with_pedal(notes: Notes, moves: list[tuple[float, int]], final_seconds: float) -> Notes:
    moves = sorted(moves, key=lambda move: move[0])
    seconds = np.array([time for time, _ in moves], dtype=np.float64)
    down = np.array([value >= PEDAL_DOWN for _, value in moves], dtype=bool)
    return fold_pedal(notes, seconds, down, final_seconds)
