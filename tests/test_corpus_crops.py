"""Batches drawn from a corpus: the same whoever draws them, in range, and never more than the crop shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicstyle.corpus import crops
from musicstyle.corpus.crops import (
    STRETCHES,
    TRANSPOSITION,
    BatchOptions,
    batch,
    collate,
    draw,
    evaluation_batches,
    for_teacher,
    habits_of_crops,
    mean_features,
)
from musicstyle.corpus.cut import Change, Crop, crop_melody, cut, cut_notes, notes_for, one_voice, other_place
from musicstyle.corpus.prepare import prepare
from musicstyle.corpus.store import Corpus
from musicstyle.errors import CorpusError
from musicstyle.music.grammar import possible
from musicstyle.music.habits import HABITS, habits, places
from musicstyle.music.melody import extract_melody, melody_flags, melody_frames
from musicstyle.music.midi import write_midi
from musicstyle.music.motifs import recalled
from musicstyle.music.notes import Notes
from musicstyle.music.performance import decode, elapsed_steps, encode, held_steps
from musicstyle.music.similarity import features
from musicstyle.music.transposed import melody_table, performance_table
from musicstyle.music.vocabulary import EOS, MAX_PITCH, MELODY, MIN_PITCH, NOTE_OFF, NOTE_ON, PAD, PERFORMANCE, PITCH

OPTIONS = BatchOptions(batch_size=7, tokens=96, style_tokens=80, seed=5, drop_style=0.3, drop_melody=0.4)


def tune(seed: int, count: int, low: int = 30, high: int = 95) -> Notes:
    """Chords, runs and silences: onsets up to 0.4 s apart, one in 30 after 2 s more."""
    rng = np.random.default_rng(seed)
    wait = rng.integers(0, 40, count) + 200 * (rng.random(count) < 1 / 30)
    start = np.cumsum(wait) / 100
    return Notes.from_arrays(
        start, start + rng.integers(2, 90, count) / 100, rng.integers(low, high, count), rng.integers(1, 128, count)
    ).quantized()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Twelve pieces: a note, six, some, 29 times as many in the longest, one that fills the whole keyboard."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, count in enumerate((1, 6, 23, 47, 90, 111, 150, 190, 280, 350, 460)):
        write_midi(folder / f"in/{number:02}.mid", tune(number, count))
    write_midi(folder / "in/wide.mid", tune(99, 140, MIN_PITCH, MAX_PITCH + 1))
    return prepare(folder / "in", folder / "out", seed=2)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def train_pieces(corpus: Corpus) -> list[int]:
    return corpus.indices("train").tolist()


def test_shapes_and_types(corpus: Corpus) -> None:
    drawn = batch(corpus, "train", 0, OPTIONS)
    frames = drawn["melody"].shape[1]
    expected = {
        "ids": (7, 96), "clock": (7, 96), "melody": (7, frames), "style": (7, 80), "style_clock": (7, 80)
    }  # fmt: skip
    for name, shape in expected.items():
        assert drawn[name].shape == shape
        assert drawn[name].dtype == np.int64
    assert drawn["possible"].shape == (7, 96, 310)
    assert drawn["possible"].dtype == np.bool_
    assert drawn["places"].shape == (7, 96, 310)
    assert drawn["places"].dtype == np.int16
    assert drawn["recalled"].shape == (7, 3, 96, 310)
    assert drawn["recalled"].dtype == np.int16
    assert drawn["everywhere"].shape == (7, 310)
    assert drawn["everywhere"].dtype == np.int16
    assert drawn["style_habits"].shape == (7, 2, HABITS)
    assert drawn["style_habits"].dtype == drawn["style_features"].dtype
    assert drawn["style_features"].shape == (7, 8)
    assert drawn["style_features"].dtype == np.float32
    assert drawn["use_style"].dtype == drawn["use_melody"].dtype == np.bool_
    assert (drawn["melody"] != PAD)[:, -1].any()


def test_a_row_depends_on_seed_step_and_row_alone(corpus: Corpus) -> None:
    whole = batch(corpus, "train", 3, OPTIONS)
    again = batch(Corpus.open(corpus.path), "train", 3, OPTIONS)
    assert same(whole, again)
    for row in range(7):
        alone = batch(corpus, "train", 3, OPTIONS, rows=slice(row, row + 1))
        for name in whole:
            mine, theirs = alone[name][0], whole[name][row]
            if name == "melody":
                assert not theirs[len(mine) :].any()
                theirs = theirs[: len(mine)]
            np.testing.assert_array_equal(mine, theirs)
    assert same(batch(corpus, "train", 3, replace(OPTIONS, batch_size=5)), batch(corpus, "train", 3, OPTIONS, slice(5)))
    assert not same(whole, batch(corpus, "train", 4, OPTIONS))
    assert not same(whole, batch(corpus, "train", 3, replace(OPTIONS, seed=6)))
    assert len({row.tobytes() for row in whole["ids"]}) == 7


def test_the_clock_is_the_sum_of_the_shifts_before(corpus: Corpus) -> None:
    for step in range(8):
        drawn = batch(corpus, "train", step, OPTIONS)
        elapsed = elapsed_steps(drawn["ids"])
        assert not drawn["clock"][:, 0].any()
        np.testing.assert_array_equal(drawn["clock"][:, 1:], elapsed[:, :-1])
        np.testing.assert_array_equal(drawn["style_clock"], elapsed_steps(drawn["style"]))


def test_habits_are_those_of_the_style_their_places_and_motifs_those_of_the_target(corpus: Corpus) -> None:
    drawn = batch(corpus, "train", 0, OPTIONS)
    for row in range(7):
        ids, style = drawn["ids"][row], drawn["style"][row]
        np.testing.assert_array_equal(drawn["style_habits"][row], habits(style[style != PAD]))
        np.testing.assert_array_equal(drawn["places"][row][:50], places(ids[:50], drawn["held"][row][:50]))
        np.testing.assert_array_equal(drawn["recalled"][row][:, :50], recalled(ids[:50], drawn["held"][row][:50]))


def test_possible_tells_of_all_before_and_holds_what_stands_there(corpus: Corpus) -> None:
    drawn = batch(corpus, "train", 0, OPTIONS)
    for ids, held, may in zip(drawn["ids"], drawn["held"], drawn["possible"], strict=True):
        count = int((ids != PAD).sum())
        assert may[np.arange(count), ids[:count]].all()
        assert not may[:, PAD].any()
        np.testing.assert_array_equal(may[:count], possible(ids[:count], held[:count] > 0))
        np.testing.assert_array_equal(may[:50], possible(ids[:50], held[:50] > 0))  # nothing later matters


def test_specials_stand_only_at_the_end(corpus: Corpus) -> None:
    ends = 0
    for step in range(20):
        drawn = batch(corpus, "train", step, OPTIONS)
        for name in ("ids", "melody", "style"):
            for row in drawn[name]:
                length = int((row != PAD).sum())
                assert length > 0
                assert not row[length:].any()
                assert (row[: length - 1] != EOS).all()
        ended = [(drawn[name] == EOS).any(axis=1) for name in ("ids", "melody")]
        np.testing.assert_array_equal(ended[0], ended[1])
        assert not (drawn["style"] == EOS).any()
        padded = (drawn["ids"] == PAD).any(axis=1)
        assert (ended[0] | ~padded).all()
        ends += int(ended[0].sum())
    assert 0 < ends < 140


def test_eos_stands_where_the_piece_ends_and_has_room(corpus: Corpus) -> None:
    piece = 3
    ids = encode(corpus.notes(piece).shift(-corpus.notes(piece).start[0]))
    length = len(ids)
    for tokens, ended in ((length - 1, False), (length, False), (length + 1, True), (length + 5, True)):
        options = BatchOptions(batch_size=1, tokens=tokens, style_tokens=33, seed=0)
        split = ("train", "validation", "test")[int(corpus.pieces["split"][piece])]
        rows = [row for drawn in evaluation_batches(corpus, split, options) for row in drawn["ids"]]
        first = next(row for row in rows if np.array_equal(row[:20], ids[:20]))
        np.testing.assert_array_equal(first[: min(length, tokens)], ids[:tokens])
        assert (EOS in first) == ended


@given(tokens=st.integers(1, 300), data=st.data())
def test_a_cut_is_the_beginning_of_everything_that_follows(corpus: Corpus, tokens: int, data: st.DataObject) -> None:
    """Oracle: encode all the notes from there to the end and take the first ids."""
    piece = data.draw(st.integers(0, len(corpus) - 1))
    first = data.draw(st.integers(0, int(corpus.pieces["count"][piece]) - 1))
    stretch = data.draw(st.sampled_from(STRETCHES))
    crop = cut(corpus, piece, first, tokens, change=Change(stretch))
    rest = corpus.notes(piece, first)
    everything = encode(rest.shift(-rest.start[0]).stretch(stretch))
    np.testing.assert_array_equal(crop.ids, everything[:tokens])
    assert first < crop.last <= corpus.pieces["count"][piece]
    heard = np.count_nonzero(np.isin(crop.ids, PERFORMANCE.ids(NOTE_ON)))
    assert len(crop.notes) == len(crop.melody) == heard
    assert crop.notes.duration_seconds <= max(crop.steps / 100, crop.notes.start.max() if heard else 0)
    np.testing.assert_array_equal(
        crop.melody, corpus.records(piece, first)["melody"][: crop.last - first][: len(crop.melody)]
    )


@given(reach=st.integers(0, 9), where=st.floats(0, 1, exclude_max=True), data=st.data())
def test_transposition_keeps_to_the_keyboard_and_reaches_both_ends(
    reach: int, where: float, data: st.DataObject
) -> None:
    pitch = np.array(data.draw(st.lists(st.integers(MIN_PITCH, MAX_PITCH), min_size=1, max_size=5)))
    semitones = Change(1.0, reach, where).semitones(pitch)
    assert abs(semitones) <= reach
    assert MIN_PITCH <= pitch.min() + semitones <= pitch.max() + semitones <= MAX_PITCH
    possible = [s for s in range(-reach, reach + 1) if pitch.min() + s >= MIN_PITCH and pitch.max() + s <= MAX_PITCH]
    assert Change(1.0, reach, 0.0).semitones(pitch) == possible[0]
    assert Change(1.0, reach, 1 - 2**-53).semitones(pitch) == possible[-1]
    assert {Change(1.0, reach, (n + 0.5) / len(possible)).semitones(pitch) for n in range(len(possible))} == set(
        possible
    )


def test_augmentation_stretches_and_transposes_the_target(corpus: Corpus) -> None:
    """Row by row, the target is the plain crop at one of the five tempos, some semitones away; all of them occur."""
    seen = set()
    options = replace(OPTIONS, tokens=300)
    for step in range(20):
        plain = batch(corpus, "train", step, replace(options, augment=False))
        changed = batch(corpus, "train", step, options)
        for one, other in zip(plain["ids"], changed["ids"], strict=True):
            notes, again = decode(one[one > EOS])[0], decode(other[other > EOS])[0]
            amount = int(again.pitch[0] - notes.pitch[0])
            assert abs(amount) <= TRANSPOSITION
            common = min(len(notes), len(again)) * 2 // 3
            if common > 30:
                ratio = (again.start[common - 1]) / max(notes.start[common - 1], 0.01)
                seen.add((amount, round(float(min(STRETCHES, key=lambda s: abs(s - ratio))), 3)))
    assert {amount for amount, _ in seen} == set(range(-3, 4))
    assert {stretch for _, stretch in seen} == set(STRETCHES)


def test_the_melody_shows_nothing_beyond_the_crop(corpus: Corpus) -> None:
    """Its frames end with the clock, its onsets are onsets of the crop, and what follows the crop cannot change it."""
    for piece in train_pieces(corpus):
        for first in range(0, int(corpus.pieces["count"][piece]), 17):
            crop = cut(corpus, piece, first, 96)
            ids = crop_melody(crop)
            assert len(ids) == (crop.steps + 5) // 10 + 1
            heard = set(decode(crop.ids)[0].pitch.tolist()) | set(PERFORMANCE.values[crop.ids].tolist())
            assert set(MELODY.values[ids[ids >= MELODY.first(PITCH)]].tolist()) <= heard
            again = cut(corpus, piece, first, 96, last=crop.last)
            np.testing.assert_array_equal(crop_melody(again)[: len(ids) - 1], ids[:-1])


def test_every_melody_note_of_the_crop_is_in_its_frames(corpus: Corpus) -> None:
    for piece in train_pieces(corpus):
        crop = cut(corpus, piece, 0, 96)
        ids = crop_melody(crop)
        frames = np.floor(crop.notes.start[crop.melody] * 10 + 0.5).astype(int)
        pitch = crop.notes.pitch[crop.melody]
        last_of_frame = np.append(np.diff(frames) > 0, True)[: len(frames)]
        np.testing.assert_array_equal(MELODY.values[ids[frames[last_of_frame]]], pitch[last_of_frame])


def test_one_voice_is_what_the_extraction_gives(corpus: Corpus) -> None:
    """On most frames: how short a silence a note lasts through is one number here."""
    wrong = total = 0
    for piece in range(len(corpus)):
        notes = corpus.notes(piece)
        truth = extract_melody(notes)
        voice = one_voice(notes, corpus.records(piece)["melody"])
        np.testing.assert_array_equal(voice.start, truth.start)
        ids = melody_frames(truth)
        total += len(ids)
        wrong += int((melody_frames(voice, frames=len(ids)) != ids).sum())
    assert wrong < 0.02 * total
    assert len(one_voice(tune(1, 5), np.zeros(5, bool))) == 0


def test_a_melody_note_lasts_through_a_short_silence_not_a_long_one() -> None:
    """Melody 60, 62, 64 over a low note: silent for 0.1 s after 60, for 0.6 s after 62; the low 40 outlasts 64."""
    notes = Notes.from_arrays([0, 0.5, 1.5, 1.5], [0.4, 0.9, 2.5, 1.8], [60, 62, 40, 64], [80] * 4)
    voice = one_voice(notes, np.array([True, True, False, True]))
    assert voice.pitch.tolist() == [60, 62, 64]
    assert voice.end.tolist() == [0.5, 0.9, 2.5]
    low_held = one_voice(notes, np.array([True, False, False, False]))
    assert low_held.end.tolist() == [0.9]


def test_the_style_is_stretched_by_up_to_a_twentieth(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[Change] = []

    def watched(*args: object, change: Change, last: int | None = None) -> Crop:
        changes.append(change)
        return cut(*args, change=change, last=last)  # type: ignore[arg-type]

    monkeypatch.setattr(crops, "cut", watched)
    for step in range(6):
        batch(corpus, "train", step, OPTIONS)
    target, style = changes[::2], changes[1::2]
    assert {change.reach for change in target} == {3}
    assert {change.reach for change in style} == {6}
    assert {change.stretch for change in target} == set(STRETCHES)
    assert 0.95 <= min(change.stretch for change in style) < 0.96
    assert 1.04 < max(change.stretch for change in style) <= 1.05
    changes.clear()
    batch(corpus, "train", 0, replace(OPTIONS, augment=False))
    assert set(changes) == {Change(1.0, 0)}


@given(count=st.integers(1, 3000), room=st.integers(1, 700), data=st.data())
def test_the_style_is_heard_elsewhere(count: int, room: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    start, stop = other_place(count, first, last, room, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert 0 <= start < stop <= count
    apart = stop <= first or start >= last
    if max(first, count - last) >= max(room // 4, 1):
        assert apart
        assert min(stop - start, room) == min(max(first, count - last), room) or stop - start >= room
    elif not apart:
        assert stop - start <= max(count // 2, 1)


@pytest.mark.parametrize(
    ("count", "first", "last", "room", "expected"),
    [
        (100, 0, 60, 100, (60, 100)),  # the longer side whole: behind
        (100, 70, 100, 200, (0, 70)),  # or before
        (100, 10, 98, 200, (0, 50)),  # too little on either: the half that begins with the longer
        (100, 2, 90, 200, (50, 100)),
        (1000, 10, 995, 100, (0, 100)),  # or what is asked for of it
        (1000, 5, 990, 100, (900, 1000)),
    ],
)
def test_where_no_side_has_room_the_style_is_heard_as_far_away_as_can_be(
    count: int, first: int, last: int, room: int, expected: tuple[int, int]
) -> None:
    assert other_place(count, first, last, room, np.random.default_rng(0)) == expected


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(10, 30, {(0, 10), (1, 10), (2, 10)}), (0, 20, {(20, 30), (21, 30), (22, 30)})]
)
def test_where_a_side_has_room_every_place_is_heard_that_has(first: int, last: int, expected: set[object]) -> None:
    rng = np.random.default_rng(0)
    assert {other_place(30, first, last, 8, rng) for _ in range(100)} == expected


def test_where_the_crop_is_all_of_the_piece_any_half_of_it_is_heard() -> None:
    rng = np.random.default_rng(0)
    assert {other_place(10, 0, 10, 20, rng) for _ in range(200)} == {(start, start + 5) for start in range(6)}


def test_the_style_has_an_amount_of_its_own_and_avoids_the_target(corpus: Corpus) -> None:
    longest = int(np.argmax(corpus.pieces["count"]))
    notes = corpus.notes(longest)
    options = BatchOptions(batch_size=9, tokens=96, style_tokens=80, augment=False)
    alone = Corpus(corpus.path, corpus._notes, corpus.pieces[[longest]].copy())
    alone.pieces["split"] = 0
    for step in range(6):
        drawn = batch(alone, "train", step, options)
        for ids, style in zip(drawn["ids"], drawn["style"], strict=True):
            places = [_place(notes, decode(row[row > EOS])[0]) for row in (ids, style)]
            (first, last), (start, stop) = places
            assert last <= start or stop <= first
    augmented = batch(alone, "train", 0, replace(options, augment=True))
    assert not np.array_equal(augmented["style"], batch(alone, "train", 0, options)["style"])


def test_a_style_that_may_be_longer_ends_where_the_target_begins(corpus: Corpus) -> None:
    """All of the longer side of the target is heard, and nothing of the target itself."""
    longest = int(np.argmax(corpus.pieces["count"]))
    alone = Corpus(corpus.path, corpus._notes, corpus.pieces[[longest]].copy())
    alone.pieces["split"] = 0
    options = BatchOptions(batch_size=9, tokens=96, style_tokens=3000, augment=False)
    for row in range(20):
        one = draw(alone, "train", 0, row, options)
        first, _ = _place(corpus.notes(longest), decode(one.ids[one.ids > EOS])[0])
        target, style = (int(np.isin(ids, PERFORMANCE.ids(NOTE_ON)).sum()) for ids in (one.ids, one.style))
        assert style == max(first, int(corpus.pieces["count"][longest]) - first - target)


def _place(notes: Notes, crop: Notes) -> tuple[int, int]:
    """First and last note of a crop in the piece, found by the onsets' pitches and distances."""
    count = min(len(crop), 12)
    for first in range(len(notes) - count + 1):
        part = notes[first : first + count]
        if np.allclose(part.start - part.start[0], crop.start[:count], atol=0.011) and set(part.pitch.tolist()) == set(
            crop.pitch[:count].tolist()
        ):
            return first, first + len(crop)
    raise AssertionError("the crop is not in the piece")


