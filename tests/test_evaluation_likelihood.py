"""The likelihood is a sum divided once, over exactly the crops of the protocol."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from some_models import awake
from some_notes import random_notes

from musicstyle.corpus.crops import BatchOptions, Example, collate, example_at
from musicstyle.corpus.prepare import prepare
from musicstyle.corpus.store import Corpus
from musicstyle.errors import CorpusError
from musicstyle.evaluation.likelihood import (
    KINDS,
    Likelihood,
    bootstrap_ratio,
    eligible,
    ensemble_logits,
    first_notes,
    measure_likelihood,
)
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import ModelConfig
from musicstyle.music.melody import extract_melody, melody_frames
from musicstyle.music.midi import write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode
from musicstyle.music.transposed import performance_table
from musicstyle.training.batches import as_tensors
from musicstyle.training.loss import MODES, logits_by_mode, nll_sum, token_nll

SMALL = ModelConfig(
    width=20, heads=3, head_width=8, feedforward_width=28, decoder_layers=1, style_layers=1, melody_layers=1, window=24,
    max_distance=10, encoder_max_distance=5, memory_window_steps=60, melody_frames_ahead=4, melody_frames_behind=1,
)  # fmt: skip
OPTIONS = BatchOptions(batch_size=2, tokens=60, style_tokens=30, seed=3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    source, out = tmp_path_factory.mktemp("midi"), tmp_path_factory.mktemp("prepared") / "corpus"
    for number, notes in enumerate((9, 40, 51, 62, 73)):
        write_midi(source / f"piece{number}.mid", random_notes(number, notes).quantized())  # no beginning has more ids
    return prepare(source, out, seed=1)


@pytest.fixture(scope="module")
def model() -> Autoencoder:
    return awake(SMALL)


def test_short_pieces_are_dropped_and_counted(corpus: Corpus) -> None:
    pieces, dropped = eligible(corpus, "train", OPTIONS)
    assert (corpus.pieces["tokens"][pieces] >= 60).all()
    assert len(pieces) + dropped == len(corpus.indices("train"))
    with pytest.raises(CorpusError, match="no piece"):
        eligible(corpus, "train", dataclasses.replace(OPTIONS, tokens=10_000))


def test_a_limit_is_a_seeded_choice(corpus: Corpus) -> None:
    everything = eligible(corpus, "train", dataclasses.replace(OPTIONS, tokens=30))[0].tolist()
    chosen = [
        eligible(corpus, "train", dataclasses.replace(OPTIONS, tokens=30, seed=seed), 1)[0].tolist()
        for seed in [*range(20), *range(20)]
    ]
    assert chosen[:20] == chosen[20:]
    assert sorted({piece for (piece,) in chosen}) == everything
    assert len(everything) > 1


def test_the_seed_chooses_the_beginnings(corpus: Corpus) -> None:
    piece = int(eligible(corpus, "train", OPTIONS)[0][-1])
    one, again, other = (first_notes(corpus, piece, 20, dataclasses.replace(OPTIONS, seed=seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_every_crop_is_full_and_every_place_can_be_drawn(corpus: Corpus) -> None:
    plain = dataclasses.replace(OPTIONS, augment=False)
    for piece in eligible(corpus, "train", OPTIONS)[0].tolist():
        drawn = set(first_notes(corpus, piece, 500, OPTIONS))
        assert drawn == set(range(max(drawn) + 1))
        for first in drawn:
            assert len(example_at(corpus, piece, first, np.random.default_rng(0), plain).ids) == 60
        rest = corpus.notes(piece)[max(drawn) + 1 :]
        assert len(encode(rest.shift(-rest.start[0]))) < 60


def test_a_crop_is_full_where_a_later_beginning_has_more_ids(tmp_path: Path) -> None:
    """A beginning becomes time 0 and steps are rounded anew, so that notes fall together or apart."""
    write_midi(tmp_path / "midi" / "a.mid", random_notes(1, 400, 60.0))
    off_grid = prepare(tmp_path / "midi", tmp_path / "corpus")
    notes = off_grid.notes(0)
    left = [len(encode(notes[first:].from_zero())) for first in range(len(notes))]
    rises = [first for first in range(len(notes) - 1) if left[first] < left[first + 1]]
    assert len(rises) > 5
    for short in rises[:5]:
        options = dataclasses.replace(OPTIONS, augment=False, tokens=left[short + 1])
        for first in set(first_notes(off_grid, 0, 3 * (short + 2), options)):
            assert left[first] >= options.tokens


def batches_of(corpus: Corpus) -> list[dict[str, torch.Tensor]]:
    """The protocol's crops of the train split, drawn by hand."""
    pieces, _ = eligible(corpus, "train", OPTIONS)
    places = [(int(piece), first_notes(corpus, int(piece), 1, OPTIONS)[0]) for piece in pieces]
    plain = dataclasses.replace(OPTIONS, augment=False)
    batches = []
    for begin in range(0, len(places), 2):
        rows = [
            example_at(corpus, piece, first, np.random.default_rng([3, begin + i]), plain)
            for i, (piece, first) in enumerate(places[begin : begin + 2])
        ]
        batches.append({name: torch.from_numpy(values) for name, values in collate(rows, OPTIONS).items()})
    return batches


