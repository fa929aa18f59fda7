"""Where a tune comes again, found by its definition; and there what was played to it comes again too."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from some_models import SMALL, awake
from some_notes import random_notes

from musicstyle.generation.job import Job
from musicstyle.generation.motivic import Motivic
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.plan import make_plan
from musicstyle.generation.returning import LATE_STEPS, NATS, Returning, Returns
from musicstyle.music.motifs import MOTIFS
from musicstyle.music.notes import Notes
from musicstyle.music.performance import decode, encode
from musicstyle.music.returns import LEAST_NOTES, LEAST_SECONDS, TOLERANCE, returns
from musicstyle.music.vocabulary import NOTE_ON, PERFORMANCE, TIME_SHIFT

PHRASE = [60, 62, 64, 60, 67, 65, 64, 62]


def tune(*phrases: list[int], seconds: float = 0.5) -> Notes:
    pitch = [pitch for phrase in phrases for pitch in phrase]
    start = seconds * np.arange(len(pitch))
    return Notes.from_arrays(start, start + seconds / 2, pitch, np.full(len(pitch), 70))


def test_a_phrase_returns_in_any_key() -> None:
    other = [72, 71, 76, 74, 79, 77, 72, 69]
    higher = [pitch + 5 for pitch in PHRASE]
    found = returns(tune(PHRASE, PHRASE, other, higher))
    assert found.tolist() == [0] * 8 + [8] * 8 + [0] * 8 + [16] * 8  # of two alike to the later


def test_a_figure_is_no_return_and_neither_are_a_few_notes() -> None:
    figure = [60, 64, 67] * 8
    assert returns(tune(figure, seconds=0.7)).tolist() == [0] * 3 + [3] * 21
    assert returns(tune(figure, seconds=0.2)).tolist() == [0] * 12 + [12] * 12  # 0.6 s are too soon, 2.4 are not
    short = [60, 61, 66, 63, 69]
    assert not returns(tune(short, [70, 80, 71], short, [50, 81, 40])).any()
    assert not returns(tune([60])).any()
    assert not len(returns(Notes.empty()))


@given(st.lists(st.tuples(st.integers(60, 61), st.sampled_from([0.2, 0.23, 0.5, 2.0])), min_size=1, max_size=40))
def test_returns_are_those_of_the_definition(rows: list[tuple[int, float]]) -> None:
    pitch, waits = [row[0] for row in rows], np.array([row[1] for row in rows])
    start = np.cumsum(waits) - waits[0]
    melody = Notes.from_arrays(start, start + 0.1, pitch, np.full(len(rows), 70))

    def alike(i: int, j: int) -> bool:
        """Whether the same leads to both notes."""
        same = pitch[i] - pitch[i - 1] == pitch[j] - pitch[j - 1]
        return same and abs(np.log2(waits[i] / waits[j])) < TOLERANCE

    for i, found in enumerate(returns(melody).tolist()):
        best = (0, 0)  # notes of the stretch, how far apart
        for apart in range(1, i + 1):
            first = last = i
            while first - apart > 0 and alike(first, first - apart):
                first -= 1
            while last + 1 < len(rows) and alike(last + 1, last + 1 - apart):
                last += 1
            notes, seconds = last - first + 1, start[first] - start[first - apart]
            if notes >= LEAST_NOTES and seconds >= LEAST_SECONDS and notes > best[0]:
                best = (notes, apart)
        assert found == best[1]


@given(st.integers(0, 99), st.integers(-24, 24), st.floats(1.0, 4.0))
def test_a_return_stays_one_in_another_key_or_slower_or_as_somebody_plays_it(
    seed: int, semitones: int, factor: float
) -> None:
    melody = tune(PHRASE, [71, 72, 70], PHRASE)
    found = returns(melody)
    assert found.tolist() == [0] * 11 + [11] * 8
    assert (returns(melody.transpose(semitones).stretch(factor)) == found).all()
    moved = melody.start + np.random.default_rng(seed).uniform(-0.015, 0.015, len(melody))
    rubato = Notes.from_arrays(moved - moved.min(), moved - moved.min() + 0.1, melody.pitch, melody.velocity)
    assert (returns(rubato) == found).all()


def twice(seed: int, semitones: int) -> tuple[Notes, np.ndarray, Returns]:
    """What is played to a phrase of 4 s, all of it over before the phrase returns; its ids; the returns."""
    melody = tune(PHRASE, [pitch + semitones for pitch in PHRASE])
    free = random_notes(seed, 30, 3.2, lowest=40, highest=90)
    keys = np.random.default_rng(seed).permutation(np.arange(40, 70))  # each once, so that none is struck while down
    played = Notes.from_arrays(free.start, free.end.clip(max=3.8), keys, free.velocity).quantized()
    found = Returns.of(melody)
    assert found is not None
    return played, encode(played), found


@given(st.integers(0, 500), st.integers(-5, 5))
def test_what_is_expected_is_all_that_was_played_as_it_was(seed: int, semitones: int) -> None:
    played, ids, found = twice(seed, semitones)
    motivic = Motivic(torch.zeros(MOTIFS), 1.0, 1, ids, found)
    again = [*ids.tolist(), *shifts(395 - int(played.steps()[1].max()))]  # where the phrase's first note may be struck
    for event_id in again[len(ids) :]:
        motivic.accept([event_id])
    for _ in range(1000):
        if not (said := motivic.says()[0]).any():
            break
        assert said.max() == pytest.approx(NATS)
        assert np.count_nonzero(said) == 1
        again.append(int(said.argmax()))
        motivic.accept(again[-1:])
    expected = Notes.concatenate([played, played.transpose(semitones).shift(4.0)])
    assert decode(again)[0].equals(expected.quantized())


@pytest.mark.parametrize("factor", [0.88, 0.95, 1.05, 1.14])
def test_what_goes_with_a_note_of_the_tune_goes_with_it_where_it_comes_sooner_or_later(factor: float) -> None:
    start = np.concatenate((np.arange(8), 9 + factor * np.arange(8))).round(2)
    melody = Notes.from_arrays(start, start + 0.2, PHRASE * 2, np.full(16, 70))
    played = Notes.from_arrays(start[:8], start[:8] + 0.3, np.arange(30, 38), np.full(8, 60))
    found = Returns.of(melody)
    assert found is not None
    motivic = Motivic(torch.zeros(MOTIFS), 1.0, 1, encode(played), found)
    clock = round(100 * float(played.end.max()))
    again = [*encode(played).tolist(), *shifts(891 - clock)]
    for event_id in again[len(encode(played)) :]:
        motivic.accept([event_id])
    for _ in range(100):
        if not (said := motivic.says()[0]).any():
            break
        again.append(int(said.argmax()))
        motivic.accept(again[-1:])
    notes = decode(again)[0]
    np.testing.assert_allclose(notes.start[8:], start[8:], atol=1e-9)
    assert notes.pitch[8:].tolist() == list(range(30, 38))


def shifts(steps: int) -> list[int]:
    return [PERFORMANCE.encode(TIME_SHIFT, each) for each in [100] * (steps // 100) + [steps % 100] if each]


def test_what_is_left_out_is_given_up_and_what_is_added_changes_nothing() -> None:
    three = [9, 9, 9]
    played = SimpleNamespace(keys=[30, 40, 50], steps=[0, 50, 100], levels=three, lengths=three, down={})
    melody = tune(PHRASE, [71], PHRASE, [50])
    found = Returns.of(melody)
    assert found is not None
    returning = Returning(found)

    def expected(clock: int) -> tuple[str, int] | None:
        found = returning.expected(clock, 9, played)
        return None if found is None else PERFORMANCE.decode(found)

    assert expected(440) is None  # not yet there: the phrase comes again at 450
    assert expected(446) == (TIME_SHIFT, 4)
    assert expected(450) == (NOTE_ON, 30 + 21)
    returning.strike(60, 450, played)  # another key
    assert expected(450 + LATE_STEPS) == (NOTE_ON, 30 + 21)
    assert expected(451 + LATE_STEPS) == (TIME_SHIFT, 49 - LATE_STEPS)
    returning.strike(40, 495, played)  # a little early
    assert expected(500) == (TIME_SHIFT, 50)
    assert expected(850) is None  # the tune is new


def test_what_came_behind_the_phrase_does_not_come_again() -> None:
    """Unless the tune goes on with it."""
    row = [1] * 3
    played = SimpleNamespace(keys=[30, 40, 50], steps=[300, 360, 420], levels=row, lengths=row, down={})
    for others, behind in (([71], False), ([72], True)):
        found = Returns.of(tune(PHRASE, [72], PHRASE, others))
        assert found is not None
        returning = Returning(found)
        assert returning.expected(446, 1, played) == PERFORMANCE.encode(TIME_SHIFT, 100)
        returning.strike(30, 750, played)
        returning.strike(40, 810, played)
        expected = returning.expected(810, 1, played)
        assert expected == (PERFORMANCE.encode(TIME_SHIFT, 60) if behind else None)


@pytest.mark.parametrize("prime", [None, 2.3])
def test_a_piece_returns_with_its_tune(prime: float | None) -> None:
    model = awake(dataclasses.replace(SMALL, conditions="melody"), deviation=0.05)
    melody = tune(PHRASE, [71, 72, 70, 69, 67, 66, 69, 68], PHRASE)
    primer = None if prime is None else random_notes(5, 20, prime)

    def share(strength: float) -> float:
        """Of the keys struck from 8 s on, how many were struck 8 s before."""
        options = GenerationOptions(motif_strength=strength, style_strength=1)
        job = Job(model, make_plan(melody, None, primer, options), None, options, {})
        begin, hits, count = job.plan.begin_steps / 100, 0, 0
        for ids in job.sample_all(range(4)):
            notes = decode(np.concatenate((job.plan.primer, ids)))[0]
            for start, pitch in zip(notes.start, notes.pitch, strict=True):
                if start >= begin + 8:
                    count += 1
                    hits += bool(((np.abs(notes.start - start + 8) < 0.1) & (notes.pitch == pitch)).any())
        return hits / count

    assert share(4.0) > share(0.0) + 0.3


def test_a_tune_that_never_returns_and_strength_0_say_nothing() -> None:
    assert Returns.of(tune(PHRASE)) is None
    assert Returns.of(tune(PHRASE, PHRASE), 0.0) is None
    half = Returns.of(tune(PHRASE, PHRASE), 0.5)
    assert half is not None
    assert half.nats == NATS / 2


def test_a_tune_that_is_ignored_has_no_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """At melody strength 0; at another they are looked for."""
    asked: list[float] = []
    monkeypatch.setattr(Returns, "of", lambda _tune, strength: asked.append(strength))
    model, melody = awake(dataclasses.replace(SMALL, conditions="melody")), tune(PHRASE, PHRASE)
    for strength in (0.0, 2.0):
        options = GenerationOptions(melody_strength=strength, style_strength=1, motif_strength=0.5, seconds=1.0)
        next(Job(model, make_plan(melody, None, None, options), None, options, {}).sample([1]))
    assert asked == [0.5]
