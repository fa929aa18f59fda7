"""The tune sounds when it was asked, what is played besides goes with it, and a listener hears it so at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musicstyle.generation.rules import EARLY_STEPS, LATE_STEPS
from musicstyle.generation.timing import LONGEST, SHORTEST, Timekeeper, in_time
from musicstyle.music.matching import match
from musicstyle.music.notes import Notes

SEEDS = st.integers(0, 10_000)
END = 1e6  # far away


def tune(start: np.ndarray, pitch: np.ndarray | None = None) -> Notes:
    pitch = 60 + np.arange(len(start)) % 5 if pitch is None else pitch
    return Notes.from_arrays(start, start + 0.1, pitch, np.full(len(start), 80))


def struck(asked: Notes, steps: np.ndarray) -> Notes:
    """Each note of a tune so many steps late, on the model's grid."""
    start = np.maximum(np.round(asked.start * 100) + steps, 0) / 100
    return Notes.from_arrays(start, start + 0.05, asked.pitch, asked.velocity)


def accompaniment(rng: np.random.Generator, seconds: float, notes: int = 40) -> Notes:
    start = np.round(rng.uniform(0, seconds, notes), 2)
    return Notes.from_arrays(
        start, start + rng.integers(1, 90, notes) / 100, rng.integers(30, 55, notes), rng.integers(20, 100, notes)
    )


@given(seed=SEEDS)
def test_a_tune_struck_near_its_time_sounds_in_time(seed: int) -> None:
    """Gaps of 0.25 s and more, struck up to 90 ms before or after: that needs no pace beyond the limits."""
    rng = np.random.default_rng(seed)
    asked = tune(0.1 + np.cumsum(rng.uniform(0.25, 0.9, 30)).round(3))
    played = Notes.concatenate((struck(asked, rng.integers(-9, 10, 30)), accompaniment(rng, 20.0)))
    moved = in_time(played, Timekeeper(asked, 0.0, END))
    assert moved[moved.pitch >= 60].start.tolist() == pytest.approx(asked.start.tolist(), abs=6e-4)  # milliseconds
    assert moved.pitch.tolist() == played.pitch.tolist()  # in the same order
    assert np.isin(moved.velocity, played.velocity).all()


