"""What a person asks for is what is played: the melody kept, tempo, register, primer, variations, streaming."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from some_models import SMALL, awake
from some_notes import chords

from musicstyle.errors import ConfigError, UsageError
from musicstyle.generation import rules
from musicstyle.generation.engine import sample_ids
from musicstyle.generation.job import Job
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.performances import Performances
from musicstyle.generation.plan import make_plan, register_shift
from musicstyle.generation.ranking import measure
from musicstyle.generation.rules import (
    A_HAND,
    CHORD_STEPS,
    EARLY_STEPS,
    FINGERS,
    HELD_STEPS,
    LATE_STEPS,
    LONGEST_STEPS,
    TWO_HANDS,
    Duties,
    Grammar,
    Limits,
)
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.music.matching import match
from musicstyle.music.melody import extract_melody, frames_to_melody, melody_frames
from musicstyle.music.motifs import recalled
from musicstyle.music.notes import Notes
from musicstyle.music.performance import decode, elapsed_steps, encode, held_before, held_steps
from musicstyle.music.vocabulary import (
    EOS,
    KEYS,
    MIN_PITCH,
    NOTE_OFF,
    NOTE_ON,
    PERFORMANCE,
    TIME_SHIFT,
    VELOCITY,
    velocity_bin,
)


@pytest.fixture(scope="module")
def player() -> StyleTransfer:
    return StyleTransfer(awake(seed=4), {"training": {"tokens": 64}, "generation": {"top_p": 0.9}})


def tune(notes: int = 7, step_seconds: float = 0.37, first: int = 60) -> Notes:
    start = np.arange(notes) * step_seconds
    pitch = first + np.array([0, 0, 7, 7, 9, 9, 7, 5, 5, 4, 4, 2, 2, 0])[np.arange(notes) % 14]
    return Notes.from_arrays(start, start + step_seconds, pitch, np.full(notes, 80))


def performance(seed: int, notes: int = 50, low: int = 30, high: int = 80) -> Notes:
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.uniform(0.01, 0.4, notes))
    notes_ = Notes.from_arrays(
        start, start + rng.uniform(0.05, 0.9, notes), rng.integers(low, high, notes), rng.integers(20, 110, notes)
    )
    return notes_.quantized()


def one_voice(rng: np.random.Generator, count: int, keys: int) -> Notes:
    """A melody of few keys whose notes may follow each other within a few hundredths of a second."""
    start = np.cumsum(rng.choice([0.01, 0.02, 0.07, 0.3, 1.7], count))
    start -= start[0]
    return Notes.from_arrays(
        start, np.append(start[1:], start[-1] + 0.4), 60 + rng.integers(0, keys, count), [80] * count
    )


def canonical(ids: np.ndarray) -> bool:
    """Whether a fresh grammar without duties would let it pass."""
    grammar = Grammar(10**9, 10**9)
    for event_id in ids.tolist():
        if not grammar.allowed()[event_id]:
            return False
        grammar.accept(event_id)
    return True


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 25),
    keys=st.integers(1, 4),
    bias=st.sampled_from([0.0, 3.0]),
    limits=st.builds(
        Limits,
        st.sampled_from([HELD_STEPS, 30, LONGEST_STEPS]),
        st.sampled_from([1, 3, KEYS]),
        st.sampled_from([1, 3]),
        st.integers(1, 16),
        st.integers(16, 32),
    ),
)
def test_a_random_walk_leaves_no_duty_undone_and_stays_canonical(
    seed: int, count: int, keys: int, bias: float, limits: Limits
) -> None:
    """Whoever draws: with a bias the walk shifts the clock as far and as often as it may."""
    rng = np.random.default_rng(seed)
    melody = one_voice(rng, count, keys)
    end = int(melody.duration_seconds * 100 + 0.5)
    steps, step_keys = melody.steps()[0], melody.pitch - 21
    grammar = Grammar(end, end + 30, limits)
    grammar.duties = Duties(steps, melody.steps()[1], step_keys, end)
    weight = np.exp(np.where(PERFORMANCE.kinds == PERFORMANCE.kind_index(TIME_SHIFT), bias, 0.0))
    ids: list[int] = []
    while (allowed := grammar.allowed()).any():
        ids.append(int(rng.choice(PERFORMANCE.size, p=allowed * weight / (allowed * weight).sum())))
        grammar.accept(ids[-1])
    array = np.array([i for i in ids if i != EOS], dtype=np.int64)
    assert canonical(array)
    # Each note has a strike of its own: from the ids, as notes let go in the step they began in are none.
    struck = np.isin(array, PERFORMANCE.ids("note_on"))
    onset, pitch = elapsed_steps(array)[struck], PERFORMANCE.values[array[struck]]
    for key in np.unique(melody.pitch):
        strikes = onset[pitch == key].tolist()
        for step in np.unique(steps[melody.pitch == key]).tolist():
            found = next(s for s in strikes if step - EARLY_STEPS <= s <= step + LATE_STEPS)
            strikes.remove(found)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    longest=st.integers(HELD_STEPS, 80),
    most=st.integers(1, 12),
    chord=st.integers(1, FINGERS),
    softest=st.integers(1, 20),
    levels=st.integers(1, 12),
)
def test_a_random_walk_stays_within_what_a_style_does(
    seed: int, longest: int, most: int, chord: int, softest: int, levels: int
) -> None:
    """Whoever draws, as long as it likes to strike keys and seldom lets them go."""
    limits = Limits(longest, most, chord, softest, softest + levels - 1)
    rng, grammar, down = np.random.default_rng(seed), Grammar(600, 630, limits), dict[int, int]()
    loudness: set[int] = set()
    strikes: list[int] = []
    liked = {NOTE_OFF: 0.01, NOTE_ON: 5.0, TIME_SHIFT: 1.0}
    weight = np.ones(PERFORMANCE.size)
    for kind, likes in liked.items():
        weight[list(PERFORMANCE.ids(kind))] = likes
    first = True  # nothing has been struck in this moment
    while (allowed := grammar.allowed()).any():
        lasted = [grammar.clock - struck for struck in down.values()]  # the oldest first
        too_many = lasted[: max(len(down) - most, 0)] if first else []
        must_end = any(steps >= HELD_STEPS for steps in too_many) or any(steps >= longest for steps in lasted)
        kinds = {PERFORMANCE.decode(int(i))[0] for i in np.flatnonzero(allowed) if i != EOS}
        full = sum(grammar.clock - struck < CHORD_STEPS for struck in strikes) >= chord
        assert (kinds == {NOTE_OFF}) == must_end or full or grammar.clock >= 600
        # In a moment that has come nothing else may be left to do.
        assert not full or not kinds & {NOTE_ON, VELOCITY} or not kinds & {NOTE_OFF, TIME_SHIFT}
        event_id = int(rng.choice(PERFORMANCE.size, p=allowed * weight / (allowed * weight).sum()))
        if event_id != EOS:
            kind, key = PERFORMANCE.decode(event_id)
            first = kind == TIME_SHIFT or (first and kind != NOTE_ON)
            loudness |= {key} if kind == VELOCITY else set()
            if kind == NOTE_ON:
                down[key] = grammar.clock
                strikes.append(grammar.clock)
            elif kind == NOTE_OFF:
                del down[key]
        grammar.accept(event_id)
    assert grammar.clock >= 600
    assert loudness <= set(range(softest, softest + levels))


def test_the_limits_of_a_style_are_those_of_99_of_its_100_notes() -> None:
    start = np.arange(200) * 0.1
    length = np.full(200, 0.55)  # so six sound when one is struck
    length[[7, 100]] = 8.0  # a seventh from then on, in far more than one moment of a hundred
    style = Notes.from_arrays(start, start + length, 40 + np.arange(200) % 30, np.full(200, 64))
    limits = Limits.of(style)
    assert 55 <= limits.longest_steps < 800
    assert (limits.most_keys, limits.most_struck) == (7, A_HAND)
    assert Limits.of(style[:1]) == Limits(55, 5, 5, 16, 16)  # of a hand
    click, drone = (Notes.from_arrays([0.0], [end], [60], [64]) for end in (0.01, 60.0))
    assert Limits.of(click) == Limits(HELD_STEPS, A_HAND, A_HAND, 16, 16)
    assert Limits.of(drone) == Limits(LONGEST_STEPS, A_HAND, A_HAND, 16, 16)
    velocity = np.full(200, 64)
    velocity[:3], velocity[3], velocity[4:7] = 20, 1, 100  # the softest and the loudest, but for one
    loud = Limits.of(Notes.from_arrays(style.start, style.end, style.pitch, velocity))
    assert (loud.softest, loud.loudest) == (velocity_bin(20), velocity_bin(100))
    two = Limits.of(Notes.from_arrays([0.0, 1.0], [0.5, 1.5], [60, 62], [20, 100]))
    assert (two.softest, two.loudest) == (velocity_bin(20), velocity_bin(100))


def test_what_is_let_go_when_another_is_struck_does_not_sound_with_it() -> None:
    """Chords of eight keys, each held until the next: eight, not sixteen."""
    start = np.repeat(np.arange(9.0), 8)
    chords = Notes.from_arrays(start, start + 1, np.tile(40 + 3 * np.arange(8), 9), np.full(72, 64))
    assert Limits.of(chords).most_keys == 8


def test_the_mean_of_limits_is_the_nearest_and_of_alike_ones_is_theirs() -> None:
    limits = Limits(317, 7, 6, 11, 23)
    for count in range(1, 30):
        assert Limits.mean([limits] * count, [1 / count] * count) == limits
    assert Limits.mean([limits, Limits(320, 8, 9, 5, 28)], [0.7, 0.3]) == Limits(318, 7, 7, 9, 24)  # 317.9, 7.3, ...


@pytest.mark.parametrize(
    ("rolled_seconds", "expected"), [(0.0, 8), (0.006, 8), (0.01, 5), (0.02, A_HAND), (0.1, A_HAND)]
)
def test_notes_that_are_struck_within_50_ms_are_a_chord(rolled_seconds: float, expected: int) -> None:
    start = np.repeat(np.arange(9.0), 8) + np.tile(np.arange(8) * rolled_seconds, 9)
    chords = Notes.from_arrays(start, start + 0.3, np.tile(40 + 3 * np.arange(8), 9), np.full(72, 64))
    assert Limits.of(chords).most_struck == expected


def test_a_full_chord_takes_what_is_due_and_nothing_beside_it() -> None:
    grammar = Grammar(1000, 1200, Limits(most_struck=1))
    grammar.duties = Duties(np.array([0]), np.array([50]), np.array([40]), 1000)
    for kind, value in ((TIME_SHIFT, 3), (VELOCITY, 9), (NOTE_ON, MIN_PITCH + 30), (TIME_SHIFT, 2), (VELOCITY, 8)):
        grammar.accept(PERFORMANCE.encode(kind, value))
    assert np.flatnonzero(grammar.allowed()).tolist() == [PERFORMANCE.encode(NOTE_ON, MIN_PITCH + 40)]


def test_a_kept_note_is_held_whatever_is_struck_after_it_until_the_piece_is_over() -> None:
    grammar = Grammar(8, 200)
    grammar.duties = Duties(np.array([0, 1]), np.array([50, 2]), np.array([40, 50]), 8)
    let_go = PERFORMANCE.encode(NOTE_OFF, MIN_PITCH + 40)
    can_be = []
    for kind, value in (
        *((VELOCITY, 9), (NOTE_ON, MIN_PITCH + 40), (TIME_SHIFT, 1), (NOTE_ON, MIN_PITCH + 50)),
        *((TIME_SHIFT, 4), (NOTE_OFF, MIN_PITCH + 50), (TIME_SHIFT, 3)),
    ):
        grammar.accept(PERFORMANCE.encode(kind, value))
        can_be.append(bool(grammar.allowed()[let_go]))
    assert can_be == [False] * 6 + [True]


@pytest.mark.parametrize(("steps", "may"), [(9, False), (10, True)])
def test_a_kept_note_is_held_for_100_ms_and_may_then_be_let_go(steps: int, may: bool) -> None:
    """Whatever is still held beside it."""
    grammar = Grammar(1000, 1200)
    grammar.duties = Duties(np.array([0, 4]), np.array([50, 50]), np.array([40, 50]), 1000)
    for kind, value in (
        *((VELOCITY, 9), (NOTE_ON, MIN_PITCH + 40), (TIME_SHIFT, 4), (NOTE_ON, MIN_PITCH + 50)),
        (TIME_SHIFT, steps - 4),
    ):
        grammar.accept(PERFORMANCE.encode(kind, value))
    assert not grammar.allowed()[PERFORMANCE.encode(NOTE_OFF, MIN_PITCH + 50)]
    assert grammar.allowed()[PERFORMANCE.encode(NOTE_OFF, MIN_PITCH + 40)] == may


def test_no_style_has_more_than_ten_fingers() -> None:
    start = np.repeat(np.arange(9.0), 12)
    assert (
        Limits.of(Notes.from_arrays(start, start + 0.3, np.tile(40 + np.arange(12), 9), np.full(108, 64))).most_struck
        == 10
    )


def test_a_piece_keeps_to_the_limits_of_its_style(player: StyleTransfer) -> None:
    style = performance(2)
    limits = make_plan(tune(), Performances.of([style]), None, player.default_options()).limits
    assert limits == Limits.of(style)
    stream = player.stream(style, tune(), seed=5)
    (ids,) = stream.job.sample_all([5])
    notes, _ = decode(ids)
    loudness = velocity_bin(notes.velocity)
    assert limits.softest <= loudness.min() <= loudness.max() <= limits.loudest
    start, end = notes.steps()
    assert (end - start).max() <= limits.longest_steps
    assert make_plan(tune(), None, None, player.default_options()).limits == TWO_HANDS


def test_without_a_tune_a_piece_lasts_30_s_or_as_long_as_asked(player: StyleTransfer) -> None:
    for seconds, steps in ((None, 3000), (90.0, 9000)):
        assert make_plan(None, None, None, player.default_options(seconds=seconds)).end_steps == steps


def test_a_piece_is_never_longer_than_its_tune(player: StyleTransfer) -> None:
    assert make_plan(tune(), None, None, player.default_options(seconds=90.0)).end_steps == 7 * 37


def test_a_piece_is_over_when_it_is_silent_after_the_end() -> None:
    grammar = Grammar(100, 300)
    for kind, value in ((VELOCITY, 9), (NOTE_ON, 60), (TIME_SHIFT, 100), (NOTE_OFF, 60)):
        assert not grammar.finished
        grammar.accept(PERFORMANCE.encode(kind, value))
    assert grammar.finished
    assert not grammar.allowed().any()


def test_a_key_that_is_struck_again_while_it_is_down_is_not_the_oldest() -> None:
    """As a primer may have it: what was struck after its first time must be let go first."""
    grammar = Grammar(1000, 1200, Limits(longest_steps=50))
    grammar.accept(PERFORMANCE.encode(VELOCITY, 9))
    for key in (60, 61, 60):
        grammar.accept(PERFORMANCE.encode(NOTE_ON, key))
        grammar.accept(PERFORMANCE.encode(TIME_SHIFT, 1))
    assert grammar.clock == 3
    grammar.accept(PERFORMANCE.encode(NOTE_ON, 70))
    assert max(np.flatnonzero(grammar.allowed()[list(PERFORMANCE.ids(TIME_SHIFT))]) + 1) == 1 + 50 - 3


def test_what_sounds_at_the_end_may_ring_for_2_s_and_no_longer(player: StyleTransfer) -> None:
    grammar = make_plan(None, None, None, player.default_options(seconds=1.5)).grammar()
    for kind, value in ((VELOCITY, 9), (NOTE_ON, 60), *[(TIME_SHIFT, 100)] * 3, (TIME_SHIFT, 50)):
        longest = max(np.flatnonzero(grammar.allowed()[list(PERFORMANCE.ids(TIME_SHIFT))]) + 1, default=0)
        assert kind != TIME_SHIFT or longest == value
        grammar.accept(PERFORMANCE.encode(kind, value))
    assert (grammar.clock, grammar.finished) == (350, True)


def test_a_primer_s_loudness_is_not_the_style_s(player: StyleTransfer) -> None:
    """However soft a primer ends, what comes behind it is as loud as the style."""
    rng = np.random.default_rng(1)
    start = np.arange(60) * 0.1
    loud = Notes.from_arrays(start, start + 0.1, rng.integers(40, 90, 60), np.full(60, 110))
    soft = Notes.from_arrays([0.0, 0.5], [0.4, 0.9], [60, 64], [30, 30])
    made = player.generate(loud, tune(), prime=soft, seed=3)
    assert made.notes[:2].velocity.tolist() == [29, 29]  # as the primer has it, in its bin
    assert made.new_notes > 5
    assert set(velocity_bin(made.notes[2:].velocity)) == {velocity_bin(110)}


@pytest.mark.parametrize(("strength", "expected"), [(3.5, 1 + 2.5 / 4), (1.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_a_style_of_a_few_notes_is_exaggerated_less(player: StyleTransfer, strength: float, expected: float) -> None:
    """Of a quarter of a crop of the player's 64 events, by a quarter of what was asked."""
    few = Notes.from_arrays([0.0, 0.5, 1.0, 1.5], [0.25, 0.75, 1.25, 1.75], [60, 64, 67, 60], [64] * 4)
    assert len(encode(few)) == 16
    job = player.stream(few, tune(), style_strength=strength).job
    assert job.options.style_strength == expected
    assert job.settings["style_strength"] == strength
    assert job.settings.get("style_strength_as_known", strength) == expected
    whole = player.stream(performance(1), tune(), style_strength=strength).job
    assert whole.options.style_strength == strength
    assert "style_strength_as_known" not in whole.settings
    again = player.stream(few, tune(), style_strength=job.settings["style_strength"]).job
    assert again.options == job.options