def test_either_style_is_the_one_or_the_other_by_a_coin(corpus: Corpus) -> None:
    options = replace(OPTIONS, style_input="either", style_tokens=96)
    same_kinds = [
        np.array_equal(PERFORMANCE.kinds[ids[ids > EOS]], PERFORMANCE.kinds[style[style != PAD]])
        for step in range(30)
        for ids, style in zip(*(batch(corpus, "train", step, options)[name] for name in ("ids", "style")), strict=True)
    ]
    assert 0.4 < np.mean(same_kinds) < 0.6


def test_same_style_is_the_target_transposed(corpus: Corpus) -> None:
    options = replace(OPTIONS, style_input="same", style_tokens=96)
    beginning = batch(corpus, "train", 0, replace(options, style_tokens=50))
    assert np.array_equal(beginning["style"], batch(corpus, "train", 0, options)["style"][:, :50])
    amounts = set()
    for step in range(12):
        drawn = batch(corpus, "train", step, options)
        for ids, style in zip(drawn["ids"], drawn["style"], strict=True):
            length = int((ids > EOS).sum())
            kinds = PERFORMANCE.kinds
            np.testing.assert_array_equal(kinds[ids[:length]], kinds[style[:length]])
            pitched = np.isin(kinds[ids[:length]], [PERFORMANCE.kind_index(NOTE_ON), PERFORMANCE.kind_index(NOTE_OFF)])
            values = PERFORMANCE.values
            difference = set((values[style[:length]] - values[ids[:length]])[pitched].tolist())
            assert len(difference) == 1
            amounts |= difference
            np.testing.assert_array_equal(style[:length][~pitched], ids[:length][~pitched])
    assert amounts == set(range(-6, 7))
    plain = batch(corpus, "train", 0, replace(options, augment=False))
    for ids, style in zip(plain["ids"], plain["style"], strict=True):
        length = int((ids > EOS).sum())
        np.testing.assert_array_equal(ids[:length], style[:length])


