"""Performances of one work are told from others by their notes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notes import a_tune, any_notes, played_again, random_notes

from musicstyle.music.notes import Notes
from musicstyle.music.works import RUN, runs, shared_runs, works


def test_a_work_is_known_whoever_plays_it_and_another_is_not() -> None:
    rng = np.random.default_rng(0)
    tunes = [a_tune(rng) for _ in range(4)]
    played = [*tunes, *(played_again(tune, rng) for tune in tunes)]
    number = works(played)
    assert number[:4].tolist() == number[4:].tolist()
    assert len(set(number[:4].tolist())) == 4


def test_who_plays_two_works_joins_them() -> None:
    rng = np.random.default_rng(1)
    first, second, third = (a_tune(rng, 200) for _ in range(3))
    later = second.start + first.end.max() + 1
    both = Notes.from_arrays(*(np.concatenate(pair) for pair in (
        (first.start, later), (first.end, later + 0.1), (first.pitch, second.pitch), (first.velocity, second.velocity),
    )))  # fmt: skip
    a, b, c, d = works([first, second, both, third]).tolist()
    assert a == b == c != d


def test_a_part_is_of_the_work_that_it_is_a_part_of() -> None:
    whole = a_tune(np.random.default_rng(2))
    part = Notes.from_arrays(*(getattr(whole, name)[150:200] for name in ("start", "end", "pitch", "velocity")))
    assert shared_runs([whole, part]).toarray()[0, 1] == 1
    assert len(set(works([whole, part]).tolist())) == 1


@given(any_notes(lowest=60))
def test_shares_are_those_of_the_runs_counted_one_by_one(notes: Notes) -> None:
    other = random_notes(7, 300, lowest=60, highest=62)
    shares = shared_runs([notes, other]).toarray()
    mine, theirs = set(runs(notes).tolist()), set(runs(other).tolist())
    assert len(mine) <= max(0, len(notes) - RUN + 1)
    assert shares[0, 1] == shares[1, 0] == pytest.approx(len(mine & theirs) / max(1, min(len(mine), len(theirs))))
    assert shares[0, 0] == (1 if mine else 0)


def of_pitches(pitch: np.ndarray) -> Notes:
    start = np.arange(len(pitch)) * 0.2
    return Notes.from_arrays(start, start + 0.1, pitch, np.full(len(pitch), 64))


@given(st.lists(st.integers(21, 108), min_size=RUN, max_size=RUN), st.integers(0, RUN - 1), st.integers(21, 108))
def test_a_run_is_its_pitches_and_nothing_else(pitches: list[int], place: int, key: int) -> None:
    changed = [*pitches[:place], key, *pitches[place + 1 :]]
    one, other = runs(of_pitches(np.array(pitches))).tolist(), runs(of_pitches(np.array(changed))).tolist()
    assert (one == other) == (pitches == changed) or not (one and other)


def test_what_comes_again_after_more_notes_than_a_figure_has_is_a_run() -> None:
    """A figure of four intervals is of every work, one of five is not; played through twice, it is the same five."""
    for figure, number in (([4, 3, -5, -2], 0), ([4, 3, -5, 7, -9], 5)):
        assert len(runs(of_pitches(60 + np.cumsum(np.resize(figure, 30))))) == number


def test_who_plays_all_of_it_twice_has_no_more_of_a_work() -> None:
    tune = a_tune(np.random.default_rng(4), 60)
    once, twice = of_pitches(tune.pitch), of_pitches(np.tile(tune.pitch, 2))
    assert shared_runs([once, twice]).toarray()[0, 1] == 1


def test_who_rolls_the_chords_otherwise_plays_the_same_work() -> None:
    rng = np.random.default_rng(6)
    moment = np.repeat(np.arange(40) * 0.5, 3)
    pitch = np.concatenate([rng.choice(np.arange(40, 80), 3, replace=False) for _ in range(40)])
    one, other = (
        Notes.from_arrays(start := moment + rng.permuted(rolled, axis=1).ravel(), start + 0.3, pitch, np.full(120, 64))
        for rolled in (np.tile([0.0, 0.01, 0.02], (40, 1)) for _ in range(2))
    )
    assert one.pitch.tolist() != other.pitch.tolist()
    assert shared_runs([one, other]).toarray()[0, 1] == 1


@pytest.mark.parametrize(("common", "number"), [(16, 2), (25, 1)])
def test_more_than_ever_was_shared_by_chance_makes_one_work(common: int, number: int) -> None:
    """Of a thousand runs: on MAESTRO different works share up to 0.016 of theirs, and what shares 0.025 is of one."""
    rng = np.random.default_rng(3)
    one, other = (rng.integers(30, 100, 1000 + RUN - 1) for _ in range(2))
    other[: common + RUN - 1] = one[: common + RUN - 1]
    played = [of_pitches(one), of_pitches(other)]
    assert shared_runs(played).toarray()[0, 1] == common / 1000
    assert len(set(works(played).tolist())) == number


def test_the_largest_run_is_a_whole_number_of_64_bits() -> None:
    highest = np.array([*[108] * (RUN - 2), 107, 108])
    assert runs(of_pitches(highest)).tolist() == [88**RUN - 1 - 88 ** (RUN - 2)]


@pytest.mark.parametrize("figure", [[0], [1], [7, -7], [2, -2], [4, 3, -7], [7, -3, 3, -7], [4, 3, 5]], ids=str)
def test_scales_trills_and_broken_chords_are_of_no_work(figure: list[int]) -> None:
    pitch = 40 + np.cumsum(np.resize(figure, 12))
    assert len(runs(of_pitches(pitch))) == 0
    pitch[6] += 1
    assert len(runs(of_pitches(pitch))) > 0


def test_what_more_than_so_many_play_is_of_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    passage = rng.integers(40, 80, 100)
    played = [of_pitches(np.concatenate([passage, rng.integers(40, 80, 200)])) for _ in range(3)]
    for common, number in ((3, 1), (2, 3)):
        monkeypatch.setattr("musicstyle.music.works.COMMON", common)
        assert len(set(works(played).tolist())) == number


def test_too_few_notes_are_a_work_of_their_own() -> None:
    short = random_notes(3, RUN - 1)
    assert len(set(works([short, a_tune(np.random.default_rng(0)), short]).tolist())) == 3