def test_a_style_at_strength_0_leaves_no_trace(player: StyleTransfer) -> None:
    ignored, without = (
        player.generate(style, tune(), seed=3, style_strength=0.0).notes for style in (performance(1), None)
    )
    assert ignored.equals(without)
    ignoring = player.default_options(style_strength=0.0)
    assert make_plan(tune(), Performances.of([performance(1)]), None, ignoring).limits == TWO_HANDS


@pytest.mark.parametrize("seed", range(4))
def test_with_random_weights_every_melody_note_sounds(player: StyleTransfer, seed: int) -> None:
    asked = one_voice(np.random.default_rng(seed), 20, 5)
    if asked.duration_seconds < 1.5:
        asked = tune()
    kept = player.generate(performance(1), asked, seed=seed, keep_melody=True)
    assert kept.melody is not None
    assert len(match(kept.melody, kept.notes, 0.1)[0]) == len(kept.melody)
    (ids,) = player.stream(performance(1), asked, seed=seed, keep_melody=True).job.sample_all([seed])
    assert canonical(encode(decode(ids)[0]))  # before they are moved in time
    free = player.generate(performance(1), asked, seed=seed)
    assert len(match(kept.melody, free.notes, 0.1)[0]) < len(kept.melody)


def test_however_early_a_kept_note_is_struck_it_counts_as_sounding(player: StyleTransfer) -> None:
    """Of a tune off the grid, each note as early as the grammar lets it count; the last is cut off, two are one."""
    start = np.array([0.3, 0.7148, 1.1296, 1.1331, 1.9862])
    asked = Notes.from_arrays(start, start + 0.3, [60, 62, 64, 64, 65], [80] * 5).from_zero()
    options = player.default_options(keep_melody=True, seconds=1.69)
    plan = make_plan(asked, None, None, options)
    onset = asked.steps()[0][[0, 1, 2]]
    duties = plan.grammar().duties
    assert duties is not None
    struck = np.maximum(onset - EARLY_STEPS, 0)
    for step, pitch in zip(struck.tolist(), (60, 62, 64), strict=True):
        duties.struck(pitch - 21, step)
    assert duties.deadline.min() > 10**9
    ids = encode(Notes.from_arrays(struck / 100, struck / 100 + 0.1, [60, 62, 64], [80] * 3))
    made = Job(player.model, plan, None, options, {}).result(ids, seed=1, retries=0, ranked=True)
    assert made is not None
    assert made.measures is not None
    assert made.measures.melody_kept == 1


