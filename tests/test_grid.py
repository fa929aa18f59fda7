"""The grid of a program's style: told from people's, laid on the tune, and kept to while a piece is being written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notes import chords, random_notes, real_files

from musicstyle.generation.grid import Event, Grid, places, unit_of
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes

SEEDS = st.integers(0, 5000)


def played(rng: np.random.Generator, count: int = 30) -> Notes:
    """Keys that go down and up as one pianist's can: none is struck while it is down."""
    rows = []
    for pitch in (60, 62, 67):
        times = np.cumsum(rng.choice([0.01, 0.03, 0.12, 0.4], 2 * count))
        rows += [(a, b, pitch, int(rng.integers(1, 128))) for a, b in zip(times[::2], times[1::2], strict=True)]
    return Notes.from_arrays(*zip(*rows, strict=True))


@pytest.mark.parametrize("step_seconds", [0.125, 0.25, 0.4])
def test_a_program_strikes_chords_at_once_and_divides_time(step_seconds: float) -> None:
    unit = step_seconds if step_seconds <= 0.25 else step_seconds / 2
    assert unit_of(chords(step_seconds)) == pytest.approx(unit)
    assert unit_of(chords(step_seconds, 0.0005)) == pytest.approx(unit)  # rounded to a millisecond
    assert unit_of(chords(step_seconds, 0.004)) is None


def test_a_person_s_chords_are_no_program_s_though_their_times_are_rounded() -> None:
    rng = np.random.default_rng(1)
    start = (np.repeat(np.cumsum(rng.uniform(0.1, 0.5, 200)), 2) + rng.normal(0, 0.006, 400)).clip(0)
    person = Notes.from_arrays(start, start + 0.3, np.tile([48, 60], 200), np.full(400, 70))
    rounded = person.quantized()
    onset = rounded.start.reshape(-1, 2) if len(rounded) == 400 else np.empty((0, 2))
    assert (np.ptp(onset, axis=1) < 0.002).mean() > 0.3  # many are at once
    assert (unit_of(person), unit_of(rounded)) == (None, None)


def test_nothing_is_told_of_too_few_chords_or_of_no_notes() -> None:
    voice = Notes.from_arrays(np.arange(40) * 0.25, np.arange(40) * 0.25 + 0.2, np.full(40, 60), np.full(40, 80))
    for style in (Notes.empty(), voice, voice[:1], chords(0.25, count=9)):
        assert unit_of(style) is None


def test_real_performances_are_people_s() -> None:
    performances = [read_midi(path) for path in real_files("maestro-v3.0.0", 20)]
    assert {unit_of(notes) for notes in performances} == {None}
    assert {unit_of(notes.quantized()) for notes in performances} == {None}


def test_most_songs_of_pop909_are_a_program_s() -> None:
    units = [unit_of(read_midi(path)) for path in real_files("pop909", 20)]
    assert sum(unit is not None for unit in units) >= 15


def test_the_tune_s_notes_are_places_and_its_steps_are_halved_to_the_style_s_unit() -> None:
    tune = Notes.from_arrays([0.0, 0.6, 1.2, 2.1], [0.6, 1.2, 2.1, 2.4], [60, 62, 64, 65], [80] * 4)
    assert places(tune, 0.125, 0.0, 2.5).tolist() == pytest.approx([0.15 * i for i in range(18)])  # 0.6 / 4
    assert places(tune, 0.7, 0.0, 2.1)[:5].tolist() == pytest.approx([0, 0.6, 1.2, 1.65, 2.1])  # 0.6; 0.9 is halved
    assert places(None, 0.25, 1.0, 2.0)[:5].tolist() == [1.0, 1.25, 1.5, 1.75, 2.0]