def test_style_features_are_means_over_windows(corpus: Corpus) -> None:
    notes = corpus.notes(int(corpus.indices("train")[-1]))
    np.testing.assert_allclose(mean_features(notes), features(notes).mean(axis=0), rtol=1e-6)
    assert mean_features(Notes.empty()).tolist() == [0.0] * 8
    for step in range(10):
        assert np.isfinite(batch(corpus, "train", step, OPTIONS)["style_features"]).all()


@pytest.mark.parametrize("style_input", ["other", "same"])
def test_style_features_are_those_of_the_style(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, style_input: Literal["other", "same"]
) -> None:
    monkeypatch.setattr(crops, "mean_features", lambda notes: notes.pitch)
    for row in range(7):
        one = draw(corpus, "train", 0, row, replace(OPTIONS, style_input=style_input))
        struck = one.style[np.isin(one.style, PERFORMANCE.ids(NOTE_ON))]
        assert sorted(PERFORMANCE.values[struck]) == sorted(one.style_features)


def test_conditions_are_dropped_as_often_as_asked(corpus: Corpus) -> None:
    options = replace(OPTIONS, tokens=4, style_tokens=3, batch_size=50)
    drawn = [batch(corpus, "train", step, options) for step in range(30)]
    used = {name: np.concatenate([one[name] for one in drawn]).mean() for name in ("use_style", "use_melody")}
    assert used["use_style"] == pytest.approx(0.7, abs=0.04)
    assert used["use_melody"] == pytest.approx(0.6, abs=0.04)
    none = batch(corpus, "train", 0, replace(options, drop_style=0.0, drop_melody=1.0))
    assert none["use_style"].all()
    assert not none["use_melody"].any()