def test_a_model_that_knows_nothing_pays_the_logarithm_of_what_is_possible(corpus: Corpus) -> None:
    blank = Autoencoder(SMALL).eval()
    for parameter in blank.parameters():
        torch.nn.init.zeros_(parameter)
    measured = measure_likelihood(blank, corpus, "train", OPTIONS)
    choices = np.array([batch["possible"].sum(dim=-1).log().numpy() for batch in batches_of(corpus)])
    low, high = choices.mean(axis=-1).min() - 1e-5, choices.mean(axis=-1).max() + 1e-5
    for mode in MODES:
        assert measured.nll(mode) == pytest.approx(choices.mean(), abs=1e-5)
        assert low <= measured.interval(mode)[0] <= measured.nll(mode) <= measured.interval(mode)[1] <= high
        assert measured.gain(mode) == pytest.approx((0, 0, 0), abs=1e-5)


def test_the_sum_is_the_loss_of_training_on_the_same_crops(corpus: Corpus, model: Autoencoder) -> None:
    batches = batches_of(corpus)
    measured = measure_likelihood(model, corpus, "train", OPTIONS)
    for mode, (melody, style) in MODES.items():
        used = [
            {
                "use_melody": torch.full_like(b["use_melody"], melody),
                "use_style": torch.full_like(b["use_style"], style),
            }
            for b in batches
        ]
        with torch.no_grad():
            sums = [nll_sum(model({**b, **hears})[0], b["ids"]) for b, hears in zip(batches, used, strict=True)]
        expected = float(sum(total for total, _ in sums) / sum(count for _, count in sums))
        assert measured.nll(mode) == pytest.approx(expected, rel=1e-5)


def test_the_size_of_batches_changes_nothing(corpus: Corpus, model: Autoencoder) -> None:
    one, three = (
        measure_likelihood(model, corpus, "train", dataclasses.replace(OPTIONS, batch_size=size), crops=3)
        for size in (1, 3)
    )
    np.testing.assert_array_equal(one.counts, three.counts)
    np.testing.assert_allclose(one.nats, three.nats, rtol=1e-4)


def test_what_training_changes_is_left_as_it_is(corpus: Corpus, model: Autoencoder) -> None:
    dropped = {"drop_style": 1.0, "drop_melody": 1.0, "drop_habits": 1.0}
    changed = dataclasses.replace(OPTIONS, augment=True, line_melody=1.0, **dropped)
    plain = dataclasses.replace(OPTIONS, augment=False)
    one, other = (measure_likelihood(model, corpus, "train", options) for options in (plain, changed))
    np.testing.assert_array_equal(one.nats, other.nats)


def test_the_kinds_weigh_to_the_whole(corpus: Corpus, model: Autoencoder) -> None:
    done: list[tuple[int, int]] = []
    measured = measure_likelihood(model, corpus, "train", OPTIONS, crops=2, progress=lambda *x: done.append(x))
    crops = 2 * len(measured.counts)
    assert done == [(number, crops) for number in range(2, crops + 1, 2)]
    for mode in MODES:
        weighed = sum(measured.by_kind(mode)[kind] * measured.counts[:, i].sum() for i, kind in enumerate(KINDS))
        assert weighed / measured.counts.sum() == pytest.approx(measured.nll(mode))
    assert measured.counts.sum() == 2 * 60 * len(measured.counts)
    assert measured.dropped == len(corpus.indices("train")) - len(measured.counts) > 0


def test_weights_that_hear_less_serve_fewer_modes(corpus: Corpus) -> None:
    for conditions, modes in (("melody", ("melody", "none")), ("style", ("style", "none")), ("none", ("none",))):
        deaf = Autoencoder(dataclasses.replace(SMALL, conditions=conditions)).eval()
        assert tuple(measure_likelihood(deaf, corpus, "train", OPTIONS, limit=1).to_dict()["modes"]) == modes


def test_padding_is_not_counted(corpus: Corpus, model: Autoencoder) -> None:
    example = example_at(corpus, 0, 0, np.random.default_rng(0), dataclasses.replace(OPTIONS, augment=False))
    nll = []
    for tokens in (90, 60):
        batch = as_tensors(collate([example], dataclasses.replace(OPTIONS, tokens=tokens)))
        (logits,) = logits_by_mode(model, batch, ("both",))
        nll.append(token_nll(logits, batch["ids"])[0, : len(example.ids)])
    torch.testing.assert_close(*nll, rtol=1e-4, atol=1e-5)


