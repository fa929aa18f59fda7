"""From logits to an id: a ladder of small compiled functions over one variation's ids.

Between the steps stand weights, probabilities that need not sum to 1: what is not kept has weight 0. Ids exactly as
likely as the last one kept are kept with it.
"""

from __future__ import annotations

import numpy as np

from musicstyle.compiling import compiled


@compiled()
def keep_top_k(weights: np.ndarray, k: int) -> np.ndarray:
    """Only the k likeliest of (ids,); all are kept if k is 0."""
    if k == 0 or k >= weights.shape[0]:
        return weights
    return np.where(weights < np.sort(weights)[-k], 0.0, weights)


@compiled()
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


@compiled()
def keep_min_p(weights: np.ndarray, p: float) -> np.ndarray:
    """Only those of (ids,) at least p times as likely as the likeliest; all are kept if p is 0.

    Source: Nguyen et al. 2024, arXiv:2407.01082.
    """
    return np.where(weights < p * weights.max(), 0.0, weights)


@compiled()
def shares(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of (n,) logits divided by a temperature; at 0 all of it is the largest one's."""
    apart = logits - logits.max()
    if temperature == 0:
        return np.where(np.arange(apart.shape[0]) == apart.argmax(), 1.0, 0.0)
    weights = np.exp(apart / temperature)
    return weights / weights.sum()


@compiled()
def distribution(
    logits: np.ndarray,
    mix: np.ndarray,
    allowed: np.ndarray,
    kinds: np.ndarray,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
) -> np.ndarray:
    """What is drawn from: grammar, guidance and temperature first, then top k, top p and min p.

    An id is two choices, of a kind of event and of one among its ids, p(id) = p(kind) p(id | kind). Each is guided and
    tempered by itself: over all ids at once, temperatures above 1 favour kinds of many ids nearly alike, so that time
    would pass (TIME_SHIFT) where a key should be let go (NOTE_OFF).

    Args:
        logits: Of one variation's guidance rows, (rows, ids) float32.
        mix: Their weights, (rows,) float64.
        allowed: By the grammar, at least one, (ids,) bool.
        kinds: Of each id, those of a kind side by side, (ids,) int8.
        temperature: 0 leaves only the likeliest id of the likeliest kind.
        top_k: See `keep_top_k`.
        top_p: See `keep_top_p`.
        min_p: See `keep_min_p`.

    Returns:
        Weights, (ids,) float64. Normalising rows of logits before they are mixed would not change them.
    """
    ids = np.flatnonzero(allowed)
    begin = np.append(0, np.flatnonzero(np.diff(kinds[ids])) + 1)  # of each kind among what is allowed
    end = np.append(begin[1:], len(ids))
    of_kind, which = np.zeros(len(begin)), np.zeros(len(ids))
    for row in range(logits.shape[0]):
        heard = logits[row][ids].astype(np.float64)
        for kind in range(len(begin)):
            mine = heard[begin[kind] : end[kind]]
            total = mine.max() + np.log(np.exp(mine - mine.max()).sum())
            of_kind[kind] += mix[row] * total
            which[begin[kind] : end[kind]] += mix[row] * (mine - total)
    of_kind = shares(of_kind, temperature)
    weights = np.zeros(logits.shape[1])
    for kind in range(len(begin)):
        weights[ids[begin[kind] : end[kind]]] = of_kind[kind] * shares(which[begin[kind] : end[kind]], temperature)
    return keep_min_p(keep_top_p(keep_top_k(weights, top_k), top_p), min_p)


@compiled()
def draw(weights: np.ndarray, uniform: float) -> int:
    """One id of (ids,): the one in whose share of the whole a number from 0 to below 1 falls."""
    ids = np.flatnonzero(weights)
    shares = np.cumsum(weights[ids])
    return int(ids[min(np.searchsorted(shares, uniform * shares[-1], "right"), ids.shape[0] - 1)])
