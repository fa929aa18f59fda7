"""Profiles: counted by hand and by a loop, what must leave them alone, and that they tell pieces apart."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes, real_files

from musicstyle.evaluation.style import hit_rate
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes
from musicstyle.music.profile import EDGES, PARTS, PROFILE, in_common, nearness_matrix, profile
from musicstyle.music.similarity import similarity_matrix

NOTHING = "nothing"  # the bin of a part in which nothing was counted


def bins(notes: Notes) -> dict[str, dict[float | str, float]]:
    """The shares of a profile that are not 0, by part and by the lower edge of the bin."""
    found, first = {}, 0
    for part, edges in EDGES.items():
        shares = profile(notes)[first : first + len(edges)]
        names = [*edges[:-1].tolist(), NOTHING]
        found[part] = {name: float(share) for name, share in zip(names, shares, strict=True) if share}
        first += len(edges)
    return found


def bin_of(part: str, value: float) -> float:
    """The lower edge of the bin that a value lies in, or of the outermost that it lies beyond."""
    edges = EDGES[part].tolist()
    return next((low for low, high in itertools.pairwise(edges) if value < high), edges[-2])


def by_loop(notes: Notes) -> dict[str, dict[float | str, float]]:
    """The specification, read aloud."""
    chords: list[list[int]] = []
    onset = [math.floor(start * 100 + 0.5) for start in notes.start.tolist()]
    for i in sorted(range(len(notes)), key=lambda i: onset[i]):
        if not chords or onset[i] > onset[chords[-1][0]] + 5:
            chords.append([])
        chords[-1].append(i)
    counted: dict[str, list[float]] = {part: [] for part in PARTS}
    read: list[int] = []
    for chord in chords:
        low_to_high = sorted(chord, key=lambda i: notes.pitch[i])
        read += low_to_high
        complete = max(notes.start[chord])
        sounding = [i for i in range(len(notes)) if notes.start[i] <= complete < notes.end[i]]
        counted["sounding"].append(len(sounding))
        pitches = [int(notes.pitch[i]) for i in low_to_high]
        counted["chord_intervals"] += [b - a for a, b in itertools.pairwise(pitches)]
        if len(chord) > 1:
            counted["spreads"].append(1000 * (complete - min(notes.start[chord])))
            *others, top = (int(notes.velocity[i]) for i in low_to_high)
            counted["lead"].append(top - sum(others) / len(others))
    begun = [min(notes.start[chord]) for chord in chords]
    waits = [math.log2(b - a) for a, b in itertools.pairwise(begun)]
    loudness = [float(np.mean(notes.velocity[chord])) for chord in chords]
    for part, values in (
        ("steps", notes.pitch[read]),
        ("upper_intervals", [max(notes.pitch[chord]) for chord in chords]),
        ("lower_intervals", [min(notes.pitch[chord]) for chord in chords]),
        ("rhythm", waits),
        ("accents", loudness),
    ):
        counted[part] = np.diff(values).tolist()
    counted["waits"] = waits
    counted["registers"], counted["loudness"] = notes.pitch.tolist(), notes.velocity.tolist()
    lengths = (notes.end - notes.start).tolist()
    counted["lengths"] = [math.log2(length) if length else -math.inf for length in lengths]
    return {
        part: {name: count / len(values) for name, count in Counter(bin_of(part, v) for v in values).items()}
        if values
        else {NOTHING: 1.0}
        for part, values in counted.items()
    }


def test_two_chords_and_a_note_by_hand() -> None:
    notes = Notes.from_arrays(
        [0.0, 0.02, 0.5, 0.5, 0.5, 1.5],
        [0.4, 0.6, 1.0, 1.0, 1.0, 2.0],
        [60, 67, 48, 64, 72, 71],
        [40, 60, 50, 50, 80, 60],
    )
    assert bins(notes) == {
        "registers": {57: 1 / 6, 65: 1 / 6, 45: 1 / 6, 61: 1 / 6, 69: 2 / 6},
        "steps": {6.5: 1 / 5, -19.5: 1 / 5, 15.5: 1 / 5, 7.5: 1 / 5, -1.5: 1 / 5},
        "upper_intervals": {4.5: 1 / 2, -1.5: 1 / 2},
        "lower_intervals": {-12.5: 1 / 2, 11.5: 1 / 2},  # 23 up is beyond the last bin
        "chord_intervals": {6.5: 1 / 3, 15.5: 1 / 3, 7.5: 1 / 3},
        "sounding": {1.5: 1 / 3, 3.5: 1 / 3, 0.5: 1 / 3},  # the 67 still sounds with the second chord
        "waits": {bin_of("waits", -1): 1 / 2, bin_of("waits", 0): 1 / 2},
        "rhythm": {bin_of("rhythm", 1): 1.0},
        "spreads": {bin_of("spreads", 20): 1 / 2, 0: 1 / 2},
        "lengths": {bin_of("lengths", math.log2(length)): share for length, share in ((0.4, 1 / 6), (0.58, 5 / 6))},
        "loudness": {40: 1 / 6, 56: 2 / 6, 48: 2 / 6, 80: 1 / 6},
        "accents": {10: 1 / 2, 0: 1 / 2},
        "lead": {20: 1 / 2, 30: 1 / 2},
    }


@given(any_notes(max_size=40))
def test_profiles_are_what_the_specification_counts(notes: Notes) -> None:
    if len(notes):
        found, expected = bins(notes), by_loop(notes)
        for part in PARTS:
            assert found[part] == pytest.approx(expected[part]), part


def test_a_single_voice_has_no_chords_to_count_and_a_single_note_no_way_on() -> None:
    start = np.arange(5) * 0.5
    voice = Notes.from_arrays(start, start + 0.5, 60 + np.arange(5), np.full(5, 80))
    nothing = {NOTHING: 1.0}
    assert {part for part, shares in bins(voice).items() if shares == nothing} == {"chord_intervals", "spreads", "lead"}
    told = {part for part, shares in bins(voice[:1]).items() if shares != nothing}
    assert told == {"registers", "sounding", "lengths", "loudness"}
    assert in_common(profile(voice), profile(voice)).tolist() == pytest.approx([1.0] * 13)


def test_no_notes_have_nothing_in_common_even_with_no_notes() -> None:
    assert profile(Notes.empty()).shape == (PROFILE,)
    for other in (Notes.empty(), random_notes(1, 30)):
        assert nearness_matrix([Notes.empty()], [other]).tolist() == [[[0.0] * 13]]
    assert nearness_matrix([], [random_notes(1, 30)]).shape == (0, 1, 13)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_what_two_pieces_have_in_common_is_mutual_and_all_of_itself(a: int, b: int) -> None:
    pieces = [random_notes(seed, 40 + seed % 7, 9.0) for seed in (a, b)]
    near = nearness_matrix(pieces, pieces)
    np.testing.assert_allclose(near, near.transpose(1, 0, 2))
    np.testing.assert_allclose(near.diagonal(), 1)
    assert ((near >= 0) & (near <= 1 + 1e-12)).all()
    # The intersection is what is left of 1 after half of the difference.
    first = np.cumsum([0, *map(len, EDGES.values())])
    apart = np.abs(profile(pieces[0]) - profile(pieces[1]))
    np.testing.assert_allclose(near[0, 1], [1 - apart[i:j].sum() / 2 for i, j in itertools.pairwise(first)])


def test_each_change_of_playing_moves_its_own_parts_and_no_other() -> None:
    start = np.repeat(np.arange(24) * 0.5, 3)
    pitch = np.add.outer(60 + np.arange(24) % 5, [0, 4, 9]).ravel()
    velocity = np.tile([44, 44, 60], 24)
    piece = Notes.from_arrays(start, start + 0.25, pitch, velocity)
    spread = start + np.tile([0.0, 0.01, 0.02], 24)
    for other, moved in (
        (piece.transpose(12), {"registers"}),
        (piece.stretch(2.0), {"waits", "lengths"}),
        (piece.shift(3.0), set()),
        (Notes(piece.start, piece.end, piece.pitch, piece.velocity + 16), {"loudness"}),
        (Notes(piece.start, piece.end + 0.25, piece.pitch, piece.velocity), {"lengths"}),
        (Notes(piece.start, piece.end + 0.5, piece.pitch, piece.velocity), {"lengths", "sounding"}),
        (Notes.from_arrays(spread, spread + 0.25, pitch, velocity), {"spreads"}),
    ):
        common = dict(zip(PARTS, nearness_matrix([piece], [other])[0, 0].tolist(), strict=True))
        assert {part for part, share in common.items() if share < 1 - 1e-9} == moved


def test_real_playing_is_told_apart_better_than_by_the_eight_features() -> None:
    pieces = [read_midi(path) for path in real_files("maestro-v3.0.0", 24)]
    halves = [(piece[: len(piece) // 2].from_zero(), piece[len(piece) // 2 :].from_zero()) for piece in pieces]
    heard, other = [half.crop(20.0, 50.0) for half, _ in halves], [half for _, half in halves]
    by_profile, by_features = (
        hit_rate(of(heard, other).mean(axis=2)).rate for of in (nearness_matrix, similarity_matrix)
    )
    assert by_profile > by_features
    assert by_profile > 0.8


def test_what_lies_on_an_edge_counts_above_it() -> None:
    start = np.arange(9.0)  # waits of exactly a second, lengths of exactly half of it
    notes = Notes.from_arrays(start, start + 0.5, np.full(9, 61), np.full(9, 64))
    found = bins(notes)
    assert found["registers"] == {61: 1.0}
    assert found["loudness"] == {64: 1.0}
    assert found["steps"] == {-0.5: 1.0}
