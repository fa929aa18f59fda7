"""What is drawn is what torch says of the same logits, by the published definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from musicstyle.generation.sampling import distribution, draw, keep_top_k, keep_top_p, plausible

WEIGHTS = np.array([1.0, 0.5, 0.3, 0.2])  # their sum is 2


def by_torch(logits: Tensor, mix: Tensor, allowed: Tensor, t: float, top_k: int, top_p: float, min_p: float) -> Tensor:
    """The same ladder with normalised logits, a full sort and minus infinity in place of weights."""
    likely = logits[0].masked_fill(~allowed, -torch.inf).softmax(-1)
    allowed = allowed & (likely >= min_p * likely.max() * (1 - 1e-12))
    x = (mix[:, None] * logits.log_softmax(-1)).sum(0).masked_fill(~allowed, -torch.inf) / t
    if 0 < top_k < len(x):
        x = x.masked_fill(x < x.topk(top_k).values[-1], -torch.inf)
    ordered, order = x.sort(descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    if top_p < 1:
        x = x.masked_fill(torch.zeros_like(allowed).scatter(0, order, before >= top_p), -torch.inf)
    return x.softmax(-1)


@given(
    seed=st.integers(0, 10_000),
    ids=st.integers(1, 40),
    t=st.sampled_from([0.3, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 5, 39]),
    top_p=st.sampled_from([0.05, 0.5, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_the_ladder_is_torchs(seed: int, ids: int, t: float, top_k: int, top_p: float, min_p: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (3, ids)).astype(np.float32)
    mix, allowed = np.array([2.5, -1.0, -0.5]), rng.random(ids) < 0.7
    allowed[rng.integers(ids)] = True
    ours = distribution(logits, mix, allowed, t, top_k, top_p, min_p)
    theirs = by_torch(*map(torch.from_numpy, (logits.astype(np.float64), mix, allowed)), t, top_k, top_p, min_p)
    np.testing.assert_allclose(ours / ours.sum(), theirs.numpy(), rtol=0, atol=1e-9)


def test_the_ladder_by_hand() -> None:
    assert keep_top_k(WEIGHTS, 2).tolist() == [1.0, 0.5, 0, 0]
    assert keep_top_p(WEIGHTS, 0.75).tolist() == [1.0, 0.5, 0, 0]
    assert keep_top_p(WEIGHTS, 0.76).tolist() == [1.0, 0.5, 0.3, 0]
    assert keep_top_k(WEIGHTS, 0).tolist() == WEIGHTS.tolist()
    assert keep_top_p(np.ones(4), 0.1).tolist() == [1, 1, 1, 1]  # equally likely ids are kept together


def test_the_probability_to_be_reached_is_of_the_k_likeliest() -> None:
    """0.4 of 0.7 is more than 0.55, of all it would be less, and two ids be kept."""
    logits = np.log(np.array([[0.4, 0.3, 0.2, 0.1]], np.float32))
    kept = distribution(logits, np.ones(1), np.full(4, True), 1.0, 2, 0.55, 0.0)
    assert np.flatnonzero(kept).tolist() == [0]


def test_what_is_implausible_stays_so_however_guidance_wants_it() -> None:
    logits = np.log(np.array([[0.5, 0.4, 0.09, 0.01], [0.4, 0.5, 0.0999, 0.0001]])).astype(np.float32)
    mix, allowed = np.array([9.0, -8.0]), np.array([True, True, True, True])
    assert plausible(logits[0], allowed, 0.1).tolist() == [True, True, True, False]
    assert plausible(logits[0], ~allowed | [False, True, False, True], 0.1).tolist() == [False, True, False, False]
    assert plausible(logits[0], allowed, 0.0).all()
    assert distribution(logits, mix, allowed, 1.0, 0, 1.0, 0.0).argmax() == 3
    assert distribution(logits, mix, allowed, 1.0, 0, 1.0, 0.1).tolist()[3] == 0
    assert distribution(logits, mix, allowed, 0.0, 0, 1.0, 0.1).argmax() == 0


def test_temperature_zero_takes_the_likeliest_that_is_allowed() -> None:
    logits = np.array([[3.0, 2.0, 1.0]], np.float32)
    allowed = np.array([False, True, True])
    assert distribution(logits, np.ones(1), allowed, 0.0, 0, 1.0, 0.0).tolist() == [0, 1, 0]
    assert distribution(logits, -np.ones(1), allowed, 0.0, 0, 1.0, 0.0).tolist() == [0, 0, 1]
    assert distribution(logits, np.ones(1), allowed, 1e-310, 0, 1.0, 0.0).tolist() == [0, 1, 0]


@pytest.mark.parametrize(("uniform", "expected"), [(0, 1), (0.49, 1), (0.5, 2), (0.74, 2), (0.76, 4), (1 - 2**-53, 4)])
def test_a_uniform_number_falls_into_an_ids_share(uniform: float, expected: int) -> None:
    assert draw(np.array([0, 1.0, 0.5, 0, 0.5, 0]), uniform) == expected


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0, 1, exclude_max=True), st.integers(0, 20))
@example([0.3] * 7, 1 - 2**-53, 0)
def test_whatever_is_drawn_has_weight(weights: list[float], uniform: float, place: int) -> None:
    weights.insert(place, 1.0)  # the likeliest
    assert weights[draw(np.array(weights), uniform)] > 0


def test_a_seeds_draws_are_as_many_as_the_weights_say() -> None:
    generator = np.random.default_rng(5)
    counts = np.bincount([draw(WEIGHTS, generator.random()) for _ in range(4000)], minlength=4) / 4000
    assert np.abs(counts - WEIGHTS / 2).max() < 0.03
