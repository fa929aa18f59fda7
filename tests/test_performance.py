"""Performance ids: literal, as properties, and against note_seq."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes, real_files

from musicstyle.music.interop import to_note_sequence
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import Dropped, decode, elapsed_steps, encode, held_steps
from musicstyle.music.vocabulary import MIN_PITCH, NOTE_OFF, NOTE_ON, PERFORMANCE, TIME_SHIFT, VELOCITY

if TYPE_CHECKING:
    from collections import Counter


def test_golden_example() -> None:
    # Published with the original's task definitions; pitches, velocities, starts and ends literal.
    notes = Notes.from_arrays([0, 0, 1], [4, 3, 2], [60, 64, 67], [100, 100, 127])
    ids = [302, 41, 45, 277, 309, 48, 277, 136, 277, 133, 277, 129]
    assert encode(notes).tolist() == ids
    decoded, dropped = decode(ids)
    assert not dropped
    assert decoded.equals(Notes.from_arrays([0, 0, 1], [4, 3, 2], [60, 64, 67], [97, 97, 125]))


def test_offs_come_before_ons_then_the_lower_pitch() -> None:
    notes = Notes.from_arrays([0.0, 0.5, 0.5], [0.5, 1.0, 1.0], [70, 60, 50], [100, 100, 100])
    events = [PERFORMANCE.decode(event_id) for event_id in encode(notes)]
    assert events[3:6] == [(NOTE_OFF, 70), (NOTE_ON, 50), (NOTE_ON, 60)]


@pytest.mark.parametrize(("steps", "shifts"), [(1, [1]), (100, [100]), (101, [100, 1]), (200, [100, 100]), (0, [])])
def test_long_shifts_are_split(steps: int, shifts: list[int]) -> None:
    ids = encode(Notes.from_arrays([steps / 100], [steps / 100 + 0.03], [60], [64]))
    on = ids.tolist().index(PERFORMANCE.encode(VELOCITY, 16))
    assert [PERFORMANCE.decode(event_id)[1] for event_id in ids[:on]] == shifts


@given(any_notes())
def test_decoding_gives_the_quantized_notes(notes: Notes) -> None:
    decoded, dropped = decode(encode(notes))
    assert not dropped
    assert decoded.equals(notes.quantized())


@given(any_notes())
def test_encoding_is_stable(notes: Notes) -> None:
    ids = encode(notes)
    assert np.array_equal(encode(decode(ids)[0]), ids)


@given(any_notes())
def test_encoding_does_not_round_the_notes_away(notes: Notes) -> None:
    assert np.array_equal(encode(notes.quantized()), encode(notes))


@given(any_notes())
def test_the_clock_ends_with_the_last_note(notes: Notes) -> None:
    clock = elapsed_steps(encode(notes))
    assert clock.dtype == np.int64
    assert (clock[-1] if len(clock) else 0) == round(notes.quantized().duration_seconds * 100)


@given(st.lists(st.integers(-5, 400), max_size=200))
def test_decoding_any_ids_gives_notes_and_says_what_was_dropped(ids: list[int]) -> None:
    notes, dropped = decode(ids)
    ons = sum(event_id in PERFORMANCE.ids(NOTE_ON) for event_id in ids)
    assert len(notes) + dropped.zero_length == ons
    assert bool(dropped) == (str(dropped) != "nothing")
    again, mended = decode(encode(notes))
    assert not mended
    assert again.equals(notes.quantized())


def test_every_reason_is_counted() -> None:
    on, off, shift = PERFORMANCE.encode(NOTE_ON, 60), PERFORMANCE.encode(NOTE_OFF, 60), 180
    ids = [off, on, off, 0, 999, -3, on, shift, 1, 0]
    notes, dropped = decode(ids)
    assert dropped == Dropped(unmatched_offs=1, zero_length=1, unclosed=1, specials=1, unknown=2)
    assert str(dropped) == "1 unmatched offs, 1 zero length, 1 unclosed, 1 specials, 2 unknown"
    assert notes.equals(Notes.from_arrays([0.0], [0.03], [60], [100]))


def test_first_in_first_out() -> None:
    on, off, step = PERFORMANCE.encode(NOTE_ON, 60), PERFORMANCE.encode(NOTE_OFF, 60), 178
    loud = PERFORMANCE.encode(VELOCITY, 32)
    notes, _ = decode([on, step, loud, on, step, off, step, off])
    assert notes.equals(Notes.from_arrays([0, 0.01], [0.02, 0.03], [60, 60], [100, 125]))


def test_ids_behind_eos_are_padding() -> None:
    ids = encode(random_notes(3, 5))
    notes, dropped = decode([*ids, 1, 0, 0])
    assert not dropped
    assert len(notes) == 5
    assert not decode([1, 0, 0])[1]  # nothing was played, and nothing is lacking


def test_pitches_off_the_piano_are_refused() -> None:
    with pytest.raises(ValueError, match=r"20\.\.60 leave 21\.\.108"):
        encode(Notes.from_arrays([0, 1], [1, 2], [20, 60], [5, 5]))


def test_notes_before_time_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="before time 0"):
        encode(Notes.from_arrays([0.0, 1.0], [0.5, 2.0], [60, 64], [80, 80]).shift(-0.02))


def test_the_clock_works_on_batches() -> None:
    ids = np.array([[178, 2, 277], [2, 3, 179]])
    assert elapsed_steps(ids).tolist() == [[1, 1, 101], [0, 0, 2]]


def _events_by_step(events: list[tuple[str, int]]) -> dict[int, Counter[tuple[str, int]]]:
    """What happens in each step, in no order: the two orders inside a step are both right."""
    from collections import Counter, defaultdict

    step = 0
    found: dict[int, Counter[tuple[str, int]]] = defaultdict(Counter)
    for kind, value in events:
        if kind == "time_shift":
            step += value
        elif kind != "velocity":
            found[step][kind, value] += 1
    return dict(found)


def _note_seq_performance(notes: Notes) -> object:
    from note_seq import performance_lib, sequences_lib

    quantized = sequences_lib.quantize_note_sequence_absolute(to_note_sequence(notes), 100)
    return performance_lib.Performance(quantized, num_velocity_bins=32)


def _check_against_note_seq(notes: Notes) -> None:
    from note_seq.performance_lib import PerformanceEvent as Event

    kinds = {Event.NOTE_ON: "note_on", Event.NOTE_OFF: "note_off", Event.TIME_SHIFT: "time_shift", 4: "velocity"}
    performance = _note_seq_performance(notes)
    theirs = [(kinds[event.event_type], event.event_value) for event in performance]  # type: ignore[attr-defined]
    mine = [PERFORMANCE.decode(event_id) for event_id in encode(notes)]
    assert _events_by_step(mine) == _events_by_step(theirs)
    # Their decoder on my ids gives my notes.
    performance.set_length(0)  # type: ignore[attr-defined]
    numbers = {kind: number for number, kind in kinds.items()}
    for kind, value in mine:
        performance.append(Event(numbers[kind], value))  # type: ignore[attr-defined]
    sequence = performance.to_sequence()  # type: ignore[attr-defined]
    columns = zip(
        *((note.start_time, note.end_time, note.pitch, note.velocity) for note in sequence.notes), strict=True
    )
    assert Notes.from_arrays(*columns).equals(decode(encode(notes))[0], tolerance_seconds=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_note_seq_agrees_on_polyphony(seed: int) -> None:
    _check_against_note_seq(random_notes(seed, 150 + seed, lowest=50, highest=70))


def test_note_seq_agrees_on_real_playing() -> None:
    for path in real_files("maestro-v3.0.0", 2):
        _check_against_note_seq(read_midi(path).crop(20, 60))


@given(any_notes())
def test_held_steps_by_following_every_key(notes: Notes) -> None:
    ids = encode(notes)
    down: dict[int, int] = {}
    clock = 0
    for event_id, held in zip(ids, held_steps(ids), strict=True):
        kind, value = PERFORMANCE.decode(int(event_id))
        clock += value if kind == TIME_SHIFT else 0
        if kind == NOTE_ON:
            down[value - MIN_PITCH] = clock
        if kind == NOTE_OFF:
            down.pop(value - MIN_PITCH, None)
        assert {int(key): int(held[key]) for key in np.flatnonzero(held)} == {k: clock - t + 1 for k, t in down.items()}
