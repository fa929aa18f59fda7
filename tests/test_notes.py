"""Notes as algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes

from musicstyle.music.notes import Notes


def test_from_arrays_sorts_by_start_then_pitch() -> None:
    notes = Notes.from_arrays([1, 0, 1], [2, 3, 2], [64, 70, 60], [9, 8, 7])
    assert notes.pitch.tolist() == [70, 60, 64]
    assert notes.velocity.tolist() == [8, 7, 9]
    assert [column.dtype.name for column in notes.columns()] == ["float64", "float64", "int64", "int64"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (([0], [1, 2], [60], [64]), "one length"),
        (([-0.1], [1], [60], [64]), "negative"),
        (([2], [1], [60], [64]), "before it starts"),
        (([0], [np.inf], [60], [64]), "finite"),
        (([np.nan], [1], [60], [64]), "finite"),
        (([0], [1], [128], [64]), "0..127"),
        (([0], [1], [60], [0]), "1..127"),
    ],
)
def test_from_arrays_refuses_what_is_no_note(columns: tuple[list[float], ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Notes.from_arrays(*columns)


def test_empty_notes_can_do_everything() -> None:
    empty = Notes.empty()
    assert len(empty) == 0
    assert empty.duration_seconds == 0.0
    results = (empty.quantized(), empty.crop(0, 1), empty.stretch(2), empty.transpose(3), Notes.concatenate([]))
    assert all(result.equals(empty) for result in results)


@given(any_notes())
def test_twice_the_tempo_is_half_the_time(notes: Notes) -> None:
    fast = notes.stretch(0.5)
    assert fast.duration_seconds == notes.duration_seconds / 2
    assert fast.stretch(2).equals(notes)


@given(any_notes(), st.integers(-30, 30))
def test_transposing_back_gives_the_same_notes(notes: Notes, semitones: int) -> None:
    moved = notes.transpose(semitones)
    assert len(moved) == len(notes)
    assert moved.transpose(-semitones).equals(notes)


def test_transposing_out_of_the_piano_is_seen() -> None:
    notes = Notes.from_arrays([0, 1, 2], [1, 2, 3], [21, 60, 108], [50, 51, 52])
    assert notes.in_piano_range().all()
    assert notes.transpose(1).in_piano_range().tolist() == [True, True, False]
    assert notes.transpose(-1).in_piano_range().tolist() == [False, True, True]


@given(any_notes(), st.floats(0, 50))
def test_crops_that_meet_hold_every_onset_once(notes: Notes, border: float) -> None:
    first, second = notes.crop(0, border), notes.crop(border, np.inf)
    assert len(first) + len(second) == len(notes)
    assert first.duration_seconds <= border
    assert Notes.concatenate([first, second.shift(border)]).pitch.sum() == notes.pitch.sum()


def test_crop_cuts_ends_and_counts_from_its_start() -> None:
    crop = Notes.from_arrays([0.5, 1.0, 2.0], [9.0, 1.5, 3.0], [60, 62, 64], [1, 2, 3]).crop(1.0, 2.0)
    assert crop.equals(Notes.from_arrays([0.0], [0.5], [62], [2]))


@given(any_notes())
def test_concatenating_parts_gives_the_whole(notes: Notes) -> None:
    mask = notes.pitch % 2 == 0
    assert Notes.concatenate([notes[mask], notes[~mask]]).equals(notes)


@given(any_notes())
def test_quantizing_twice_is_quantizing_once(notes: Notes) -> None:
    once = notes.quantized()
    assert once.quantized().equals(once)
    assert len(once) == len(notes)


@given(any_notes())
def test_quantizing_moves_no_onset_by_more_than_half_a_step(notes: Notes) -> None:
    moved = np.sort(notes.quantized().start) - np.sort(notes.start)
    assert (np.abs(moved) <= 0.005 + 1e-9).all()


def test_a_note_of_no_length_gets_one_step() -> None:
    quantized = Notes.from_arrays([1.0], [1.001], [60], [100]).quantized()
    assert (quantized.start[0], quantized.end[0]) == (1.0, 1.01)


def test_overlapping_notes_of_one_pitch_end_in_the_order_they_began() -> None:
    long_around_short = Notes.from_arrays([0.0, 1.0], [4.0, 2.0], [60, 60], [1, 5])
    assert long_around_short.quantized().end.tolist() == [2.0, 4.0]


def test_equality_is_exact_unless_a_tolerance_is_given() -> None:
    notes = random_notes(0, 7)
    later = notes.shift(1e-6)
    assert notes.equals(notes)
    assert not notes.equals(later)
    assert notes.equals(later, tolerance_seconds=2e-6)
    assert not notes.equals(notes[:6])
    assert not notes.equals(notes.transpose(1), tolerance_seconds=1.0)


def test_stretch_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        random_notes(1, 3).stretch(0)


def test_from_zero_moves_the_first_onset_to_0_and_nothing_else() -> None:
    notes = random_notes(3, 20).shift(2.5)
    moved = notes.from_zero()
    assert moved.start[0] == 0
    assert moved.shift(float(notes.start[0])).equals(notes, 1e-9)
    with pytest.raises(IndexError):
        Notes.empty().from_zero()