def test_an_ensemble_of_keys_does_not_know_in_which_of_them_the_piece_stands(model: Autoencoder) -> None:
    rng = np.random.default_rng(4)
    start = np.cumsum(rng.choice([0.1, 0.3], 40))
    notes = Notes.from_arrays(start, start + 0.2, rng.integers(50, 70, 40), rng.integers(30, 90, 40))
    rest = (encode(notes)[:30], np.zeros(8, np.float32), True, True, True)
    low, high = (
        collate([Example(encode(piece)[:60], melody_frames(extract_melody(piece)), *rest)], OPTIONS)
        for piece in (notes, notes.transpose(2))
    )
    table = torch.from_numpy(performance_table(2).copy())
    inner = [i for i in range(310) if performance_table(-2)[performance_table(2)[i]] == i]
    for (mode, ours), theirs in zip(
        zip(MODES, ensemble_logits(model, low, tuple(MODES), (0, 2)), strict=True),
        ensemble_logits(model, high, tuple(MODES), (-2, 0)),
        strict=True,
    ):
        torch.testing.assert_close(ours[..., inner], theirs[..., table][..., inner], msg=mode)


def test_what_the_keys_say_is_averaged(corpus: Corpus, model: Autoencoder) -> None:
    batch = collate([example_at(corpus, 3, 0, np.random.default_rng(0), OPTIONS)], OPTIONS)
    (alone,), (both,), (down,) = (ensemble_logits(model, batch, ("both",), keys) for keys in ((0,), (0, -2), (-2,)))
    torch.testing.assert_close(both, (alone + down) / 2)


def test_the_interval_is_that_of_the_mean_where_theory_knows_it() -> None:
    rng = np.random.default_rng(0)
    sums = rng.normal(3.0, 0.5, 400)
    low, high = bootstrap_ratio(sums, np.ones(400))
    assert (low, high) == pytest.approx((sums.mean() - 1.96 * 0.025, sums.mean() + 1.96 * 0.025), abs=0.006)
    assert bootstrap_ratio(7 * sums, np.full(400, 7.0)) == pytest.approx((low, high))


def test_a_gain_common_to_all_pieces_is_certain_though_pieces_differ() -> None:
    none = np.random.default_rng(2).uniform(1, 5, (1, 30, 4)) * 10
    measured = Likelihood(("both", "none"), np.concatenate([none - 2, none]), np.full((30, 4), 10.0), np.arange(30))
    assert measured.gain("both") == pytest.approx((0.2, 0.2, 0.2))
    told = measured.to_dict()["modes"]
    assert (told["both"]["gain"], told["none"]["gain"]) == ([0.2, 0.2, 0.2], None)
    low, high = measured.interval("both")
    assert high - low > 0.1


def test_pieces_of_one_work_are_drawn_together() -> None:
    nats = np.repeat(np.random.default_rng(3).uniform(1, 5, (1, 20, 4)) * 10, 2, axis=1)  # each work twice
    counts = np.full((40, 4), 10.0)
    alone = Likelihood(("none",), nats[:, ::2], counts[::2], np.arange(20))
    twice = Likelihood(("none",), nats, counts, np.repeat(np.arange(20), 2))
    assert twice.interval("none") == pytest.approx(alone.interval("none"))  # the second performance tells nothing new
    assert Likelihood(("none",), nats, counts, np.zeros(40)).interval("none") is None
    told = Likelihood(("none",), nats, counts, np.zeros(40)).to_dict()
    assert (told["works"], told["pieces"], told["modes"]["none"]["interval"]) == (1, 40, None)


def test_a_crop_as_long_as_its_piece_is_full(corpus: Corpus, model: Autoencoder) -> None:
    for piece in corpus.indices("train").tolist():
        length = len(encode(corpus.notes(piece).from_zero()))
        whole = dataclasses.replace(OPTIONS, tokens=length)
        assert piece in eligible(corpus, "train", whole)[0]
        assert first_notes(corpus, piece, 3, whole) == [0, 0, 0]
        longer = [one for one in corpus.indices("train") if len(encode(corpus.notes(one).from_zero())) > length]
        if longer:
            assert eligible(corpus, "train", dataclasses.replace(whole, tokens=length + 1))[0].tolist() == longer


def test_a_likelihood_in_several_keys_is_that_of_their_mean(corpus: Corpus, model: Autoencoder) -> None:
    measured, total = measure_likelihood(model, corpus, "train", OPTIONS, ensemble=3), 0.0
    for batch in batches_of(corpus):
        arrays = {name: values.numpy() for name, values in batch.items()}
        (logits,) = ensemble_logits(model, arrays, ("both",), (0, -3, 3))
        total += float(token_nll(logits, batch["ids"]).sum())
    assert measured.nll("both") == pytest.approx(total / measured.counts.sum())