@given(seed=SEEDS)
def test_time_passes_within_its_limits_and_evenly_between_notes_of_the_tune(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = tune(np.cumsum(rng.choice([0.03, 0.1, 0.3, 1.5, 4.0], 30)), 60 + rng.integers(0, 4, 30))
    played = Notes.concatenate((struck(asked, rng.integers(-9, 10, 30)), accompaniment(rng, float(asked.start[-1]))))
    keeper = Timekeeper(asked, 0.0, END)
    moved = in_time(played, keeper)
    model = np.arange(0, played.duration_seconds, 0.01)
    pace = np.diff(keeper.sounds(model)) / 0.01
    assert SHORTEST - 0.1 - 1e-9 <= pace.min()  # a step of 10 ms, rounded to milliseconds
    assert pace.max() <= LONGEST + 0.1 + 1e-9
    assert (moved.end > moved.start).all()
    assert np.abs(keeper.sounds(model) - model).max() < 0.2


def test_halfway_stays_halfway_and_a_chord_together() -> None:
    asked = tune(np.array([0.5, 1.0]))
    played = Notes.from_arrays([0.56, 0.56, 0.76, 0.96], [1.0] * 4, [40, 60, 41, 61], [80] * 4)
    assert in_time(played, Timekeeper(asked, 0.0, END)).start.tolist() == [0.5, 0.5, 0.75, 1.0]


def test_where_the_tune_is_silent_time_is_the_model_s() -> None:
    asked = tune(np.array([1.0, 9.0]))
    played = Notes.from_arrays([1.08, 1.58, 2.08, 3.0, 5.0, 7.0, 9.05], [9.5] * 7, [60, *range(40, 45), 61], [80] * 7)
    moved = in_time(played, Timekeeper(asked, 0.0, END))
    assert moved.start.tolist() == [1.0, 1.54, 2.08, 3.0, 5.0, 7.0, 9.0]
    assert in_time(played, Timekeeper(None, 0.0, END)).equals(played)
    late = in_time(played, Timekeeper(asked, 1.5, END))  # the first is a primer's
    assert late.start.tolist() == [*played.start[:6].tolist(), 9.0]


def test_an_early_first_note_waits_and_a_late_one_hurries() -> None:
    """Before the beginning there is no time to move a late one into: it comes as soon as the limit lets it."""
    early = in_time(tune(np.array([0.25])), Timekeeper(tune(np.array([0.3])), 0.0, END))
    assert early.start.tolist() == [0.3]
    late = in_time(tune(np.array([0.04])), Timekeeper(tune(np.array([0.0])), 0.0, END))
    assert late.start.tolist() == [0.01]


@pytest.mark.parametrize("late", [-0.11, 0.11, 0.19])
def test_what_is_struck_farther_than_100_ms_from_a_note_does_not_play_it(late: float) -> None:
    played = tune(np.array([round(1 + late, 2)]))
    assert in_time(played, Timekeeper(tune(np.array([1.0])), 0.0, END)).start.tolist() == played.start.tolist()


@pytest.mark.parametrize("late", [-0.1, 0.1])
def test_what_is_struck_just_100_ms_from_a_note_plays_it_however_its_time_is_rounded(late: float) -> None:
    for asked in np.arange(4, 20) / 10:
        played = tune(np.array([round(asked + late, 2)]))
        assert in_time(played, Timekeeper(tune(np.array([asked])), 0.0, END)).start.tolist() == [asked]


@pytest.mark.parametrize(("late", "pairs"), [(-0.101, 0), (-0.1, 1), (0.1, 1), (0.101, 0)])
def test_notes_match_up_to_the_tolerance_and_no_millisecond_farther(late: float, pairs: int) -> None:
    assert len(match(tune(np.array([0.3])), tune(np.array([0.3 + late])), 0.1)[0]) == pairs


def test_a_strike_plays_one_note_and_an_ornament_is_no_second() -> None:
    asked = tune(np.array([1.0, 1.5]), np.array([60, 60]))
    played = tune(np.array([0.95, 1.05, 1.52]), np.array([60, 60, 60]))
    assert in_time(played, Timekeeper(asked, 0.0, END)).start.tolist() == [1.0, pytest.approx(1.088, abs=1e-3), 1.5]


@given(seed=SEEDS)
@example(seed=1573)  # an older note is waited for and does not come
def test_notes_of_the_tune_that_sounded_sound_still(seed: int) -> None:
    """However near, in whatever order and at once they are struck, within the time that the grammar gives them."""
    rng = np.random.default_rng(seed)
    asked = tune(np.cumsum(rng.choice([0.1, 0.12, 0.17, 0.3, 1.7], 24)), 60 + rng.integers(0, 4, 24))
    played = struck(asked, rng.integers(-EARLY_STEPS, LATE_STEPS + 1, 24))
    played = played[np.unique(np.stack((played.start, played.pitch)), axis=1, return_index=True)[1]]
    heard = len(match(asked, played, 0.1)[0])
    assert len(match(asked, in_time(played, Timekeeper(asked, 0.0, END)), 0.1)[0]) == heard


def as_heard(keeper: Timekeeper, played: Notes) -> Iterator[float]:
    """When each note sounds, said as soon as it is known."""
    waiting: list[float] = []
    for second, pitch in zip(played.start.tolist(), played.pitch.tolist(), strict=True):
        keeper.strike(second, pitch)
        waiting.append(second)
        while waiting and waiting[0] <= keeper.known_seconds:
            yield float(keeper.sounds(np.array(waiting.pop(0))))
        assert not waiting or second - waiting[0] <= 2.0  # no listener waits longer
    yield from keeper.sounds(np.array(waiting)).tolist()


@given(seed=SEEDS, begin=st.sampled_from([0.0, 2.3]))
def test_what_was_heard_is_never_taken_back(seed: int, begin: float) -> None:
    rng = np.random.default_rng(seed)
    asked = tune(begin + np.cumsum(rng.choice([0.03, 0.1, 0.3, 1.5, 4.0], 30)), 60 + rng.integers(0, 4, 30))
    others = accompaniment(rng, float(asked.start[-1]) + 3)
    played = Notes.concatenate((struck(asked, rng.integers(-9, 10, 30)), others))
    played = played[played.start >= begin]
    heard = list(as_heard(Timekeeper(asked, begin, END), played))
    assert heard == in_time(played, Timekeeper(asked, begin, END)).start.tolist()


def test_what_is_struck_at_once_is_known_when_time_goes_on() -> None:
    """The second of two notes of the tune that are struck together still moves the first."""
    asked = tune(np.array([0.5, 0.64]), np.array([60, 62]))
    keeper = Timekeeper(asked, 0.0, END)
    keeper.strike(0.54, 60)
    assert keeper.known_seconds == 0.0
    keeper.strike(0.54, 62)
    assert keeper.sounds(np.array([0.54])).tolist() == [0.54]
    keeper.reach(0.55)
    assert keeper.known_seconds == 0.54
    keeper.reach(0.75)  # the tune is over: there is nothing to wait for
    assert keeper.known_seconds == np.inf
    assert Timekeeper(None, 0.0, END).known_seconds == np.inf


@given(seed=SEEDS)
def test_nothing_begins_after_the_end(seed: int) -> None:
    """A note of the tune just before the end is struck early, so time is late; it comes back by the end."""
    rng = np.random.default_rng(seed)
    asked = tune(np.array([1.0, 2.0 + rng.uniform(0, 0.9)]))
    end = float(asked.start[-1]) + rng.uniform(0.01, 1.5)
    played = Notes.concatenate((struck(asked, rng.integers(-9, 10, 2)), accompaniment(rng, end - 0.005)))
    played = played[played.start < end]
    keeper = Timekeeper(asked, 0.0, end)
    moved = in_time(played, keeper)
    assert moved.start.max() <= end + 5e-4
    assert keeper.sounds(np.array([end + 5.0])) == round(end + 5.0, 6)
    assert list(as_heard(Timekeeper(asked, 0.0, end), played)) == moved.start.tolist()


@given(seed=SEEDS)
@example(seed=35)  # notes of the tune in the wrong order just before the end: time ran back, and no file came
@example(seed=16)  # the last one late and a key that rings on: it was heard otherwise than written
def test_time_goes_forward_to_the_end_and_is_heard_as_it_is_written(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = tune(rng.uniform(0, 0.7, 6).round(3), 60 + rng.integers(0, 4, 6))
    end = np.ceil(float(asked.start[-1]) * 100 + 0.5) / 100
    start = np.minimum(struck(asked, rng.integers(-9, 10, 6)).start, end - 0.01).round(2)
    stop = np.minimum(start + rng.choice([0.01, 0.05, 1.5], 6), end + 2).round(2)
    played = Notes.from_arrays(start, stop, rng.permutation(asked.pitch), asked.velocity)
    written = in_time(played, Timekeeper(asked, 0.0, end))
    assert (written.end > written.start).all()

    keeper, waiting, heard = Timekeeper(asked, 0.0, end), [], []
    strikes = [(second, 1, pitch) for second, pitch in zip(played.start.tolist(), played.pitch.tolist(), strict=True)]
    for second, down, pitch in sorted([*strikes, *((second, 0, 0) for second in played.end.tolist())]):
        keeper.strike(second, pitch) if down else keeper.reach(second)
        waiting.append(second)
        while waiting and waiting[0] <= keeper.known_seconds:
            heard += keeper.sounds(np.array([waiting.pop(0)])).tolist()
    heard += keeper.sounds(np.array(waiting)).tolist()
    assert heard == sorted([*written.start.tolist(), *written.end.tolist()])
