"""The melody metric against mir_eval, and what must be so whatever the notes are."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicstyle.evaluation.melody import MelodyScore, moved_in_pitch, moved_in_time, score_melody
from musicstyle.music.matching import match
from musicstyle.music.notes import Notes


def some(rng: np.random.Generator, count: int, keys: int, seconds: float) -> Notes:
    start = np.round(rng.uniform(0, seconds, count), 2)
    return Notes.from_arrays(start, start + 0.2, 60 + rng.integers(keys, size=count), np.full(count, 70))


def tune() -> Notes:
    start = np.arange(9) * 0.5
    return Notes.from_arrays(start, start + 0.5, [60, 64, 67, 72, 67, 64, 60, 55, 60], np.full(9, 80))


def test_chance_is_the_higher_of_what_moving_in_time_and_in_pitch_leaves() -> None:
    start = np.arange(40) * 0.5
    for pitch, played in ((np.full(40, 60), np.arange(40) % 12 + 55), (60 + np.arange(40) % 7, np.full(40, 60))):
        melody = Notes.from_arrays(start, start + 0.5, pitch, np.full(40, 80))
        score = score_melody(melody, Notes.from_arrays(start, start + 0.5, played, np.full(40, 80)))
        assert score.chance_100 == pytest.approx(max(score.moved_time_100, score.moved_pitch_100) / 40)
        assert score.chance_50 == pytest.approx(max(score.moved_time_50, score.moved_pitch_50) / 40)
    one_key = Notes.from_arrays(start, start + 0.5, np.full(40, 60), np.full(40, 80))
    chords = Notes.concatenate([one_key.transpose(by) for by in range(-12, 13)])
    assert score_melody(one_key, chords).chance_100 > 0.9  # whatever key it is moved to sounds


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.1]))
def test_the_matching_is_as_large_as_mir_evals(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    melody, played = some(rng, 23, 3, 4.0), some(rng, 41, 4, 4.0)
    heard, struck = match(melody, played, tolerance)
    oracle = mir_eval.transcription.match_notes(
        np.stack([melody.start, melody.end], axis=1),
        mir_eval.util.midi_to_hz(melody.pitch),
        np.stack([played.start, played.end], axis=1),
        mir_eval.util.midi_to_hz(played.pitch),
        onset_tolerance=tolerance,
        offset_ratio=None,
    )
    assert len(heard) == len(oracle)
    assert len(np.unique(heard)) == len(heard) == len(np.unique(struck))
    assert (melody.pitch[heard] == played.pitch[struck]).all()
    assert (np.abs(melody.start[heard] - played.start[struck]) < tolerance + 1e-5).all()


def test_a_tune_played_as_written_sounds_entirely_and_alone() -> None:
    score = score_melody(tune(), tune())
    assert (score.share_50, score.share_100, score.on_top, score.extra_above) == (1, 1, 1, 0)
    assert score.deviation_seconds == 0
    assert score.chance_100 < 0.5


@pytest.mark.parametrize(
    ("late", "share_50", "share_100"), [(0.04, 1, 1), (0.05, 1, 1), (0.08, 0, 1), (0.1, 0, 1), (0.11, 0, 0)]
)
def test_a_late_player_is_heard_within_the_tolerances_only(late: float, share_50: float, share_100: float) -> None:
    score = score_melody(tune(), tune().shift(late))
    assert (score.share_50, score.share_100) == (share_50, share_100)
    assert score.deviation_seconds == pytest.approx(late * share_100)
    assert score.bias_seconds == pytest.approx(late * share_100)


def test_one_strike_plays_one_note_of_a_repeated_pitch() -> None:
    melody = Notes.from_arrays([0.0, 0.08], [0.08, 0.16], [60, 60], [80, 80])
    played = Notes.from_arrays([0.05], [0.2], [60], [80])
    assert score_melody(melody, played).hits_100 == 1


def test_a_descant_takes_the_top_and_counts_as_extra() -> None:
    descant = Notes.from_arrays(tune().start + 0.02, tune().end, tune().pitch + 12, np.full(9, 60))
    bass = Notes.from_arrays(tune().start, tune().end, tune().pitch - 24, np.full(9, 60))
    score = score_melody(tune(), Notes.concatenate([tune(), descant, bass]))
    assert (score.share_100, score.on_top, score.extra_above) == (1, 0, 1)
    assert score_melody(tune(), Notes.concatenate([tune(), bass])).on_top == 1


@pytest.mark.parametrize(("late", "on_top"), [(-0.06, 1), (-0.05, 0), (0.05, 0), (0.06, 1)])
def test_what_is_struck_50_ms_away_takes_the_top_and_what_is_farther_does_not(late: float, on_top: int) -> None:
    played = tune().shift(0.5)
    descant = Notes.from_arrays(played.start + late, played.end + late, played.pitch + 12, np.full(9, 60))
    assert score_melody(played, Notes.concatenate([played, descant])).on_top == on_top


def test_a_note_of_a_rising_melody_that_comes_early_is_not_above_it() -> None:
    start = np.arange(6) * 0.5
    rising = Notes.from_arrays(start + 0.5, start + 1.0, 60 + 2 * np.arange(6), np.full(6, 80))
    assert score_melody(rising, rising.shift(-0.08)).above == 0
    assert score_melody(rising, rising.shift(-0.2)).above == 5  # too early to be the melody's


def test_a_note_above_a_rest_is_not_above_the_melody() -> None:
    melody = Notes.from_arrays([0.0, 2.0], [0.5, 2.5], [60, 62], [80, 80])
    above = Notes.from_arrays([0.3, 0.5, 1.0, 2.4, 3.0], [0.4, 0.6, 1.1, 2.5, 3.1], [70] * 5, [80] * 5)
    assert score_melody(melody, above).above == 2


@given(st.integers(0, 10_000))
def test_scores_add(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (score_melody(some(rng, n, 5, 6.0), some(rng, 50, 7, 6.0)) for n in (12, 19))
    both = a + b
    assert both.share_100 == pytest.approx((12 * a.share_100 + 19 * b.share_100) / 31)
    assert a + MelodyScore() == a


def test_the_moved_melody_keeps_its_pitches_or_its_rhythm() -> None:
    for moved in moved_in_time(tune()):
        assert sorted(moved.pitch) == sorted(tune().pitch)
        assert (moved.start < tune().duration_seconds).all()
    assert [int(m.pitch[0]) - 60 for m in moved_in_pitch(tune())] == [-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6]
    high = Notes.from_arrays([0.0], [1.0], [125], [80])
    assert max(int(m.pitch[0]) for m in moved_in_pitch(high)) == 127


def test_a_melody_that_can_be_moved_nowhere_has_the_chance_of_other_times() -> None:
    widest = Notes.from_arrays([0.0, 1.0], [1.0, 2.0], [0, 127], [80, 80])
    assert moved_in_pitch(widest) == []
    score = score_melody(widest, widest)
    assert (score.share_100, score.moved_pitch_100, score.chance_100) == (1, 0, score.moved_time_100 / 2)


def test_every_key_at_once_is_what_chance_catches() -> None:
    start = np.repeat(np.arange(0, 4.5, 0.1), 60)
    cluster = Notes.from_arrays(start, start + 0.1, np.tile(np.arange(40, 100), 45), np.full(len(start), 60))
    score = score_melody(tune(), cluster)
    assert score.share_100 == 1
    assert score.chance_100 > 0.95


def test_nothing_is_nothing() -> None:
    assert score_melody(Notes.empty(), tune()).share_100 == 0
    assert score_melody(tune(), Notes.empty()).to_dict()["share_100"] == 0