@given(SEEDS)
def test_places_rise_reach_the_end_and_hold_every_note_of_the_tune(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tune = random_notes(seed, int(rng.integers(1, 30)), 8.0)
    begin, unit = float(rng.choice([0.0, 1.0])), float(rng.uniform(0.06, 0.6))
    where = places(tune.shift(begin), unit, begin, 12.0)
    assert (np.diff(where) > 0).all()
    assert (where[0], where[-1] >= 12.0) == (begin, True)
    assert np.abs(where[:, None] - (tune.start + begin)).min(axis=0).max() < 1e-6


def test_a_chord_is_struck_at_once_and_a_short_note_keeps_its_length() -> None:
    notes = Notes.from_arrays([0.0, 0.23, 0.26, 0.27], [0.2, 0.9, 0.6, 0.31], [60, 48, 64, 67], [70, 60, 60, 60])
    moved = Grid(np.arange(9) * 0.25).moved(notes)
    assert moved.start.tolist() == [0, 0.25, 0.25, 0.25]
    assert moved.end.tolist() == pytest.approx([0.25, 1.0, 0.5, 0.29])
    assert moved.pitch.tolist() == [60, 48, 64, 67]


def test_a_key_struck_twice_at_a_place_is_struck_once_and_one_struck_again_was_let_go() -> None:
    twice = Notes.from_arrays([0.2, 0.28], [0.25, 0.55], [60, 60], [70, 90])
    assert [part.tolist() for part in Grid(np.arange(9) * 0.25).moved(twice).columns()] == [[0.25], [0.5], [60], [70]]
    again = Notes.from_arrays([0.23, 0.45], [0.44, 0.8], [60, 60], [70, 90])
    assert Grid(np.arange(9) * 0.2).moved(again).end.tolist() == [0.4, 0.8]


def test_what_began_before_the_end_does_so_on_the_grid() -> None:
    notes = Notes.from_arrays([0.95, 1.9], [1.05, 2.4], [60, 62], [70, 70])
    assert Grid(np.arange(9) * 0.5).moved(notes).start.tolist() == [1.0, 2.0]
    assert Grid(np.arange(9) * 0.5, end_seconds=2.0).moved(notes).start.tolist() == [1.0, 1.5]


def test_a_full_place_takes_no_more_keys_but_those_of_the_tune() -> None:
    start = np.array([0.18, 0.2, 0.22, 0.24, 0.26, 0.45])
    notes = Notes.from_arrays(start, start + 0.1, [48, 52, 55, 60, 64, 67], [70] * 6)
    tune = Notes.from_arrays([0.25], [0.5], [64], [80])
    moved = Grid(np.arange(9) * 0.25, most_struck=3, tune=tune).moved(notes)
    assert moved.pitch.tolist() == [48, 52, 55, 64, 67]
    assert moved.start.tolist() == [0.25] * 4 + [0.5]


def test_notes_of_the_tune_on_one_key_that_follow_fast_are_each_struck_at_their_place() -> None:
    tune = Notes.from_arrays([0.0, 0.1, 0.2], [0.1, 0.2, 0.3], [60] * 3, [80] * 3)
    hurried = Notes.from_arrays([0.0, 0.04, 0.13], [0.03, 0.12, 0.3], [60] * 3, [80] * 3)
    where = places(tune, 0.2, 0.0, 1.0)
    assert Grid(where).moved(hurried).start.tolist() == [0, 0.1]
    assert Grid(where, tune=tune).moved(hurried).start.tolist() == [0, 0.1, 0.2]


def test_a_primer_stays_as_it_is() -> None:
    before, after = random_notes(3, 20, 1.0), played(np.random.default_rng(4)).shift(2.5)
    together = Grid(places(None, 0.2, 2.5, 30.0)).moved(Notes.concatenate([before, after]))
    assert together[together.start < 2.5].equals(before)
    assert len(together) > len(before)


@given(SEEDS)
def test_what_is_heard_event_by_event_is_what_is_written(seed: int) -> None:
    rng = np.random.default_rng(seed)
    notes = played(rng)
    tune = notes[rng.random(len(notes)) < 0.3].shift(0.02)
    where = places(tune, float(rng.choice([0.05, 0.125, 0.3])), 0.0, notes.duration_seconds)
    limits = (float(rng.choice([np.inf, 3.0])), int(rng.integers(1, 4)), tune)
    written = Grid(where, *limits).moved(notes)
    assert np.isin(written.start, where).all()
    assert (written.end > written.start).all()
    assert len(set(zip(written.start.tolist(), written.pitch.tolist(), strict=True))) == len(written)
    for pitch in (60, 62, 67):
        mine = written[written.pitch == pitch]
        assert (mine.end[:-1] <= mine.start[1:]).all()

    grid, heard = Grid(where, *limits), list[Event]()
    events = [(seconds, pitch, 0) for seconds, pitch in zip(notes.end.tolist(), notes.pitch.tolist(), strict=True)]
    strikes = zip(notes.start.tolist(), notes.pitch.tolist(), notes.velocity.tolist(), strict=True)
    for event in sorted([*events, *strikes], key=lambda event: (event[0], event[2] > 0)):
        grid.put(event)
        heard += grid.ready(event[0])
    heard += grid.ready()
    assert [seconds for seconds, _, _ in heard] == sorted(seconds for seconds, _, _ in heard)
    assert sorted(event for event in heard if event[2]) == sorted(
        zip(written.start.tolist(), written.pitch.tolist(), written.velocity.tolist(), strict=True)
    )
    assert sorted((seconds, pitch) for seconds, pitch, velocity in heard if not velocity) == sorted(
        zip(written.end.tolist(), written.pitch.tolist(), strict=True)
    )
