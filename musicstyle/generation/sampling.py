"""From logits to an id: a ladder of small functions over one variation's ids.

Between the steps stand weights, probabilities that need not sum to 1: what is not kept has weight 0. Ids exactly as
likely as the last one kept are kept with it.
"""

from __future__ import annotations

import numpy as np


def keep_top_k(weights: np.ndarray, k: int) -> np.ndarray:
    """Only the k likeliest of (ids,); all are kept if k is 0."""
    if k == 0 or k >= weights.shape[0]:
        return weights
    return np.where(weights < np.sort(weights)[-k], 0.0, weights)


def keep_top_p(weights: np.ndarray, p: float) -> np.ndarray:
    """Only the fewest likeliest of (ids,) that together have at least the share p of all weight.

    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """
    if p >= 1:
        return weights
    total = weights.sum()
    # The others together have less than the share 1 - p, and need no sorting.
    likely = np.sort(weights[weights >= (1 - p) * total / weights.shape[0]])[::-1]
    before = np.cumsum(likely) - likely
    return np.where(weights < likely[(before < p * total).sum() - 1], 0.0, weights)


def plausible(logits: np.ndarray, allowed: np.ndarray, p: float) -> np.ndarray:
    """Which of (ids,) are allowed and at least p times as likely as the likeliest of those, bool.

    Source: the threshold of Nguyen et al. 2024, arXiv:2407.01082; before guidance, as Li et al. 2022, arXiv:2210.15097,
    bound what a difference of two models may choose.
    """
    heard = np.where(allowed, logits.astype(np.float64), -np.inf)
    return allowed & (np.exp(heard - heard.max()) >= p)


def distribution(
    logits: np.ndarray, mix: np.ndarray, allowed: np.ndarray, temperature: float, top_k: int, top_p: float, min_p: float
) -> np.ndarray:
    """What is drawn from: grammar and plausibility first, then guidance and temperature, then top k and top p.

    Args:
        logits: Of one variation's guidance rows, the one that hears everything first, (rows, ids) float32.
        mix: Their weights, (rows,) float64.
        allowed: By the grammar, at least one, (ids,) bool.
        temperature: 0 leaves only the likeliest id.
        top_k: See `keep_top_k`.
        top_p: See `keep_top_p`.
        min_p: See `plausible`; that is asked of the first row.

    Returns:
        Weights, (ids,) float64. Normalising rows of logits before they are mixed would not change them.
    """
    guided = np.where(plausible(logits[0], allowed, min_p), (mix[:, None] * logits).sum(axis=0), -np.inf)
    guided -= guided.max()
    if temperature == 0:
        return np.where(np.arange(guided.shape[0]) == guided.argmax(), 1.0, 0.0)
    with np.errstate(over="ignore"):  # of a temperature next to 0
        weights = np.exp(guided / temperature)
    return keep_top_p(keep_top_k(weights, top_k), top_p)


def draw(weights: np.ndarray, uniform: float) -> int:
    """One id of (ids,): the one in whose share of the whole a number from 0 to below 1 falls."""
    ids = np.flatnonzero(weights)
    shares = np.cumsum(weights[ids])
    return int(ids[np.searchsorted(shares, uniform * shares[-1], "right")])
