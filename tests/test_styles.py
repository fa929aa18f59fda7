"""A style is one performance or several: what the model hears of it, and what of several is their mean."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from some_models import SMALL, awake

from musicstyle.errors import UsageError
from musicstyle.generation import hearing
from musicstyle.generation.hearing import STYLE_CROPS, embed, hear, style_crops
from musicstyle.generation.performances import Performances
from musicstyle.generation.rules import Limits
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.music.habits import HABITS
from musicstyle.music.melody import extract_melody
from musicstyle.music.midi import write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode
from musicstyle.music.similarity import similarity

TOKENS = 64


@pytest.fixture(scope="module")
def player() -> StyleTransfer:
    return StyleTransfer(awake(), {"training": {"tokens": TOKENS}})


def performance(seed: int, count: int = 200, *, low: int = 30, high: int = 80) -> Notes:
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.uniform(0.01, 0.4, count))
    pitch, velocity = rng.integers(low, high, count), rng.integers(20 + 5 * seed, 110, count)
    return Notes.from_arrays(start, start + rng.uniform(0.05, 0.2 + 0.1 * seed, count), pitch, velocity).quantized()


def tune(notes: int = 9, seconds: float = 0.4) -> Notes:
    start = np.arange(notes) * seconds
    return Notes.from_arrays(start, start + seconds * 0.9, 60 + np.arange(notes), np.full(notes, 80))


def heard(player: StyleTransfer, *notes: Notes, shares: list[float] | None = None) -> torch.Tensor:
    return hear(player.model, Performances.of(notes, shares), TOKENS).embeddings


def test_style_crops_cover_the_piece_and_fit() -> None:
    notes = performance(4, 400)
    crops = style_crops(notes, 64)
    assert 2 <= len(crops) <= STYLE_CROPS
    assert all(0 < len(crop) <= 64 for crop in crops)
    assert np.array_equal(style_crops(notes[:5], 64)[0], encode(notes[:5].shift(-notes.start[0])))
    (one_long_note,) = style_crops(Notes.from_arrays([0.0], [90.0], [60], [80]), 64)
    assert len(one_long_note) == 64


def test_a_style_is_its_crops_in_order(player: StyleTransfer) -> None:
    notes = performance(4, 400)
    crops = style_crops(notes, TOKENS)
    alone = torch.stack([embed(player.model, [crop])[0] for crop in crops])
    assert len(crops) == STYLE_CROPS
    torch.testing.assert_close(heard(player, notes), alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-2)


@pytest.mark.parametrize(("notes", "distinct"), [(1, 1), (5, 1), (16, 4), (40, 8)])
def test_a_short_performance_has_as_many_crops_some_of_them_the_same(
    player: StyleTransfer, notes: int, distinct: int
) -> None:
    few = performance(4, 200)[:notes]
    crops = style_crops(few, TOKENS)
    style = heard(player, few)
    assert len(crops) == distinct
    assert style.shape == (STYLE_CROPS, SMALL.width + HABITS)
    assert len(style.unique(dim=0)) == len(crops)
    torch.testing.assert_close(style[[0, -1]], embed(player.model, crops)[[0, -1]], rtol=0, atol=0)
    assert len(style.unique_consecutive(dim=0)) == len(crops)  # each all the way through its part


def test_styles_that_part_on_the_way_are_played_alike_until_then(player: StyleTransfer) -> None:
    job = player.stream(performance(1), tune(), seed=4).job
    assert job.style is not None
    mine, other = job.style.embeddings, heard(player, performance(2))
    rows = STYLE_CROPS * 3 // 4
    parts = dataclasses.replace(job.style, embeddings=torch.cat((mine[:rows], other[rows:])))
    first, second = (one.plan.notes(one.sample_all([4])[0]) for one in (job, dataclasses.replace(job, style=parts)))
    until = tune().duration_seconds * 2 / 3  # what sounds later is moved in time by what comes behind it
    assert first.crop(0.0, until).equals(second.crop(0.0, until))
    assert not first.equals(second)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(10, 999), st.integers(5, 88))
def test_the_mean_of_limits_with_themselves_is_themselves(parts: list[float], longest: int, most: int) -> None:
    limits = Limits(longest, most, 7, 3, 30)
    assert Limits.mean([limits] * len(parts), [part / sum(parts) for part in parts]) == limits


@given(share=st.floats(0.05, 0.95))
def test_of_two_performances_everything_is_the_mean_by_shares(player: StyleTransfer, share: float) -> None:
    a, b = performance(1), performance(5, low=50, high=100)
    mixed = Performances.of((a, b), (3 * share, 3 * (1 - share)))

    def between(one: float, other: float) -> float:
        return share * one + (1 - share) * other

    torch.testing.assert_close(
        hear(player.model, mixed, TOKENS).embeddings, share * heard(player, a) + (1 - share) * heard(player, b)
    )
    registers = [float(np.median(extract_melody(notes).pitch)) for notes in (a, b)]
    assert mixed.register == pytest.approx(between(*registers))
    piece = performance(7, 30)
    assert mixed.near(piece) == pytest.approx(between(similarity(piece, a).mean, similarity(piece, b).mean))
    for name, value in dataclasses.asdict(mixed.limits).items():
        assert value == pytest.approx(between(getattr(Limits.of(a), name), getattr(Limits.of(b), name)), abs=0.5)
    assert Limits.of(a) != Limits.of(b)


def test_a_share_of_nothing_is_nothing_and_shares_left_out_are_as_much_of_each(player: StyleTransfer) -> None:
    a, b, c = (performance(seed) for seed in (1, 2, 3))
    only, alone = (player.generate(style, tune(), seed=2, style_shares=s) for style, s in (([a, b], [5, 0]), (a, None)))
    assert only.notes.equals(alone.notes)
    torch.testing.assert_close(heard(player, a, b, c), heard(player, a, b, c, shares=[2, 2, 2]))
    assert Performances.of([a, b, c]).shares == pytest.approx([1 / 3] * 3)
    assert not player.generate([a, b], tune(), seed=2).notes.equals(alone.notes)
    assert Performances.of([a, b], [1, 0]).notes == (a,)  # nor heard


@pytest.mark.parametrize("count", [1, 3, 7])
def test_of_whole_performances_all_is_known_and_of_a_short_one_its_share_is_missing(
    player: StyleTransfer, count: int
) -> None:
    whole = [performance(seed) for seed in range(1, count + 1)]
    style = hear(player.model, Performances.of(whole), TOKENS)
    assert (style.known["short"], style.lacks, style.strength(3.5)) == (1.0, "", 3.5)
    few = performance(1)[:4]
    part = len(encode(few.from_zero())) / TOKENS
    style = hear(player.model, Performances.of([*whole, few]), TOKENS)
    assert style.known["short"] == pytest.approx((count + part) / (count + 1))
    assert style.lacks == "short"
    assert style.strength(3.5) == pytest.approx(1 + 2.5 * (count + part) / (count + 1))
    assert style.strength(0.5) == 0.5


def test_performances_that_are_heard_are_counted(player: StyleTransfer) -> None:
    told: list[tuple[int, int]] = []
    player.generate([performance(1), performance(2)], seconds=1.0, hearing=lambda *where: told.append(where))
    assert told == [(1, 2), (2, 2)]


def test_what_cannot_be_asked_for_is_refused_before_a_style_is_heard(player: StyleTransfer) -> None:
    told: list[tuple[int, int]] = []
    with pytest.raises(UsageError, match="mean nothing without a melody"):
        player.generate(performance(1), tempo=2.0, hearing=lambda *where: told.append(where))
    assert not told


def test_a_file_says_whose_style_it_is(player: StyleTransfer, tmp_path: Path) -> None:
    paths = [tmp_path / "bach.mid", tmp_path / "satie.mid"]
    for seed, path in enumerate(paths):
        write_midi(path, performance(seed))
    settings = player.generate(paths, tune(), style_shares=np.array([7, 3])).settings
    assert (settings["style"], settings["style_shares"]) == ("bach.mid, satie.mid", [7, 3])
    assert "style_shares" not in player.generate(paths[0], tune()).settings


@pytest.mark.parametrize(
    ("styles", "shares", "told"),
    [
        (2, [1, 2, 3], "3 style shares for 2 of style; give one for each"),
        (2, [1.5], "1 style shares for 2"),
        (2, [1, -0.5], "1, -0.5 cannot be"),
        (2, [0, 0], "0, 0 cannot be"),
        (2, [1, float("nan")], "nan cannot be"),
        (2, [1, float("inf")], "inf cannot be"),
        (2, ["a", 1], "a, 1 cannot be"),
        (0, None, "no performance"),
    ],
)
def test_shares_that_cannot_be_are_refused(
    player: StyleTransfer, styles: int, shares: list[float] | None, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        player.generate([performance(1)] * styles, tune(), style_shares=shares)


def test_shares_without_a_style_are_refused(player: StyleTransfer) -> None:
    with pytest.raises(UsageError, match="without a style"):
        player.generate(None, tune(), style_shares=[1])


@pytest.mark.parametrize("wrong", [5, b"a.mid", io.BytesIO(b"MThd" * 1000), ""])
@pytest.mark.parametrize("role", ["style", "melody", "primer"])
def test_what_is_no_source_is_refused_in_a_short_line(player: StyleTransfer, role: str, wrong: Any) -> None:
    with pytest.raises(UsageError, match=f"^a {role} of .{{1,60}}; give the path of a file or Notes$"):
        player.generate(**{"prime" if role == "primer" else role: wrong})


def test_none_among_performances_is_refused(player: StyleTransfer) -> None:
    with pytest.raises(UsageError, match="a style of None"):
        player.generate(cast("Any", [performance(1), None]), tune())


def test_a_style_is_heard_once(player: StyleTransfer, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = StyleTransfer(player.model, player.facts)
    calls: list[int] = []

    def counted(model: Autoencoder, crops: Sequence[np.ndarray]) -> torch.Tensor:
        calls.append(len(crops))
        return embed(model, crops)

    monkeypatch.setattr(hearing, "embed", counted)
    first, second = (fresh.generate([performance(1), performance(2)], tune(), seconds=1.0) for _ in range(2))
    assert len(calls) == 2
    assert first.notes.equals(second.notes)
    other = fresh.generate(performance(2).transpose(1), tune(), seconds=1.0)
    assert len(calls) == 3
    assert other.notes.equals(player.generate(performance(2).transpose(1), tune(), seconds=1.0).notes)
    monkeypatch.setattr(hearing, "MOST_KNOWN", 3)
    fresh.generate(performance(3), tune(), seconds=1.0)
    fresh.generate(performance(1), tune(), seconds=1.0)
    assert len(calls) == 6  # the fourth made room by forgetting all: the first is heard anew