def test_habits_are_dropped_as_often_as_asked_and_all_else_stays(corpus: Corpus) -> None:
    never, often = (
        [batch(corpus, "train", step, replace(OPTIONS, drop_habits=p)) for step in range(60)] for p in (0, 0.3)
    )
    kept = []
    for one, other in zip(never, often, strict=True):
        assert same(one | {"style_habits": PAD}, other | {"style_habits": PAD})
        for all_, drawn in zip(one["style_habits"], other["style_habits"], strict=True):
            kept.append(drawn.any())
            np.testing.assert_array_equal(drawn, all_ * kept[-1])
    assert np.mean(kept) == pytest.approx(0.7, abs=0.06)


def test_the_line_is_the_melody_as_often_as_asked(corpus: Corpus) -> None:
    """All else is the same; a row's melody is either that of the published flags or the line of its crop."""
    never, always, half = (
        [batch(corpus, "train", step, replace(OPTIONS, line_melody=share)) for step in range(30)]
        for share in (0.0, 1.0, 0.5)
    )
    assert all(same(one | {"melody": PAD}, other | {"melody": PAD}) for one, other in zip(never, always, strict=True))
    chosen = []
    rows = ([pad(row) for one in drawn for row in one["melody"]] for drawn in (never, always, half))
    for published, line, drawn in zip(*rows, strict=True):
        assert np.array_equal(drawn, line) or np.array_equal(drawn, published)
        if not np.array_equal(line, published):
            chosen.append(np.array_equal(drawn, line))
    assert len(chosen) > 100
    assert np.mean(chosen) == pytest.approx(0.5, abs=0.13)
    judged = next(evaluation_batches(corpus, "train", replace(OPTIONS, line_melody=1.0)))
    assert same(judged, next(evaluation_batches(corpus, "train", OPTIONS)))


