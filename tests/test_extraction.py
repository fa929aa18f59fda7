"""The line extractor: what is a melody to a listener. The published one has its own tests beside note_seq."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notes import DATA, any_notes, random_notes, real_files

from musicstyle.music import melody_line
from musicstyle.music.melody import extract_melody, melody_flags
from musicstyle.music.melody_line import is_one_voice, line_index
from musicstyle.music.midi import read_tracks
from musicstyle.music.notes import Notes

ROOT = Path(__file__).resolve().parent.parent


def voice(pitches: list[int], *, seconds: float = 0.5, begin: float = 0.0, velocity: int = 80) -> Notes:
    start = begin + seconds * np.arange(len(pitches))
    return Notes.from_arrays(start, start + seconds, pitches, [velocity] * len(pitches))


TUNE = voice([72, 74, 76, 77, 79, 77, 76, 74] * 3, velocity=90)
BROKEN_CHORDS = voice([48, 55, 52, 55] * 12, seconds=0.25, velocity=60)


def worth(notes: Notes, line: list[int]) -> float:
    """What a line is worth: each note's merit, less the cost of each step or, if that is less, of a pause."""
    merit = melody_line._merit(notes)
    total = merit[line[0]] - melody_line.PAUSE
    for before, note in pairwise(line):
        gap = notes.start[note] - notes.start[before]
        step = melody_line._step_costs(notes, slice(before, before + 1), note)[0]
        total += merit[note] - (min(step, melody_line.PAUSE) if gap < melody_line.REACH_SECONDS else melody_line.PAUSE)
    return float(total)


def all_lines(notes: Notes) -> list[list[int]]:
    """Every choice of notes that begin one after another."""
    choices = [[note for note in range(len(notes)) if bits >> note & 1] for bits in range(1, 2 ** len(notes))]
    return [line for line in choices if (np.diff(notes.start[line]) > melody_line.CHORD_SECONDS).all()]


@pytest.mark.parametrize("seed", range(12))
def test_the_search_finds_the_best_of_all_lines(seed: int) -> None:
    notes = random_notes(seed, 9, seconds=4.0, lowest=50, highest=80)
    assert worth(notes, line_index(notes).tolist()) == pytest.approx(
        max(worth(notes, line) for line in all_lines(notes))
    )


@given(any_notes())
def test_a_line_is_one_voice_of_the_notes(notes: Notes) -> None:
    melody, flags = extract_melody(notes, "line"), melody_flags(notes, "line")
    assert (np.diff(melody.start) > 0).all()
    assert (melody.end[:-1] <= melody.start[1:] + 1e-9).all()
    assert (melody.end >= melody.start).all()
    assert np.array_equal(notes[flags].start, melody.start)
    assert np.array_equal(notes[flags].pitch, melody.pitch)


def test_a_tune_alone_is_all_melody() -> None:
    quick = [voice([60, 72] * 8, seconds=seconds) for seconds in (0.05, 0.15, 0.25)]  # the published loses half
    for tune in (TUNE, voice([60, 30, 100, 21]), voice([60]), TUNE.stretch(10.0), *quick):
        assert extract_melody(tune, "line").equals(tune, tolerance_seconds=1e-9)


def test_legato_is_still_one_voice() -> None:
    legato = Notes(TUNE.start, TUNE.end + 0.02, TUNE.pitch, TUNE.velocity)
    assert is_one_voice(legato)
    assert melody_flags(legato, "line").all()
    assert not is_one_voice(Notes.concatenate([TUNE, BROKEN_CHORDS]))


def test_a_chord_or_a_drone_makes_two_voices_and_a_short_note_within_a_long_one_does_not() -> None:
    def beside(start: float, end: float) -> bool:
        return is_one_voice(Notes.concatenate([TUNE, Notes.from_arrays([start], [end], [40], [80])]))

    assert not beside(0.0, 0.4)
    assert not beside(0.1, 12.0)
    assert beside(0.1, 0.15)


def test_a_short_gap_is_held_over_and_a_longer_one_is_a_rest() -> None:
    tune = Notes.from_arrays([0.0, 0.5, 1.2], [0.35, 0.9, 1.5], [60, 62, 64], [80] * 3)
    assert extract_melody(tune, "line").end.tolist() == [0.5, 0.9, 1.5]