def test_of_a_tune_that_is_longer_only_what_there_is_time_for_is_asked(player: StyleTransfer) -> None:
    """The model hears how it would go on."""
    whole, first = tune(14), tune(5)
    plan = make_plan(whole, None, None, player.default_options(seconds=4 * 0.37 + 0.1))
    assert plan.melody is not None
    assert plan.melody.pitch.tolist() == first.pitch.tolist()
    assert plan.melody.duration_seconds == pytest.approx(4 * 0.37 + 0.1)
    assert np.array_equal(plan.melody_ids, make_plan(whole, None, None, player.default_options()).melody_ids)
    ids = encode(first)
    cut = Job(player.model, plan, None, player.default_options(), {}).result(ids, 1, 0, until_seconds=1.0)
    assert cut is not None
    assert cut.melody is not None
    assert (len(cut.melody), len(cut.notes)) == (3, 3)
    assert max(cut.melody.duration_seconds, cut.notes.duration_seconds) == 1.0


@pytest.mark.parametrize("held", [True, False])
def test_a_note_that_is_kept_is_held_long_enough_to_be_heard(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even by a walk that lets go whatever it may; without the rule, it makes clicks of the same notes."""
    if not held:
        monkeypatch.setattr(rules, "HELD_STEPS", 0)
    asked = tune(14)
    end = int(asked.duration_seconds * 100 + 0.5)
    grammar = Grammar(end, end + 30)
    grammar.duties = Duties(*asked.steps(), asked.pitch - 21, end)
    rng, ids = np.random.default_rng(1), []
    weight = np.ones(PERFORMANCE.size)
    weight[PERFORMANCE.first(TIME_SHIFT) + np.arange(4)] = 50  # short steps, so that there is often a chance
    weight[list(PERFORMANCE.ids(NOTE_OFF))] = 1000
    while (allowed := grammar.allowed()).any():
        ids.append(int(rng.choice(PERFORMANCE.size, p=allowed * weight / (allowed * weight).sum())))
        grammar.accept(ids[-1])
    notes, _ = decode(np.array(ids))
    length = notes.end - notes.start
    heard = [
        length[(notes.pitch == pitch) & (np.abs(notes.start - start) <= 0.1 + 1e-6)].max() >= 0.1 - 1e-9
        for start, pitch in zip(asked.start[:-1], asked.pitch[:-1], strict=True)
    ]
    assert all(heard) == held


def test_the_deadlines_by_hand() -> None:
    """Two notes of a key 30 ms apart just before the end, and one after it that nobody can strike."""
    duties = Duties(np.array([94, 97, 100]), np.array([97, 100, 150]), np.array([39, 39, 39]), 100)
    assert duties.deadline[39] == 98
    duties.struck(39, 84)  # too early for the first
    assert duties.deadline[39] == 98
    assert duties.held_until[39] == 0
    duties.struck(39, 85)
    assert duties.deadline[39] == 99
    assert duties.held_until[39] == 88  # its length; a longer one would be held for 100 ms
    duties.struck(39, 99)
    assert duties.deadline.min() > 10**9
    assert len(duties.deadline) == KEYS


def test_tempo_makes_the_tune_shorter_and_transposition_moves_it(player: StyleTransfer) -> None:
    made = player.generate(None, tune(), tempo=2.0, transpose=-5, seed=2)
    assert made.melody is not None
    assert made.melody.equals(tune().stretch(0.5).transpose(-5), 1e-12)
    assert made.notes.start.max() < tune().duration_seconds / 2
    assert (made.settings["tempo"], made.settings["transpose"]) == (2.0, -5)
    with pytest.raises(UsageError, match="pitches 105 to 114, off the piano"):
        player.generate(None, tune(first=60), transpose=45)
    with pytest.raises(UsageError, match="without a melody"):
        player.generate(performance(1), tempo=1.5)


def test_auto_moves_into_the_register_of_the_style_and_back(player: StyleTransfer) -> None:
    high, low = tune(9, first=84), performance(3, low=30, high=55)
    style, auto = Performances.of([low]), GenerationOptions(transpose="auto")
    plan = make_plan(high, style, None, auto)
    assert plan.shift == register_shift(high, style.register) < -12
    assert plan.melody is not None
    assert plan.melody.equals(high, 1e-12)  # asked for where it was
    assert plan.melody_ids is not None
    assert frames_to_melody(plan.melody_ids).pitch.max() == high.pitch.max() + plan.shift
    made = player.generate(low, high, transpose="auto", keep_melody=True, seed=3)
    assert made.settings["heard_transposed_by"] == plan.shift
    assert len(match(high, made.notes, 0.1)[0]) == len(high)
    assert made.notes.in_piano_range().all()  # moved back, none has left the piano
    with pytest.raises(UsageError, match="whose register it takes"):
        player.generate(None, high, transpose="auto")
    with pytest.raises(UsageError, match="without a melody"):
        player.generate(low, transpose="auto")
    primer = Notes.from_arrays([0.0, 0.5, 1.0], [0.4, 0.9, 1.5], [60, 25, 64], [70, 70, 70])
    moved = player.generate(low, high, prime=primer, transpose="auto", seed=3)
    assert moved.settings["heard_transposed_by"] == 21 - 25  # as far as the primer's lowest note
    assert moved.notes[:3].pitch.tolist() == [60, 25, 64]
    edge = make_plan(tune(first=95), Performances.of([performance(3, low=21, high=24)]), None, auto)
    assert edge.shift + 95 >= 21


def test_registers_are_compared_by_their_medians() -> None:
    start = np.arange(5.0)
    asked = Notes.from_arrays(start, start + 0.9, [60, 60, 60, 60, 100], [80] * 5)  # one high note makes no register
    assert register_shift(asked, 58.0) == -2


@pytest.mark.parametrize(("first", "low"), [(84, 30), (40, 75)])
def test_what_would_leave_the_piano_when_moved_back_is_not_struck(first: int, low: int) -> None:
    style = Performances.of([performance(3, low=low, high=low + 25)])
    plan = make_plan(tune(first=first), style, None, GenerationOptions(transpose="auto"))
    grammar = plan.grammar()
    grammar.accept(PERFORMANCE.encode(VELOCITY, plan.limits.softest))
    keys = np.flatnonzero(grammar.allowed()[list(PERFORMANCE.ids(NOTE_ON))])
    heard = set(range(MIN_PITCH, MIN_PITCH + KEYS))
    assert plan.shift
    assert {int(key) + MIN_PITCH for key in keys} == {pitch for pitch in heard if pitch - plan.shift in heard}


def test_what_is_played_just_before_the_end_sounds_before_it(player: StyleTransfer) -> None:
    """Though time is late there: a note of the tune was struck 80 ms early, and waited."""
    asked = Notes.from_arrays([0.0, 1.0], [1.0, 1.08], [60, 62], [80] * 2)
    plan = make_plan(asked, None, None, player.default_options())
    played = Notes.from_arrays([0.0, 0.92, 1.07], [0.9, 1.2, 1.3], [60, 62, 40], [80] * 3)
    sounds = plan.notes(encode(played)).start
    assert sounds[:2].tolist() == [0.0, 1.0]
    assert sounds[2] < 1.08 == plan.end_steps / 100


def test_what_is_asked_for_stays_in_its_order(player: StyleTransfer) -> None:
    """Two notes that begin in one step, the higher one first."""
    asked = Notes.from_arrays([0.0, 0.301, 0.304], [0.3, 0.304, 0.6], [60, 67, 64], [80] * 3)
    plan = make_plan(asked, None, None, player.default_options())
    assert plan.asked is not None
    assert plan.asked.equals(asked)


def test_a_primer_is_heard_and_gone_on_from(player: StyleTransfer) -> None:
    primer, asked = performance(5, 12).shift(3.0), tune()
    made = player.generate(None, asked, prime=primer, seed=6, keep_melody=True)
    first = primer.shift(-primer.start[0])
    assert made.begin_seconds == pytest.approx(first.duration_seconds)
    begin = made.settings["begin_seconds"]  # of the tune: at a whole frame
    assert first.duration_seconds <= begin < first.duration_seconds + 0.1
    assert made.notes[made.notes.start < first.duration_seconds].equals(first, 1e-9)
    assert made.melody is not None
    assert made.melody.equals(asked.shift(begin), 1e-9)
    assert len(match(made.melody, made.notes, 0.1)[0]) == len(asked)
    heard = make_plan(asked, None, primer, player.default_options()).melody_ids
    assert heard is not None
    frames = int(begin * 10 + 0.5)
    assert np.array_equal(heard[:frames], melody_frames(extract_melody(first), frames=frames))
    other = player.generate(None, asked, prime=performance(6, 12), seed=6)
    assert len(other.notes) != len(made.notes)
    assert made.new_seconds == pytest.approx(made.notes.duration_seconds - first.duration_seconds)
    assert len(asked) <= made.new_notes == len(made.notes) - len(first)
    told: list[float] = []
    free = player.generate(prime=primer, seconds=2.0, seed=6, progress=lambda done, _total, _ids: told.append(done))
    assert told[0] < 1
    assert told[-1] == 2
    assert first.duration_seconds < free.notes.start.max() < begin + 2.0


def test_what_is_struck_between_primer_and_tune_is_new(player: StyleTransfer) -> None:
    """The primer ends at 0.92 s and the tune begins at 1: its first note, 80 ms early, is kept, not the primer's."""
    primer = Notes.from_arrays([0.0], [0.92], [60], [80])
    asked = Notes.from_arrays([0.0], [0.5], [72], [80])
    options = player.default_options()
    plan = make_plan(asked, None, primer, options)
    assert (plan.primer_steps, plan.begin_steps) == (92, 100)
    ids = encode(Notes.from_arrays([0.0], [0.5], [72], [80]))
    made = Job(player.model, plan, None, options, {}).result(ids, seed=1, retries=0, ranked=True)
    assert made is not None
    assert made.notes.start.tolist() == [0.0, 0.92]
    assert made.new_notes == 1
    assert made.measures is not None
    assert made.measures.melody_kept == 1


def test_a_primer_s_note_is_not_the_tune_s_first(player: StyleTransfer) -> None:
    """It ends 80 ms before the tune begins with the same key: what is due is still to be struck."""
    primer = Notes.from_arrays([0.0, 1.0], [0.9, 1.08], [72, 60], [70, 70])
    asked = Notes.from_arrays([0.0, 0.5], [0.5, 1.5], [60, 62], [70, 70])
    plan = make_plan(asked, None, primer, player.default_options(keep_melody=True))
    assert plan.begin_steps == 110
    duties = plan.grammar().duties
    assert duties is not None
    assert duties.earliest == plan.begin_steps + rules.LATE_STEPS


def test_the_primer_in_the_cache_is_the_primer_recomputed(player: StyleTransfer) -> None:
    """Longer than the window, so that it goes in by parts; the reference hears all ids at once, without a cache."""
    model, primer = player.model, encode(performance(7, 40))
    assert len(primer) > 4 * SMALL.window
    grammar = Grammar(10**6, 10**6)
    for event_id in primer.tolist():
        grammar.accept(event_id)
    allowed = torch.from_numpy(grammar.allowed())
    first = next(sample_ids(model, None, None, [grammar], [1], GenerationOptions(top_k=1), primer))
    hears = torch.tensor([False])
    with torch.inference_mode():
        ids = np.append(0, primer)[None]
        clock = torch.from_numpy(elapsed_steps(ids))
        held = torch.from_numpy(held_steps(ids[0]))[None]
        logits = model.decode(torch.from_numpy(ids), clock, held, model.condition(None, None, hears, hears))
        known = np.append(primer, EOS)
        logits[:, -1:] += model.motifs(torch.from_numpy(recalled(known, held_before(known))[None, :, -1:]))
    assert first == [int(logits[0, -1].masked_fill(~allowed, -torch.inf).argmax())]


def test_variations_are_what_each_seed_gives_alone_ranked_by_the_mean_of_the_measures(player: StyleTransfer) -> None:
    style, asked = performance(1), tune()
    made = player.variations(4, style, asked, seed=20, melody_strength=1.5)
    assert sorted(one.seed for one in made) == [20, 21, 22, 23]
    for one in made:
        alone = player.generate(style, asked, seed=one.seed, melody_strength=1.5)
        assert one.notes.equals(alone.notes)
        assert one.settings == alone.settings
        assert one.tokens == alone.tokens
        assert one.measures == measure(one.notes, asked, Performances.of([style]))
    means = [one.measures.mean for one in made if one.measures]
    assert means == sorted(means, reverse=True)
    assert len(set(means)) > 1
    with pytest.raises(UsageError, match="at least 1"):
        player.variations(0)


def test_without_anything_to_measure_variations_come_in_the_order_of_seeds(player: StyleTransfer) -> None:
    made = player.variations(3, seconds=1.0, seed=4)
    assert [one.seed for one in made] == [4, 5, 6]
    assert made[0].measures is not None
    assert (made[0].measures.melody_kept, made[0].measures.style_near) == (None, None)


def test_measures_are_one_for_the_thing_itself() -> None:
    notes = performance(2)
    itself = Performances.of([notes])
    assert measure(tune(), tune(), None).melody_kept == 1
    assert measure(notes.shift(1000.0), tune(), None).melody_kept == 0
    assert measure(notes, None, itself).mean == pytest.approx(1)
    assert measure(tune(), tune(), itself).mean == pytest.approx(
        (1 + (measure(tune(), None, itself).style_near or 0)) / 2
    )


OF_A_PROGRAM = chords(0.2)


@pytest.mark.parametrize("changes", [{}, {"prime": performance(5, 9)}, {"transpose": "auto"}])
@pytest.mark.parametrize("style", [performance(1), OF_A_PROGRAM])
def test_the_events_of_a_stream_are_the_notes_of_its_result(
    player: StyleTransfer, style: Notes, changes: dict[str, Any]
) -> None:
    stream = player.stream(style, tune(), seed=9, **changes)
    events, down, rows = list(stream), {}, []
    assert [e.seconds for e in events] == sorted(e.seconds for e in events)
    for event in events:
        if event.velocity:
            assert event.pitch not in down
            down[event.pitch] = event
        else:
            begin = down.pop(event.pitch)
            rows.append((begin.seconds, event.seconds, event.pitch, begin.velocity))
    assert not down
    result = stream.result()
    assert result is not None
    new = result.notes[result.notes.start >= stream.begin_seconds - 0.1]
    assert Notes.from_arrays(*zip(*rows, strict=True)).equals(new[new.start >= min(r[0] for r in rows)], 1e-9)
    alone = player.generate(style, tune(), seed=9, **changes)
    assert alone.notes.equals(result.notes)


def test_in_the_style_of_a_program_all_is_struck_on_a_grid_that_holds_the_tune(player: StyleTransfer) -> None:
    made = player.generate(OF_A_PROGRAM, tune(), seed=9)  # the tune's steps of 0.37 s, halved to be near 0.2
    steps = made.notes.start / 0.185
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert made.settings["on_grid"]
    for style, strength in ((performance(1), 1.0), (OF_A_PROGRAM, 0.0), ([OF_A_PROGRAM, performance(1)], 1.0)):
        free = player.generate(style, tune(), seed=9, style_strength=strength)
        assert "on_grid" not in free.settings
        assert ((free.notes.start / 0.185) % 1 > 0.01).any()


def test_a_stream_can_be_stopped_and_cut(player: StyleTransfer) -> None:
    stream = player.stream(None, tune(), seed=9)
    whole = player.generate(None, tune(), seed=9)
    for event in stream:
        if event.seconds > 1.0:
            stream.stop()
    cut = stream.result(until_seconds=1.0)
    assert cut is not None
    assert cut.notes.equals(whole.notes.crop(0.0, 1.0), 1e-9)
    assert cut.notes.duration_seconds <= 1.0
    assert cut.tokens < whole.tokens
    assert player.stream(None, tune()).result() is None


def test_keywords_change_the_options_and_wrong_ones_are_refused(player: StyleTransfer) -> None:
    options = player.default_options(temperature=0.8)
    by_keyword = player.generate(None, tune(), options, seed=3, min_p=0.05)
    by_options = player.generate(None, tune(), dataclasses.replace(options, seed=3, min_p=0.05))
    assert by_keyword.notes.equals(by_options.notes)
    assert (by_keyword.settings["temperature"], by_keyword.settings["min_p"]) == (0.8, 0.05)
    assert len(by_keyword.to_pretty_midi().instruments[0].notes) == len(by_keyword.notes)
    wrong: list[tuple[str, Any]] = [("min_p", 1.1), ("tempo", 120), ("tempo", float("nan")), ("transpose", 99)]
    for name, value in [*wrong, ("transpose", "up"), ("transpose", "3"), ("temperature", None), ("seconds", "3")]:
        with pytest.raises(ConfigError, match=name):
            player.generate(None, tune(), **{name: value})


def test_of_a_long_tune_no_more_is_heard_than_is_near(player: StyleTransfer) -> None:
    start = np.arange(2000) * 0.5
    long = Notes.from_arrays(start, start + 0.5, 60 + np.arange(2000) % 12, np.full(2000, 80))
    frames = {seconds: make_plan(long, None, None, player.default_options(seconds=seconds)) for seconds in (5.0, 600.0)}
    whole = melody_frames(long)
    for seconds, plan in frames.items():
        assert plan.melody_ids is not None
        assert plan.melody_ids[-1] == EOS
        assert np.array_equal(plan.melody_ids[:-1], whole[: int(10 * (seconds + 30))])
        assert plan.asked is not None
        assert plan.asked.duration_seconds == seconds


def test_ten_minutes_in_constant_memory(player: StyleTransfer) -> None:
    """The caches are made once: what Python and NumPy hold grows by the ids alone, some 160 bytes each in lists."""
    torch.manual_seed(5)
    model = Autoencoder(SMALL).eval()
    with torch.no_grad():  # long shifts, or untrained weights would write a hundred ids a second of music
        model.decoder.head.bias[PERFORMANCE.encode(TIME_SHIFT, 60) : PERFORMANCE.ids(TIME_SHIFT).stop] += 5
    slow = StyleTransfer(model, player.facts)
    asked = tune(150, 4.0)
    assert asked.duration_seconds == pytest.approx(600)
    alive: list[tuple[int, int]] = []

    def count(done_seconds: float, total_seconds: float, tokens: int) -> None:
        if tokens % 200 == 1:
            alive.append((tokens, tracemalloc.get_traced_memory()[0]))

    tracemalloc.start()
    try:
        made = slow.generate(performance(1), asked, seed=2, progress=count, keep_melody=True)
    finally:
        tracemalloc.stop()
    assert 595 < made.notes.duration_seconds <= 602
    assert len(match(asked, made.notes, 0.1)[0]) == len(asked)
    assert made.tokens > 10 * SMALL.window
    tokens, held = np.diff([alive[1], alive[-1]], axis=0)[0]
    keys_and_values = 2 * SMALL.decoder_layers * SMALL.heads * SMALL.head_width  # bytes of a token in 8 bits
    assert held < 200 * tokens < (160 + keys_and_values) * tokens