def pad(melody: np.ndarray) -> np.ndarray:
    return np.pad(melody, (0, 1000 - len(melody)))


def test_the_line_of_a_crop_has_what_the_pedal_hides() -> None:
    """Under a pedal a falling tune is hidden by its first note; as a line all of it is there, note after note."""
    start = np.arange(6) * 0.5
    tune_and_bass = Notes.from_arrays(
        np.append(start, 0.0), np.append(np.full(6, 3.0), 3.0), [79, 77, 76, 74, 72, 71, 43], [90] * 6 + [50]
    )
    ids = encode(tune_and_bass)
    crop = cut_notes(tune_and_bass, melody_flags(tune_and_bass), ids, len(ids))
    onsets = {
        extractor: [MELODY.decode(i)[1] for i in crop_melody(crop, extractor) if MELODY.decode(i)[0] == PITCH]
        for extractor in ("published", "line")
    }
    assert onsets["published"] == [79]
    assert onsets["line"] == [79, 77, 76, 74, 72, 71]


def test_pieces_are_drawn_in_proportion_to_their_notes(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece's share of 3,000 draws is its share of the notes, within three standard deviations."""
    draws = 3000
    drawn: list[int] = []
    monkeypatch.setattr(crops, "example_at", lambda _, piece, *__: drawn.append(piece))
    for row in range(draws):
        draw(corpus, "train", 0, row, replace(OPTIONS, seed=0))
    indices = corpus.indices("train")
    counts = np.bincount(drawn, minlength=len(corpus))[indices]
    share = corpus.pieces["count"][indices] / corpus.pieces["count"][indices].sum()
    assert counts.sum() == draws
    assert (np.abs(counts / draws - share) <= 3 * np.sqrt(share * (1 - share) / draws) + 1 / draws).all()


def test_a_crop_may_begin_half_its_length_before_its_piece_and_end_as_far_behind(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, int]] = []
    monkeypatch.setattr(crops, "example_at", lambda _, piece, first, *__: drawn.append((piece, first)))
    for row in range(2000):
        draw(corpus, "train", 0, row, OPTIONS)
    piece, first = np.array(drawn).T
    count = corpus.pieces["count"][piece]
    half = np.array([notes_for(corpus, number, OPTIONS.tokens) // 2 for number in piece])
    assert (first < np.maximum(count - half, 1)).all()
    expected = np.minimum((half + 1) / count, 1)
    assert (expected < 1).mean() > 0.5
    assert (first == 0).mean() == pytest.approx(expected.mean(), abs=0.03)


def test_every_piece_is_drawn_down_to_a_single_note(tmp_path: Path) -> None:
    for number in range(3):
        write_midi(tmp_path / f"in/{number}.mid", Notes.from_arrays([0], [1], [40 + number], [80]))
    corpus = prepare(tmp_path / "in", tmp_path / "out")
    pieces = Corpus(corpus.path, corpus._notes, corpus.pieces.copy())
    pieces.pieces["split"] = 0
    drawn = batch(pieces, "train", 0, BatchOptions(batch_size=60, tokens=9, style_tokens=7, augment=False))
    struck = drawn["ids"][np.isin(drawn["ids"], PERFORMANCE.ids(NOTE_ON))]
    assert set(PERFORMANCE.values[struck].tolist()) == {40, 41, 42}


def test_all_evaluation_crops_hold_every_note_once(corpus: Corpus) -> None:
    options = replace(OPTIONS, batch_size=4)
    heard = 0
    for drawn in evaluation_batches(corpus, "train", options):
        heard += int(np.isin(drawn["ids"], PERFORMANCE.ids(NOTE_ON)).sum())
        assert drawn["use_style"].all()
        assert drawn["use_melody"].all()
    assert heard == corpus.ends("train")[-1]


def test_evaluation_crops_do_not_depend_on_batches_or_calls(corpus: Corpus) -> None:
    def rows(batch_size: int, seed: int = 5) -> list[bytes]:
        options = replace(OPTIONS, batch_size=batch_size, seed=seed)
        drawn = list(evaluation_batches(corpus, "train", options, 11))
        assert [len(one["ids"]) for one in drawn[:-1]] == [batch_size] * (len(drawn) - 1)
        return [row.tobytes() for one in drawn for row in np.concatenate([one["ids"], one["style"]], axis=1)]

    assert len(rows(3)) == 11
    assert rows(3) == rows(8)
    assert rows(3) != rows(3, seed=6)
    plain = replace(OPTIONS, augment=False)
    assert same(*(next(evaluation_batches(corpus, "train", options, 7)) for options in (OPTIONS, plain)))


def test_evaluation_crops_are_spread_evenly_and_full(corpus: Corpus) -> None:
    """With as many crops as there are pieces of equal weight, long pieces get more, each a full crop."""
    options = BatchOptions(batch_size=1, tokens=200, style_tokens=16, seed=1)
    full = [bool((drawn["ids"] != PAD).all()) for drawn in evaluation_batches(corpus, "train", options, 60)]
    long = corpus.pieces["tokens"][corpus.indices("train")] > 200
    weight = corpus.pieces["count"][corpus.indices("train")]
    assert np.mean(full) > 0.95 * weight[long].sum() / weight.sum()


def test_long_notes_do_not_lose_the_ids_behind_them(tmp_path: Path) -> None:
    """A chord of 60 keys held for long: the first 70 ids lie far from the notes they would take on average."""
    start = np.append(np.arange(60) * 0.001, 50 + np.arange(400) * 0.2)
    end = np.append(np.full(60, 45.0), start[60:] + 0.1)
    pitch = np.append(np.arange(60) + 30, np.arange(400) % 20 + 60)
    write_midi(tmp_path / "in/a.mid", Notes.from_arrays(start, end, pitch, np.full(460, 80)))
    corpus = prepare(tmp_path / "in", tmp_path / "out")
    for tokens in (5, 50, 70, 130, 500, 5000):
        expected = encode(corpus.notes(0))[:tokens]
        np.testing.assert_array_equal(cut(corpus, 0, 0, tokens).ids, expected)


def test_a_chord_that_falls_within_a_step_is_cut_in_the_order_of_its_ids(tmp_path: Path) -> None:
    """Five keys from the top down in 4 ms: the ids have the lowest first, and so has the crop, which cuts no time."""
    start = np.append(np.arange(5) * 0.001, 1 + np.arange(40) * 0.2)
    write_midi(
        tmp_path / "in/a.mid",
        Notes.from_arrays(start, start + 0.15, np.append(70 - np.arange(5), np.full(40, 50)), np.full(45, 80)),
    )
    corpus = prepare(tmp_path / "in", tmp_path / "out")
    notes = corpus.notes(0)
    assert notes.pitch[:5].tolist() == [70, 69, 68, 67, 66]
    for tokens in (2, 4, 5):
        crop = cut(corpus, 0, 0, tokens)
        assert crop.ids.tolist() == encode(notes.from_zero())[:tokens].tolist()
        assert sorted(crop.notes.pitch.tolist()) == list(range(66, 66 + tokens - 1))
        assert (crop.notes.end >= crop.notes.start).all()


def test_no_more_of_a_piece_is_read_than_a_crop_needs(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    longest, read = int(np.argmax(corpus.pieces["count"])), []

    def watched(piece: int, first: int, last: int) -> np.ndarray:
        read.append(last - first)
        return Corpus.records(corpus, piece, first, last)

    monkeypatch.setattr(corpus, "records", watched)
    cut(corpus, longest, 30, 60)
    assert sum(read) <= 4 * notes_for(corpus, longest, 60)


def test_every_note_of_a_split_begins_an_evaluation_crop_as_often_as_any_other(corpus: Corpus) -> None:
    """With as many crops as notes each piece has as many as it has notes."""
    pieces = [piece for piece, _ in crops._spread(corpus, "train", OPTIONS, int(corpus.ends("train")[-1]))]
    assert np.bincount(pieces, minlength=len(corpus))[corpus.indices("train")].tolist() == [
        corpus.pieces["count"][piece] for piece in corpus.indices("train")
    ]


def test_a_crop_of_notes_is_cut_where_its_ids_are() -> None:
    notes = Notes.from_arrays([0, 0, 0.5, 1], [2, 0.25, 0.75, 3], [60, 72, 64, 67], [100, 100, 100, 100])
    crop = cut_notes(notes, np.array([False, True, True, True]), encode(notes), 6)
    # VELOCITY, NOTE_ON, NOTE_ON, TIME_SHIFT, NOTE_OFF, TIME_SHIFT
    assert [PERFORMANCE.decode(event)[1] for event in crop.ids] == [25, 60, 72, 25, 72, 25]
    assert crop.notes.pitch.tolist() == [60, 72]
    assert crop.notes.end.tolist() == [0.5, 0.25]
    assert crop.melody.tolist() == [False, True]
    assert (crop.last, crop.steps) == (2, 50)


def test_notes_for_follows_the_density_of_the_piece(corpus: Corpus) -> None:
    for piece in range(len(corpus)):
        count, tokens = int(corpus.pieces["count"][piece]), int(corpus.pieces["tokens"][piece])
        assert notes_for(corpus, piece, tokens) == count
        assert notes_for(corpus, piece, 1) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"tokens": 0}, "tokens is 0"),
        ({"style_tokens": -3}, "style_tokens is -3"),
        ({"seed": -1}, "seed is -1"),
        ({"style_input": "both"}, "'both'"),
        ({"drop_style": 1.5}, "drop_style is 1.5"),
        ({"drop_melody": float("nan")}, "drop_melody is nan"),
        ({"drop_habits": -1}, "drop_habits is -1"),
        ({"line_melody": -0.1}, "line_melody is -0.1"),
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchOptions(**wrong)  # type: ignore[arg-type]


def test_no_evaluation_crops_at_all_are_refused(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="count is 0"):
        next(evaluation_batches(corpus, "train", OPTIONS, 0))


def test_an_absent_split_is_one_line(corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match="no such split"):
        batch(corpus, "dev", 0, OPTIONS)


def test_the_habits_of_crops_are_the_sums_of_those_of_rows(corpus: Corpus) -> None:
    rows = [habits(draw(corpus, "train", 0, row, OPTIONS).ids).astype(np.float64) for row in range(9)]
    assert np.array_equal(habits_of_crops(corpus, OPTIONS, 9), np.sum(rows, axis=0))


def test_collate_is_batch(corpus: Corpus) -> None:
    rows = [draw(corpus, "train", 2, row, OPTIONS) for row in range(7)]
    assert same(collate(rows, OPTIONS), batch(corpus, "train", 2, OPTIONS))


def test_the_key_that_a_teacher_hears_tells_nothing_of_the_piece(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn with the same numbers as the piece, it would be low for the first pieces and high for the last."""
    monkeypatch.setattr(crops, "example_at", lambda _, piece, *__: piece)
    monkeypatch.setattr(crops, "transposed", lambda _, semitones: {"key": semitones})
    options = replace(OPTIONS, batch_size=1000)
    pieces = [draw(corpus, "train", 0, row, options) for row in range(1000)]
    note = np.full((1000, 1), PERFORMANCE.encode(NOTE_ON, 60))
    keys = for_teacher({"ids": note}, 0, options)["teacher_key"]
    assert set(keys) == {*range(-6, 0), *range(1, 7)}
    assert abs(np.corrcoef(pieces, keys)[0, 1]) < 0.1  # three standard deviations


def test_a_teacher_hears_each_row_in_another_key_whatever_rows_are_drawn(corpus: Corpus) -> None:
    options = replace(OPTIONS, batch_size=6)
    whole = batch(corpus, "train", 3, options)
    heard = for_teacher(whole, 3, options)
    for row in range(6):
        notes = PERFORMANCE.ids(NOTE_ON)
        shift = int(heard["teacher_table"][row][notes[40]] - notes[40])
        assert 0 < abs(shift) <= 6
        assert np.array_equal(performance_table(shift), heard["teacher_table"][row])
        assert np.array_equal(heard["teacher_table"][row][whole["ids"][row]], heard["teacher_ids"][row])
        assert np.array_equal(performance_table(-shift)[heard["teacher_ids"][row]], whole["ids"][row])  # all fit
        assert np.array_equal(melody_table(shift)[whole["melody"][row]], heard["teacher_melody"][row])
        moved, held = heard["teacher_ids"][row], heard["teacher_held"][row]
        before = held_steps(moved)
        assert np.array_equal(held[1:], before[:-1])
        # Habits and motifs say the same in any key, of every id that fits into both.
        table = heard["teacher_table"][row]
        fits = performance_table(-shift)[table] == np.arange(len(table))
        assert np.array_equal(places(moved, held)[:, table[fits]], whole["places"][row][:, fits])
        assert np.array_equal(recalled(moved, held)[..., table[fits]], whole["recalled"][row][..., fits])
    for step in range(20):
        tables = for_teacher(batch(corpus, "train", step, options), step, options)["teacher_table"]
        assert all((table[notes[40]] != notes[40]) for table in tables)
    second = slice(1, None, 2)
    half = for_teacher(batch(corpus, "train", 3, options, second), 3, options, second)
    assert np.array_equal(half["teacher_table"], heard["teacher_table"][second])