def test_what_sounds_has_a_melody_and_what_does_not_is_none() -> None:
    chord = Notes.from_arrays([0.0] * 3, [2.0] * 3, [60, 64, 67], [80] * 3)  # no line is worth what it costs
    assert not len(line_index(chord))
    assert extract_melody(chord, "line").equals(extract_melody(chord))
    assert extract_melody(chord).pitch.tolist() == [67]
    silent = Notes.from_arrays([0.0, 1.0, 2.0], [0.9, 1.0, 2.9], [60, 72, 62], [80] * 3)
    assert extract_melody(silent, "line").pitch.tolist() == [60, 62]


def test_a_tune_above_broken_chords_is_found() -> None:
    piece = Notes.concatenate([TUNE, BROKEN_CHORDS])
    assert extract_melody(piece, "line").equals(TUNE)


def test_a_loud_tune_in_the_middle_is_found() -> None:
    above = voice([88, 91, 88, 93] * 12, seconds=0.25, velocity=35)
    below = voice([40, 47] * 12, seconds=0.5, velocity=35)
    tune = Notes(TUNE.start, TUNE.end, TUNE.pitch - 6, np.full(len(TUNE), 100))
    piece = Notes.concatenate([tune, above, below])
    assert extract_melody(piece, "line").equals(tune)
    assert not extract_melody(piece, "published").equals(tune)


@given(st.integers(-12, 12), st.integers(-15, 15), st.floats(0.0, 9.0))
def test_key_loudness_and_beginning_change_nothing(semitones: int, louder: int, later: float) -> None:
    piece = Notes.concatenate([TUNE, BROKEN_CHORDS, random_notes(3, 12, lowest=40, highest=90)])
    other = Notes(piece.start + later, piece.end + later, piece.pitch + semitones, piece.velocity)
    found = melody_flags(piece, "line")
    assert np.array_equal(found, melody_flags(other, "line"))
    even = Notes(piece.start, piece.end, piece.pitch, np.clip(piece.velocity, 30, 100))
    moved = Notes(even.start, even.end, even.pitch, even.velocity + louder)
    assert np.array_equal(melody_flags(even, "line"), melody_flags(moved, "line"))


def test_nothing_and_an_unknown_extractor() -> None:
    assert not len(extract_melody(Notes.empty(), "line"))
    with pytest.raises(ValueError, match="extractor is 'loudest'"):
        extract_melody(TUNE, "loudest")  # type: ignore[arg-type]


def test_published_is_the_default() -> None:
    piece = random_notes(5, 60)
    assert np.array_equal(melody_flags(piece), melody_flags(piece, "published"))
    assert not np.array_equal(melody_flags(piece), melody_flags(piece, "line"))


def test_the_line_beats_the_published_extractor_on_pop909() -> None:
    # Ten songs that the numbers were not tuned on. On all 227 of them: F1 0.70 against 0.54, docs/experiments.md.
    files = sorted((DATA / "pop909").glob("*.mid"))[1::2]
    real_files("pop909", 1)  # skips where there are none
    score = {"line": 0.0, "published": 0.0}
    for path in files[::23]:
        tracks = read_tracks(path).tracks
        truth = next(track.notes for track in tracks if track.name == "MELODY")
        mix = Notes.concatenate([track.notes for track in tracks])
        wanted = set(zip(truth.start.tolist(), truth.pitch.tolist(), strict=True))
        for name in ("line", "published"):
            found = mix[melody_flags(mix, name)]  # type: ignore[arg-type]
            hit = len(wanted & set(zip(found.start.tolist(), found.pitch.tolist(), strict=True)))
            score[name] += 2 * hit / (len(found) + len(wanted)) / 10
    assert score["line"] > score["published"] + 0.1


def test_the_benchmark_prints_json() -> None:
    real_files("pop909", 1)
    command = [sys.executable, "benchmarks/melody_extraction.py", "--pieces", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MUSICSTYLE_DATA": str(DATA)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["pieces"] == 2
    assert set(result["extractors"]) == {"published", "skyline", "skyline, sounding", "line"}
