"""A performance's habits: counted as by hand, the same in every key, and heard by the logits where they should be."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes

from musicstyle.generation.habitual import Habitual
from musicstyle.generation.rules import Grammar
from musicstyle.model.config import ModelConfig
from musicstyle.model.habits import CHANCES, Habits, said
from musicstyle.music.habits import (
    EVERYWHERE,
    FIRST,
    HABITS,
    LEAPS,
    LEVELS,
    MOVES,
    NONE,
    RELEASES,
    habits,
    places,
)
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode, held_before
from musicstyle.music.transposed import performance_table
from musicstyle.music.vocabulary import NOTE_OFF, NOTE_ON, PERFORMANCE, TIME_SHIFT, VELOCITY

DISTRIBUTIONS = slice(0, int(FIRST[RELEASES]))


def ids_of(*events: tuple[str, int]) -> np.ndarray:
    return np.array([PERFORMANCE.encode(*event) for event in events])


def by_hand(ids: np.ndarray) -> tuple[Counter[int], Counter[int]]:
    """Counts, and chances of releases, one id after the other."""
    counts: Counter[int] = Counter()
    held_chances: Counter[int] = Counter()
    row, struck, in_chord, level, clock = 2, None, False, None, 0
    down: dict[int, int] = {}

    def release(key: int) -> int:
        return int(FIRST[RELEASES]) + min(39, int(4 * math.log2(clock - down[key] + 1)))

    for event_id in ids.tolist():
        held_chances.update(release(key) for key in down)
        kind, value = PERFORMANCE.decode(event_id)
        if kind == TIME_SHIFT:
            counts[100 * row + value - 1] += 1
            clock, in_chord, row = clock + value, False, 2
        elif kind == VELOCITY:
            counts[int(FIRST[LEVELS]) + value - 1] += 1
            if level is not None:
                counts[int(FIRST[MOVES]) + 31 + value - level] += 1
            level = value
        elif kind == NOTE_ON:
            if struck is not None:
                counts[int(FIRST[LEAPS]) + 175 * in_chord + 87 + value - struck] += 1
            struck, in_chord, row = value, True, 0
            down[value] = clock
        else:
            if value in down:
                counts[release(value)] += 1
                del down[value]
            row = 1
    return counts, held_chances


@given(any_notes())
def test_counts_and_chances_are_those_counted_one_by_one(notes: Notes) -> None:
    ids = encode(notes)
    counts, chances = habits(ids)
    expected, releases = by_hand(ids)
    assert dict(expected) == {int(i): int(counts[i]) for i in np.flatnonzero(counts)}
    assert dict(releases) == {int(FIRST[RELEASES] + i): int(n) for i, n in enumerate(chances[FIRST[RELEASES] :]) if n}
    rows = np.add.reduceat(counts, FIRST[:-1])
    np.testing.assert_array_equal(chances[DISTRIBUTIONS], np.repeat(rows[:RELEASES], np.diff(FIRST[: RELEASES + 1])))


@given(any_notes(lowest=40, highest=80), st.integers(-12, 12), st.integers(0, 100))
def test_habits_are_the_same_in_every_key_and_padding_is_none(notes: Notes, semitones: int, length: int) -> None:
    """Of a crop too, at whose end keys are down: nobody holds them on."""
    ids = encode(notes)[:length]
    np.testing.assert_array_equal(habits(performance_table(semitones)[ids]), habits(ids))
    np.testing.assert_array_equal(habits(np.pad(ids, (0, 5))), habits(ids))


def test_a_model_s_habits_are_these() -> None:
    assert ModelConfig().style_habits == HABITS


def test_by_hand() -> None:
    ids = ids_of(
        (VELOCITY, 9), (NOTE_ON, 60), (NOTE_ON, 64), (TIME_SHIFT, 50), (NOTE_OFF, 64), (VELOCITY, 7), (NOTE_ON, 62)
    )
    counts, chances = habits(ids)
    first = FIRST.tolist()
    taken = [
        49,
        first[LEAPS] + 87 - 2,
        first[LEAPS + 1] + 87 + 4,
        first[LEVELS] + 6,
        first[LEVELS] + 8,
        first[MOVES] + 29,
    ]
    release = first[RELEASES] + int(4 * math.log2(51))
    assert np.flatnonzero(counts).tolist() == [*taken, release]
    assert chances[release] == 4  # two keys before the NOTE_OFF, one before each of the two ids after it
    at = places(ids, held_before(ids))
    assert at[0, ids[0]] == at[1, ids[1]] == NONE  # nothing stands yet
    assert (at[3, PERFORMANCE.ids(NOTE_OFF)] != NONE).sum() == 2


@given(seed=st.integers(0, 10_000))
def test_the_sampler_hears_of_the_habits_that_the_places_name(seed: int) -> None:
    ids, grammars = encode(random_notes(seed, 40, lowest=70)), [Grammar(10**9, 10**9) for _ in range(3)]
    worth = torch.randn(2, HABITS + 1, generator=torch.Generator().manual_seed(seed))
    worth[:, NONE] = 0.0
    spoken = torch.from_numpy(places(ids, held_before(ids)))
    expected = said(worth, spoken.expand(2, -1, -1), torch.from_numpy(EVERYWHERE).expand(2, -1)).numpy()
    habitual, crops = Habitual(worth), np.array([1, 0, 1])
    for event_id, rows in zip(ids.tolist(), expected.swapaxes(0, 1), strict=True):
        heard = habitual.says(grammars, np.stack([grammar.held for grammar in grammars]), crops)
        np.testing.assert_array_equal(heard, rows[crops])
        for grammar in grammars:
            grammar.accept(event_id)


@pytest.fixture
def module() -> Habits:
    module = Habits(HABITS)
    torch.nn.init.constant_(module.weight, 0.25)
    much = sum(habits(encode(random_notes(seed, 400, 60.0))) for seed in range(20))
    module.learn_usual(torch.from_numpy(np.asarray(much)))
    return module


def test_ratios_say_how_much_oftener_than_usual(module: Habits) -> None:
    usual = module.usual.exp().double()
    chances = torch.full((HABITS,), 1000.0, dtype=torch.double)
    for times in (0.0, 1.0, 3.0):
        (ratio,) = module(torch.stack((times * usual * chances, chances))[None])
        expected = (times * 1000 + CHANCES) / (1000 + CHANCES)
        torch.testing.assert_close(ratio, torch.full_like(ratio, math.log(expected)), rtol=0, atol=1e-6)
    assert not module(torch.zeros(1, 2, HABITS)).abs().max() > 1e-6  # nothing is known of silence


def test_a_performance_s_own_habits_make_it_likelier(module: Habits) -> None:
    ids = encode(
        Notes.from_arrays(t := np.arange(200) * 0.21, t + 0.17, 50 + 7 * (np.arange(200) % 5), np.full(200, 70))
    )
    worth = module.worth(module(torch.from_numpy(habits(ids))[None]))
    added = said(worth, torch.from_numpy(places(ids, held_before(ids)))[None], torch.from_numpy(EVERYWHERE)[None])[0]
    nll = -added.log_softmax(dim=-1)[torch.arange(len(ids)), torch.from_numpy(ids)].mean()
    assert nll.item() < math.log(310) - 0.3


def test_levels_speak_everywhere_and_nothing_else_where_no_habit_does(module: Habits) -> None:
    worth = module.worth(torch.ones(2, HABITS))
    everywhere = torch.from_numpy(EVERYWHERE).expand(2, -1)
    nothing = said(worth, torch.full((2, 3, 310), NONE, dtype=torch.int16), everywhere)
    velocities = PERFORMANCE.ids(VELOCITY)
    assert (nothing[..., velocities.start : velocities.stop] == 0.25).all()
    assert not nothing[..., : velocities.start].any()
