"""What came after a motif the last time: as found one note after the other by hand, and heard by the logits."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes

from musicstyle.errors import UsageError
from musicstyle.generation.motivic import Motivic
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import ModelConfig
from musicstyle.model.motifs import Motifs
from musicstyle.music.motifs import (
    LEVELS,
    LONGEST,
    MOTIFS,
    NONE,
    NOTES,
    OPINIONS,
    RELEASES,
    VOICES,
    WAITS,
    class_of,
    level_opinions,
    longest_run,
    longest_runs,
    note_opinion,
    recalled,
    release_opinion,
    wait_opinions,
)
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode, held_before
from musicstyle.music.transposed import performance_table
from musicstyle.music.vocabulary import EOS, NOTE_OFF, NOTE_ON, PERFORMANCE, TIME_SHIFT, VELOCITY

ON, OFF, SHIFT, LEVEL = (PERFORMANCE.ids(kind) for kind in (NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY))


def said(ids: np.ndarray) -> np.ndarray:
    return recalled(ids, held_before(ids))


def by_hand(ids: np.ndarray) -> np.ndarray:  # noqa: C901 - id by id, as it is told
    """All opinions, by comparing every earlier place interval by interval, before each id."""
    out = np.full((VOICES, len(ids), 310), NONE)
    heard: list[list[dict[str, int]]] = [[] for _ in range(VOICES)]
    keys: list[int] = []
    clock = level = 0
    for place, event_id in enumerate(ids.tolist()):
        for voice, notes in enumerate(heard):
            _opine(out[voice, place], voice, notes, clock)
        if event_id <= EOS:
            continue
        kind, value = PERFORMANCE.decode(event_id)
        if kind == TIME_SHIFT:
            clock += value
        elif kind == VELOCITY:
            level = value
        elif kind == NOTE_ON:
            recent = keys[-16:]
            lower = bool(recent) and value < sum(recent) / len(recent)
            for notes in heard:
                for note in notes:
                    note["down"] &= note["key"] != value
            for voice in (0, 1 if lower else 2):
                heard[voice].append({"key": value, "clock": clock, "level": level, "length": 0, "down": 1})
            keys.append(value)
        else:
            for notes in heard:
                for note in notes:
                    if note["down"] and note["key"] == value:
                        note["down"], note["length"] = 0, clock - note["clock"]
    return out


def _opine(row: np.ndarray, voice: int, notes: list[dict[str, int]], clock: int) -> None:  # noqa: C901 - likewise
    run = source = 0
    intervals = [b["key"] - a["key"] for a, b in pairwise(notes)]
    for earlier in range(1, len(notes) - 1):
        length = 0
        while length < min(earlier, LONGEST) and intervals[earlier - 1 - length] == intervals[-1 - length]:
            length += 1
        if length and length >= run:
            run, source = length, earlier
    if not run:
        return
    last, then, following = notes[-1], notes[source], notes[source + 1]
    classes = sum(run >= least for least in (1, 2, 3, 4, 5, 6, 8, 12)) - 1
    first = ((voice * 8 + classes) * 2 + (last["key"] != then["key"])) * OPINIONS
    steps = following["clock"] - then["clock"]
    left = last["clock"] + steps - clock
    key = last["key"] + following["key"] - then["key"]
    if 21 <= key <= 108:
        near = 2 + steps // 6
        row[ON[key - 21]] = first + NOTES + (0 if left > near else 1 if left >= -near else 2)
    if left > 0 or steps == 0:
        for shift in range(1, 101):
            beyond = sum(shift - left >= least for least in (-5, -2, -1, 0, 1, 2, 3, 6, 16))
            row[SHIFT[shift - 1]] = first + WAITS + beyond
    level = last["level"] + following["level"] - then["level"]
    for bin_ in range(1, 33):
        row[LEVEL[bin_ - 1]] = first + LEVELS + 3 + max(-3, min(3, bin_ - level))
    for back in range(run + 1):
        note, was = notes[-1 - back], notes[source - back]
        if note["down"] and not was["down"] and was["length"]:
            share = (clock - note["clock"] + 1) / (was["length"] + 1)
            row[OFF[note["key"] - 21]] = first + RELEASES + sum(share >= least for least in (0.37, 0.7, 0.9, 1.1, 1.4))


@example(keys=[40] * 20)  # longer runs than any that counts
@example(keys=[40, 43, 41] * 10)
@given(keys=st.integers(1, 4).flatmap(lambda span: st.lists(st.integers(40, 40 + span), max_size=60)))
def test_runs_of_all_notes_are_those_of_each(keys: list[int]) -> None:
    intervals = np.diff(keys, prepend=keys[:1])
    found = list(zip(*(part.tolist() for part in longest_runs(np.array(keys, dtype=np.int64))), strict=True))
    assert found == [longest_run(intervals[: last + 1]) for last in range(len(keys))]


@given(any_notes())
def test_what_is_recalled_is_what_a_search_by_hand_finds(notes: Notes) -> None:
    ids = encode(notes)
    np.testing.assert_array_equal(said(ids), by_hand(ids))


@given(seed=st.integers(0, 10_000), keys=st.integers(2, 30))
def test_so_it_is_in_pieces_of_few_keys_where_much_comes_again(seed: int, keys: int) -> None:
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.choice([0.0, 0.1, 0.25], 60))
    notes = Notes.from_arrays(
        start, start + rng.choice([0.05, 0.1, 0.4], 60), 50 + rng.integers(keys, size=60), rng.integers(40, 90, 60)
    )
    ids = np.append(encode(notes), [EOS, 0, 0])
    np.testing.assert_array_equal(said(ids), by_hand(ids))


@given(any_notes(lowest=40, highest=80), st.integers(-12, 12))
def test_motifs_are_the_same_in_every_key(notes: Notes, semitones: int) -> None:
    ids, table = encode(notes), performance_table(semitones)
    moved = said(table[ids])
    inside = np.array([0, 1, *ON[19 + 12 : -28 - 12], *OFF[19 + 12 : -28 - 12], *SHIFT, *LEVEL])
    np.testing.assert_array_equal(moved[:, :, table[inside]], said(ids)[:, :, inside])


@given(any_notes(), st.integers(0, 100))
def test_nothing_is_known_of_what_is_to_come(notes: Notes, place: int) -> None:
    ids = encode(notes)
    np.testing.assert_array_equal(said(ids)[:, : place + 1][:, : len(ids)], said(ids[: place + 1]))


def test_a_broken_chord_is_recalled_a_tone_higher() -> None:
    keys = np.concatenate((np.tile([48, 55, 52, 55], 2), np.tile([50, 57, 54], 1)))
    start = np.arange(len(keys)) * 0.2
    ids = encode(Notes.from_arrays(start, start + 0.15, keys, np.full(len(keys), 70)))
    after = said(np.append(ids, EOS))[0, -1]  # of all notes
    first = int(class_of(0, 2, True)) * OPINIONS  # up a fifth, down a third
    assert [int(after[ON[key - 21]]) for key in (56, 57, 58)] == [NONE, first + 1, NONE]  # in 0.05 s: about now
    while ids[-1] != ON[54 - 21]:
        ids = ids[:-1]
    after = said(np.append(ids, EOS))[0, -1]
    assert int(after[ON[57 - 21]]) == first  # not yet
    assert [int(after[SHIFT[steps - 1]]) - first - WAITS for steps in (14, 20, 37)] == [0, 4, 9]


def test_a_model_s_motifs_are_these() -> None:
    assert ModelConfig().motifs == MOTIFS


@given(st.integers(-300, 300), st.integers(1, 300), st.integers(1, 300))
def test_opinions_are_numbered_without_overlap(left: int, held: int, was: int) -> None:
    assert NOTES <= note_opinion(left, was) < WAITS
    waits = wait_opinions(left)
    assert WAITS <= waits.min() <= waits.max() < LEVELS
    assert (np.diff(waits) >= 0).all()
    levels = level_opinions(left)
    assert LEVELS <= levels.min() <= levels.max() < RELEASES
    assert RELEASES <= release_opinion(held, was) < OPINIONS
    assert class_of(VOICES - 1, LONGEST, True) * OPINIONS + OPINIONS == MOTIFS


@given(seed=st.integers(0, 10_000), begun=st.integers(0, 100), strength=st.sampled_from([0.0, 1.0, 4.0]))
def test_the_sampler_hears_what_is_recalled(seed: int, begun: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    each = [encode(random_notes(seed + i, 60, lowest=60, highest=64)) for i in range(2)]
    worth = rng.normal(size=MOTIFS).astype(np.float32)
    expected = [np.append(worth, np.float32(0))[said(ids)].sum(axis=0) for ids in each]
    primer, length = each[0][:begun], min(map(len, each))
    motivic = Motivic(torch.from_numpy(worth), 1.0, 2, primer)
    np.testing.assert_allclose(motivic.says()[1], expected[0][len(primer)], atol=1e-5)
    stronger = worth.copy()
    stronger.reshape(-1, OPINIONS)[:, :WAITS] *= strength
    expected = [np.append(stronger, np.float32(0))[said(ids)].sum(axis=0) for ids in each]
    motivic = Motivic(torch.from_numpy(worth), strength, 2, primer[:0])
    for place in range(length):
        np.testing.assert_allclose(motivic.says(), [rows[place] for rows in expected], atol=1e-5)
        motivic.accept([int(ids[place]) for ids in each])


def test_voices_add_up_and_silence_is_nothing() -> None:
    module = Motifs(MOTIFS).double().requires_grad_(requires_grad=False)
    torch.nn.init.normal_(module.weight)
    opinion = torch.randint(0, MOTIFS + 1, (2, VOICES, 5, 310), generator=torch.Generator().manual_seed(1)).short()
    added = module(opinion)
    for b, t, i in ((0, 0, 0), (1, 4, 309), (0, 3, 77)):
        weights = [float(module.weight[k]) if k < MOTIFS else 0.0 for k in opinion[b, :, t, i].tolist()]
        assert added[b, t, i].item() == pytest.approx(math.fsum(weights), abs=1e-12)
    assert not module(torch.full((1, VOICES, 2, 310), NONE, dtype=torch.int16)).any()


def test_a_checkpoint_without_motifs_cannot_be_asked_for_them() -> None:
    config = ModelConfig(decoder_layers=1, style_layers=1, melody_layers=1, window=64, max_distance=64, motifs=0)
    player = StyleTransfer(Autoencoder(config).eval(), {"training": {"tokens": 64}})
    player.generate(seconds=1)
    with pytest.raises(UsageError, match="recalls no motifs"):
        player.generate(seconds=1, motif_strength=2.0)
